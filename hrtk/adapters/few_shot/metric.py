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
from collections.abc import Mapping
from typing import Any, Literal, Optional
from typing import Sequence as SequenceOf

import torch

from hrtk.adapters.base import Preparation
from hrtk.adapters.few_shot.diversity import Space, diverse_shots
from hrtk.adapters.few_shot.process import FewShotProcess
from hrtk.adapters.few_shot.shots import Shot, draw_shots, read_shots
from hrtk.adapters.few_shot.validation import VALIDATION, choose_steps
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.loss_weights import merged_loss_weights
from hrtk.adapters.parts.preparing import PreparingAdapter
from hrtk.adapters.parts.source_bank import SourceBank, dataset_fingerprint
from hrtk.body_models.gendered import GenderedBodies
from hrtk.errors import InputError, OptionError
from hrtk.losses import LogRatioLoss
from hrtk.models.estimators import ClipEstimator, Estimator
from hrtk.registry import ADAPTERS, DATASETS
from hrtk.structures import Sequence

# The weights of the supervised losses are VIBE's.
LOSS_WEIGHTS = dict(
    keypoints2d=300.0, joints3d=300.0, rotmat=60.0, betas=0.06, metric=0.1, metric_joints=0.0
)


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
        choice: ``'random'``; or ``'diverse'``, farthest-first in the predictions of the start model, which reads no
            label, see :func:`~hrtk.adapters.few_shot.diversity.diverse_shots`.
        space: what ``choice='diverse'`` compares: predicted ``'poses'`` or ``'features'``.
        steps: number of Adam steps; the thesis does not state it.
        leave_out: number of labelled videos that are left out one after another, to choose the number of steps: the
            other shots are learnt from, and the error on the video that is left out is taken at every
            ``check_every`` steps, from 0 to ``steps``. The number with the least error over all of them is used with
            all shots. Each of these videos costs as much as the whole training. 0 takes ``steps``.
        check_every: steps between two checks.
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
        augment: strength of the distortion of shots and source crops in every step, see
            :func:`~hrtk.models.augmentation.distort`, 1 in the training of the free start models; a random half is
            mirrored as well, and 0 only mirrors. None changes nothing, as in the thesis.
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
    choice: Literal['random', 'diverse'] = 'random'
    space: Space = 'poses'
    steps: int = 1000
    leave_out: int = 0
    check_every: int = 25
    batch: int = 128
    clip: int = 1
    lr: float = 5e-5
    schedule: Literal['constant', 'linear'] = 'constant'
    adam_betas: tuple[float, float] = (0.9, 0.999)
    weights: Optional[Mapping[str, float]] = None
    variant: str = 'thesis'
    share: float = 0.3
    reduction: str = 'mean'
    augment: Optional[float] = None
    parameters: str = 'all'
    bodies: Optional[Mapping[str, str]] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        beyond = self.shots % self.clip
        if beyond:
            fewer = self.shots - beyond
            raise OptionError(
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
        self._check_augment(estimator)
        labelled = self._labelled_sequences(sequences)
        shots = self._choose_shots(estimator, labelled, seed)
        crops, labels = read_shots(estimator, labelled, shots, self.gendered_bodies)
        self._check_source(estimator)
        self.source_bank.load(estimator)

        def begin(chosen: list[int], steps: Optional[int] = None) -> FewShotProcess:
            learner = Learner(estimator, self.parameters, self.lr, self.adam_betas)
            index = torch.tensor(chosen, device=crops.device)
            return FewShotProcess(
                self, learner, crops[index], [labels[i] for i in chosen], seed, steps
            )

        steps = None
        if self.leave_out:
            steps = choose_steps(begin, shots, crops, labels, preparation)
        return begin(list(range(len(shots))), steps)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that :meth:`prepare` stores."""
        if not self.leave_out:
            return super().states
        return (VALIDATION, *super().states)

    def _choose_shots(
        self, estimator: Estimator, labelled: SequenceOf[Sequence], seed: int
    ) -> list[Shot]:
        count = self.shots // self.clip
        if self.choice == 'random':
            return draw_shots(labelled, count, seed, self.clip)
        return diverse_shots(estimator.eval(), labelled, count, seed, self.clip, self.space)

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

    def _check_augment(self, estimator: Estimator) -> None:
        """Raises an error if the crops to change are no images."""
        if self.augment is not None and estimator.input_shape[0] != 3:
            raise InputError(
                f'FewShotMetric: augment changes images, and {type(estimator).__name__} takes '
                f'{estimator.input_shape}; set augment=None'
            )
