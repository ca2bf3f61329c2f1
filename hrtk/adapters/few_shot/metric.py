"""Few-shot adaptation with a metric loss: a few labelled frames of the target among many of the source.

"Few-shot Domain Adaptation for 3D Human Pose and Shape Estimation" (UNIST, 2021): section 3.5, Algorithm 1. Every frame
of the target, an anchor, is compared with all source frames of a batch. The frames with the nearest poses are its
positives, those with the farthest poses its negatives, and :mod:`hrtk.losses.log_ratio` defines the loss on the
distances of their features. Choices where the thesis is not specific: anchors are target frames, gradients flow into
the features of both, VIBE's supervised losses apply to both, and poses are compared by the mean distance of joints.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.base import Preparation
from hrtk.adapters.few_shot.labels import Labels
from hrtk.adapters.few_shot.shots import draw_shots, read_shots
from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.loss_weights import merged_loss_weights
from hrtk.adapters.parts.posed import SKELETON, PosedPrediction
from hrtk.adapters.parts.preparing import LearningProcess, PreparingAdapter
from hrtk.adapters.parts.source_bank import SourceBank, SourceSampler, dataset_fingerprint
from hrtk.adapters.parts.trunk import Trunk, TrunkCache
from hrtk.body_models.gendered import GenderedBodies
from hrtk.errors import InputError
from hrtk.losses import LogRatioLoss, hips
from hrtk.models.estimators import ClipEstimator, Estimator
from hrtk.registry import ADAPTERS, DATASETS
from hrtk.structures import Prediction, Sequence

# The weights of the supervised losses are VIBE's.
LOSS_WEIGHTS = dict(
    keypoints2d=300.0, joints3d=300.0, rotmat=60.0, betas=0.06, metric=0.1, metric_joints=0.0
)
COMMON14 = slice(14)  # the joints of spin24 by which poses are compared


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class FewShotMetric(PreparingAdapter):
    """Learns from a few labelled frames before anything is predicted; afterwards the weights stay unchanged.

    A step uses a batch of shots and a batch of source crops. Its loss is the mean of the supervised losses of both,
    plus the metric loss between them. ``weights=dict(metric=0)`` is the baseline, supervised fine-tuning. BatchNorm
    statistics stay unchanged.

    Without a ``labelled`` data set, the shots are frames of the target itself and are scored with the others, so that
    the scores are partly training errors. Use other sequences of the same domain for a fair comparison.

    Args:
        source: config of the labelled source batch, see :class:`~hrtk.adapters.parts.source_bank.SourceBank`; 128
            frames in the thesis. Its data set has images, or clips for an estimator of clips.
        shots: number of labelled frames. They are drawn evenly over the sequences and depend only on the run's seed, so
            that every method uses the same shots and a smaller number is a subset of a larger one. 0 leaves the weights
            unchanged.
        labelled: config of the data set from which the shots are drawn, with ground-truth bodies; None is the target.
        steps: number of Adam steps; the thesis does not state it.
        batch: shots (frames or clips) per step, at most all of them; 128 frames in the thesis.
        clip: consecutive labelled frames per shot, for estimators of clips (VideoHMR: 16).
        lr: learning rate of Adam, 5e-5 in VIBE.
        schedule: schedule of the learning rate: ``'constant'``, or ``'linear'``, which decays to zero over the steps,
            so that the result depends less on the last batches.
        adam_betas: decay rates of Adam's moments, torch's defaults.
        weights: overrides of the loss weights:

            * ``keypoints2d`` 300, ``joints3d`` 300, ``rotmat`` 60, ``betas`` 0.06: supervised losses, as in VIBE.
            * ``metric`` 0.1: metric loss on features (0.1, 0.2, 0.5 and 1 in the thesis).
            * ``metric_joints`` 0: metric loss on predicted joints relative to the hips.
        variant: variant of :class:`~hrtk.losses.LogRatioLoss`: ``'thesis'``, ``'kim'`` or ``'abs'``.
        share: fraction of the source batch that are positives; as many are negatives. 0.3 in the thesis.
        reduction: reduction over anchors: ``'sum'`` as printed, with which the loss grows with the number of shots in a
            batch, or ``'mean'``.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`; if
            they all lie behind the estimator's cut, the frozen part runs once per crop.
        bodies: ``dict(male=..., female=...)``, body files for shots whose ground truth is of a gendered body model
            (3DPW), see :class:`~hrtk.body_models.gendered.GenderedBodies`; their betas are not supervised.
        save_every: steps between the stored states; an interrupted run resumes from the last and gives bit-identical
            results.

    Raises:
        InputError: an option has a value that is not allowed, or a body file is missing.
    """

    source: Mapping[str, Any]
    shots: int = 50
    labelled: Optional[Mapping[str, Any]] = None
    steps: int = 1000
    batch: int = 128
    clip: int = 1
    lr: float = 5e-5
    schedule: Literal['constant', 'linear'] = 'constant'
    adam_betas: tuple[float, float] = (0.9, 0.999)
    weights: Optional[Mapping[str, float]] = None
    variant: str = 'thesis'
    share: float = 0.3
    reduction: str = 'mean'
    parameters: str = 'all'
    bodies: Optional[Mapping[str, str]] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.batch, self.clip) < 1 or min(self.shots, self.steps) < 0:
            raise InputError(
                f'FewShotMetric: batch and clip are at least 1, shots and steps 0, not {self.batch}, {self.clip}, '
                f'{self.shots} and {self.steps}'
            )
        beyond = self.shots % self.clip
        if beyond:
            fewer = self.shots - beyond
            raise InputError(
                f'FewShotMetric: shots={self.shots} are no whole clips of clip={self.clip} frames; take {fewer} or '
                f'{fewer + self.clip}'
            )
        # Build these now, so that bad options fail at construction.
        self.loss_weights
        self.source_bank
        self.labelled_dataset
        self.gendered_bodies
        self.metric_loss

    @functools.cached_property
    def loss_weights(self) -> dict[str, float]:
        """The loss weights."""
        return merged_loss_weights('FewShotMetric', LOSS_WEIGHTS, self.weights)

    @functools.cached_property
    def source_bank(self) -> SourceBank:
        """The labelled crops of the source."""
        return SourceBank(**self.source)

    @functools.cached_property
    def labelled_dataset(self) -> Any:
        """The data set from which the shots are drawn, or None for the target."""
        if self.labelled is None:
            return None
        return DATASETS.build(self.labelled)

    @functools.cached_property
    def gendered_bodies(self) -> Optional[GenderedBodies]:
        """The body models of gendered ground truth, or None."""
        if self.bodies is None:
            return None
        return GenderedBodies(self.bodies)

    @functools.cached_property
    def metric_loss(self) -> LogRatioLoss:
        """The metric loss between target and source."""
        return LogRatioLoss(self.variant, share=self.share, reduction=self.reduction)

    @property
    def total_steps(self) -> int:
        """Number of Adam steps; 0 without shots."""
        if not self.shots:
            return 0
        return self.steps

    def begin(
        self,
        estimator: Estimator,
        sequences: SequenceOf[Sequence],
        preparation: Preparation,
        seed: int,
    ) -> FewShotProcess:
        """Reads the shots and the source, and returns the learning process."""
        learner = Learner(estimator, self.parameters, self.lr, self.adam_betas)
        labelled = self._labelled_sequences(sequences)
        shots = draw_shots(labelled, self.shots // self.clip, seed, self.clip)
        crops, labels = read_shots(estimator, labelled, shots, self.gendered_bodies)
        self._check_source(estimator)
        self.source_bank.load(estimator)
        return FewShotProcess(self, learner, crops, labels, seed)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the source and of the labelled data."""
        hashes = {}
        for key, value in self.source_bank.fingerprint().items():
            hashes[f'source.{key}'] = value
        for key, value in dataset_fingerprint(self.labelled_dataset).items():
            hashes[f'labelled.{key}'] = value
        return hashes

    def _labelled_sequences(self, target: SequenceOf[Sequence]) -> SequenceOf[Sequence]:
        dataset = self.labelled_dataset
        if dataset is None:
            return target
        sequences = [dataset[index] for index in range(len(dataset))]
        target_names = {sequence.name for sequence in target}
        for sequence in sorted(sequences, key=lambda sequence: sequence.name):
            if sequence.name in target_names:
                raise InputError(
                    f'FewShotMetric: {sequence.name!r} is in the labelled data set and in the target, where its '
                    f'shots would be scored; take another seed or split, or labelled=None if that is wanted'
                )
        return sequences

    def _check_source(self, estimator: Estimator) -> None:
        """Raises an error if the source has images and the estimator takes clips, or the reverse."""
        takes_clips = isinstance(estimator, ClipEstimator)
        has_clips = self.source_bank.dataset[0]['image'].ndim == 4
        if takes_clips == has_clips:
            return
        needed, offered, example = ('images', 'clips', 'OpenViews')
        if takes_clips:
            needed, offered, example = ('clips', 'images', 'OpenTracks')
        raise InputError(
            f'FewShotMetric: {type(estimator).__name__} takes {needed} and the source has {offered}; name a source '
            f'data set of {needed}, such as {example}'
        )


class FewShotProcess(LearningProcess):
    """The steps of few-shot adaptation.

    Args:
        options: the adapter.
        learner: the adapting weights, with their optimiser.
        crops: (N, 3, R, R) crops of the shots, or (N, T, 3, R, R) clips.
        labels: labels of each shot.
        seed: seed of batch sampling.
    """

    def __init__(
        self,
        options: FewShotMetric,
        learner: Learner,
        crops: Tensor,
        labels: list[Labels],
        seed: int,
    ) -> None:
        super().__init__(learner)
        self.options = options
        self.estimator = learner.estimator
        self.trunk = Trunk(self.estimator, learner.weights)
        self.crops = crops
        self.labels = labels
        self.seed = seed
        self.source = SourceSampler(options.source_bank)
        self._shots_cache = TrunkCache()

    def run(self, steps: range) -> Iterator[dict[str, Tensor]]:
        """Runs the steps numbered ``steps``; yields the values that :meth:`_terms` returns."""
        for step in steps:
            torch.manual_seed(self.seed + step)
            if self.options.schedule == 'linear':
                self.learner.set_lr(self.options.lr * (1 - step / self.options.steps))
            yield self._descend()

    def _descend(self) -> dict[str, Tensor]:
        chosen = torch.randperm(len(self.crops))[: self.options.batch]
        source = self.source.draw(self.trunk)
        index = chosen.to(self.crops.device)
        shots = self._shots_cache.get(self.trunk, index, self.crops.__getitem__)
        shot_labels = Labels.cat([self.labels[i] for i in chosen.tolist()])
        source_labels = Labels.of_source(source, self.estimator.required_body)
        terms: dict[str, Tensor] = {}

        # The estimator's own tensors adapt, so the objective does not use its argument.
        def objective(_: Weights) -> Tensor:
            target_pair = (self._predict(shots), shot_labels)
            source_pair = (self._predict(source.images), source_labels)
            terms.update(self._terms(target_pair, source_pair))
            loss_weights = self.options.loss_weights
            weighted = [loss_weights.get(name, 1.0) * term for name, term in terms.items()]
            return _total(weighted)

        self.learner.descend(objective)
        return {name: term.detach() for name, term in terms.items()}

    def _predict(self, inputs: Tensor) -> PosedPrediction:
        prediction: Prediction
        if self.trunk.shared:
            prediction = self.estimator.from_trunk(inputs)
        else:
            prediction = self.estimator(inputs)
        return PosedPrediction.of(prediction, self.estimator.required_body)

    def _terms(
        self,
        target: tuple[PosedPrediction, Labels],
        source: tuple[PosedPrediction, Labels],
    ) -> dict[str, Tensor]:
        """Returns ``loss``, the weighted supervised loss, and the unweighted metric losses whose weight is not 0."""
        loss_weights = self.options.loss_weights
        supervised = []
        for posed, labels in (target, source):
            for name, value in labels.losses(posed).items():
                supervised.append(loss_weights[name] * value / 2)
        terms = dict(loss=_total(supervised))
        for name, embed in (('metric', _features), ('metric_joints', _centred_joints)):
            if loss_weights[name]:
                terms[name] = self.options.metric_loss.between(
                    embed(target[0]),
                    target[1].joints3d[:, COMMON14],
                    embed(source[0]),
                    source[1].joints3d[:, COMMON14],
                )
        return terms


def _total(terms: SequenceOf[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _features(posed: PosedPrediction) -> Tensor:
    features = posed.prediction.features
    if features is None:
        raise InputError(
            'FewShotMetric: this estimator has no features to compare; use weights=dict(metric=0, '
            'metric_joints=...), which compares predicted joints'
        )
    return features


def _centred_joints(posed: PosedPrediction) -> Tensor:
    """Returns (N, 42) coordinates of the common joints relative to the hips."""
    joints3d = posed.spin24_joints3d[:, COMMON14]
    root = joints3d[:, hips(SKELETON)].mean(1, keepdim=True)
    return (joints3d - root).flatten(1)
