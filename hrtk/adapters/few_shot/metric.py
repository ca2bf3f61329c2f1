"""Few-shot adaptation with a metric loss: a few labelled frames of the target among many of the source.

"Few-shot Domain Adaptation for 3D Human Pose and Shape Estimation" (UNIST, 2021): section 3.5, Algorithm 1. Every frame
of the target, an anchor, is compared with all source frames of a batch; those with the nearest poses are its positives,
those with the farthest its negatives, and features shall stand as far from each other as :mod:`hrtk.losses.log_ratio`
says. What the thesis leaves open: the anchor is the target's, gradients reach the features of both, VIBE's supervision
goes on over both, and labels are the joints' mean distance.
"""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Preparation
from hrtk.adapters.few_shot.shots import Labels, draw_shots, read_shots
from hrtk.adapters.parts.posed import SKELETON, Posed
from hrtk.adapters.parts.progress import Learner, Progress
from hrtk.adapters.parts.source_bank import SourceBank
from hrtk.adapters.parts.trunk import Trunk
from hrtk.adapters.source import Source
from hrtk.body_models.gendered import GenderedBodies
from hrtk.errors import InputError
from hrtk.losses import LogRatioLoss, hips
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, DATASETS

# VIBE's factors of the supervised terms.
WEIGHTS = dict(
    keypoints2d=300.0, joints3d=300.0, rotmat=60.0, betas=0.06, metric=0.1, metric_joints=0.0
)
SCHEDULES = ('constant', 'linear')
COMMON = slice(14)  # of spin24, its common14: the joints that poses are compared over


@ADAPTERS.register_module()
class FewShotMetric(Source):
    """Learns from a few labelled frames before anything is predicted; then the model predicts every frame as it is.

    A step takes a batch of the shots and one of the source. Its loss is the mean of the supervised losses of both,
    plus the metric loss between both. ``weights=dict(metric=0)`` is the baseline, supervised fine-tuning. BatchNorm
    keeps its statistics.

    Where no ``labelled`` data set is named, the shots are frames of the target itself and are scored with the rest:
    such numbers are partly training errors. Name other sequences of the same domain for a fair comparison.

    Args:
        source: config of the labelled source batch, see :class:`~hrtk.adapters.parts.source_bank.SourceBank`; 128
            frames in the thesis. Its data set has pictures, or clips for an estimator of videos.
        shots: labelled frames. They are drawn evenly over the sequences with the run's seed alone, so that every
            method gets the same, and fewer shots are among more. 0 leaves the weights as they are.
        labelled: config of the data set of sequences with true bodies that the shots are drawn from; None is the
            target.
        steps: steps of Adam; the thesis is silent.
        batch: shots per step, or clips; all of them where there are fewer. 128 frames in the thesis.
        clip: consecutive frames that form a shot of so many labelled frames, for estimators of videos (VideoHMR: 16).
        lr: rate of Adam, 5e-5 in VIBE.
        schedule: ``'constant'``, or ``'linear'``: the rate falls to nothing over the steps, so that the last batches
            do not decide.
        adam_betas: Adam's, torch's defaults.
        weights: factors that differ from VIBE's ``keypoints2d`` 300, ``joints3d`` 300, ``rotmat`` 60, ``betas`` 0.06,
            from ``metric`` 0.1, of the metric loss on features (0.1, 0.2, 0.5 and 1 in the thesis), and from
            ``metric_joints`` 0, of that on predicted joints relative to the hips.
        variant: of :class:`~hrtk.losses.LogRatioLoss`: ``'thesis'``, ``'kim'`` or ``'abs'``.
        share: of the source batch on either side, 0.3 in the thesis.
        reduction: over anchors: ``'sum'`` as printed, by which the loss grows with the shots of a batch, or
            ``'mean'``.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`; where
            they all lie in the last part of the network, the frozen part runs once per crop.
        bodies: ``dict(male=..., female=...)``, body files for shots whose truth belongs to a gender (3DPW), see
            :class:`~hrtk.body_models.gendered.GenderedBodies`; betas of theirs are not learned.
        save_every: steps between states that an interrupted run continues from, with the same digits.

    Raises:
        InputError: an option has another value, or a body file is missing.
    """

    def __init__(
        self,
        source: dict,
        shots: int = 50,
        labelled: Optional[dict] = None,
        steps: int = 1000,
        batch: int = 128,
        clip: int = 1,
        lr: float = 5e-5,
        schedule: str = 'constant',
        adam_betas: tuple[float, float] = (0.9, 0.999),
        weights: Optional[dict[str, float]] = None,
        variant: str = 'thesis',
        share: float = 0.3,
        reduction: str = 'mean',
        parameters: str = 'all',
        bodies: Optional[dict] = None,
        save_every: int = 50,
    ) -> None:
        super().__init__()
        unknown = set(weights or {}) - set(WEIGHTS)
        if unknown:
            raise InputError(
                f'FewShotMetric: weights has no {sorted(unknown)}; its keys are {sorted(WEIGHTS)}'
            )
        if schedule not in SCHEDULES:
            raise InputError(f'FewShotMetric: schedule is one of {SCHEDULES}, not {schedule!r}')
        if min(batch, clip) < 1 or min(shots, steps) < 0:
            raise InputError(
                f'FewShotMetric: batch and clip are at least 1, shots and steps 0, not {batch}, {clip}, '
                f'{shots} and {steps}'
            )
        if shots % clip:
            raise InputError(
                f'FewShotMetric: shots={shots} are no whole clips of clip={clip} frames; take '
                f'{shots - shots % clip} or {shots - shots % clip + clip}'
            )
        self.source = SourceBank(**source)
        self.labelled: Any = DATASETS.build(labelled) if labelled is not None else None
        self.bodies = GenderedBodies(bodies) if bodies is not None else None
        self.metric = LogRatioLoss(variant, share=share, reduction=reduction)
        self.weights = {**WEIGHTS, **(weights or {})}
        self.shots, self.steps, self.batch, self.clip, self.save_every = (
            shots,
            steps,
            batch,
            clip,
            save_every,
        )
        self.lr, self.schedule, self.adam_betas, self.parameters = (
            lr,
            schedule,
            tuple(adam_betas),
            parameters,
        )

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Optional[Preparation] = None
    ) -> Optional[dict[str, Tensor]]:
        """Learns from the shots and returns the weights; None without shots."""
        if not self.shots:
            return None
        preparation = preparation or Preparation()
        finished = preparation.result()
        if finished is not None:
            return finished
        seed = torch.initial_seed()
        learner = Learner(estimator, self.parameters, self.lr, self.adam_betas)
        crops, labels = self._read(estimator, dataset, seed)
        of_shots, of_source = (Trunk(estimator, learner.weights) for _ in range(2))
        progress = Progress(preparation, learner, self.steps, self.save_every)
        for step in progress:
            torch.manual_seed(seed + step)
            drawn = torch.randperm(len(crops))[: self.batch]
            source = self.source.draw(of_source)
            maps = of_shots.recall(drawn.to(crops.device), crops.__getitem__)
            parts = (
                (maps, Labels.cat([labels[i] for i in drawn.tolist()])),
                (source.images, Labels.of_source(source, estimator.body)),
            )
            terms: dict[str, Tensor] = {}

            def objective(_: Any) -> Tensor:
                network = estimator.from_trunk if of_shots.shared else estimator
                terms.update(
                    self._terms(
                        *((Posed.of(network(maps), estimator.body), known) for maps, known in parts)
                    )
                )
                return sum(self.weights.get(name, 1.0) * term for name, term in terms.items())

            learner.rate = self.lr * (1 - step / self.steps if self.schedule == 'linear' else 1)
            learner.descend(objective)
            progress.finish(step, **{name: term.detach() for name, term in terms.items()})
        return progress.weights()

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the source and of the labelled data."""
        parts = dict(source=self.source.dataset, labelled=self.labelled)
        return {
            f'{name}.{key}': value
            for name, part in parts.items()
            if hasattr(part, 'fingerprint')
            for key, value in part.fingerprint().items()
        }

    def _read(self, estimator: Estimator, dataset: Any, seed: int) -> tuple[Tensor, list[Labels]]:
        """The shots, with the source read beside them."""
        target = [dataset[i] for i in range(len(dataset))]
        sequences = target
        if self.labelled is not None:
            sequences = [self.labelled[i] for i in range(len(self.labelled))]
            both = sorted(
                {sequence.name for sequence in target} & {sequence.name for sequence in sequences}
            )
            if both:
                raise InputError(
                    f'FewShotMetric: {both[0]!r} is in the labelled data set and in the target, where its '
                    f'shots would be scored; take another seed or split, or labelled=None if that is '
                    f'wanted'
                )
        shots = draw_shots(sequences, self.shots // self.clip, seed, self.clip)
        crops, labels = read_shots(estimator, sequences, shots, self.bodies)
        example = self.source.dataset[0]['image']
        if example.ndim != crops.ndim - 1:
            raise InputError(
                f'FewShotMetric: {type(estimator).__name__} takes {_kind(crops[0])} and the source has '
                f'{_kind(example)}; name a source data set of {_kind(crops[0])}, such as '
                f'{"OpenViews" if crops.ndim == 4 else "OpenTracks"}'
            )
        self.source.load(estimator.resolution, estimator.device)
        return crops, labels

    def _terms(
        self, target: tuple[Posed, Labels], source: tuple[Posed, Labels]
    ) -> dict[str, Tensor]:
        """``loss``, the supervised one, and ``metric`` and ``metric_joints``, without factors, where they have one."""
        terms = dict(
            loss=sum(
                self.weights[name] * value / 2
                for posed, labels in (target, source)
                for name, value in labels.losses(posed).items()
            )
        )
        for name, view in (('metric', _features), ('metric_joints', _joints)):
            if self.weights[name]:
                terms[name] = self.metric.between(
                    *(
                        part
                        for posed, labels in (target, source)
                        for part in (view(posed), labels.joints[:, COMMON])
                    )
                )
        return terms


def _features(posed: Posed) -> Tensor:
    if posed.prediction.features is None:
        raise InputError(
            'FewShotMetric: this estimator gives no features to compare; use weights=dict(metric=0, '
            'metric_joints=...), which compares predicted joints'
        )
    return posed.prediction.features


def _joints(posed: Posed) -> Tensor:
    """(N, 42), the common joints relative to the hips."""
    joints = posed.joints[:, COMMON]
    return (joints - joints[:, hips(SKELETON)].mean(1, keepdim=True)).flatten(1)


def _kind(item: Tensor) -> str:
    return 'pictures' if item.ndim == 3 else 'clips'
