"""Pre-adaptation of 3DHR-Co: a student learns from a temporal teacher's labels, before any frame is predicted.

Lumentut and Lee, "3DHR-Co: A Collaborative Test-Time Refinement Framework for In-the-Wild 3D Human-Body Reconstruction
Task", IEEE Access 2023: Algorithm 1, lines 3 to 11, and Eq. 1. The teacher sees clean crops and their neighbours in
time, the student sees the same crops corrupted by noise. Both cameras refer to the same crop, without which their
comparison would have no meaning. The method is transductive: all frames of the target, but not their 3D truth, are used
before the first prediction counts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.base import Preparation
from hrtk.adapters.collaborative.labels import LABELS, label_sequences
from hrtk.adapters.parts.crop_reader import CropReader, FrameDraw
from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.loss_weights import merged_loss_weights
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.parts.preparing import LearningProcess, PreparingAdapter
from hrtk.adapters.parts.targets import crop_targets
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.losses import betas_loss, keypoint2d_loss, rotmat_loss
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, CORRUPTIONS, TEACHERS
from hrtk.structures import Prediction, Sequence
from hrtk.teachers import Teacher

LOSS_WEIGHTS = dict(pose=10.0, betas=0.1, camera=1.0, keypoints2d=1.0)  # lambda 1 to 4
TAUGHT = ('pose', 'betas', 'camera')


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class PreAdapt(PreparingAdapter):
    """Pre-adaptation; afterwards the adapted model predicts every frame without further adaptation.

    An epoch is what the paper counts: ``sequences`` sequences, drawn without replacement, with one batch of ``frames``
    random frames and one Adam step each. Its "600 epochs" are 601 (checkpoints at 1, 201, 401, 601) of 24 frames,
    0.068 % of 3DPW's test set each. The labels never change and are computed once; BatchNorm keeps its statistics.

    Args:
        teacher: config of the teacher; may be None if only ``keypoints2d`` has a weight.
        epochs: 601 in the paper's best cells.
        sequences: sequences per epoch.
        frames: frames per sequence and batch.
        lr: rate of Adam, 1e-5 in the paper (ResNet-50).
        adam_betas: decay rates of Adam's moments, torch's defaults; the paper is silent.
        max_norm: a gradient with a larger norm is scaled down to this norm; None, as in the paper, leaves gradients as
            they are. At rates far above the paper's, a single batch may otherwise make the run diverge.
        corruption: config of the corruption of the student's crops, or None; the paper's sigma are 35, 50 and 65.
        weights: factors of Eq. 1 that differ from ``pose`` 10, ``betas`` 0.1, ``camera`` 1, ``keypoints2d`` 1. All
            terms are means over numbers: norms as printed would make the factors depend on sizes.
        pose: theta of Eq. 1: ``'rotmat'``, as in SPIN's and DynaBOA's losses, or ``'axis_angle'`` (72 numbers, with a
            jump at pi).
        normalise: ``'all'`` or ``'visible'``, of :func:`~hrtk.losses.keypoint2d_loss`.
        skeleton: joints of the 2D term.
        truncate: replay the official loaders' 2D targets in whole pixels.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        save_every: epochs between the states from which an interrupted run resumes, with the same digits.

    Raises:
        InputError: an option has a value that is not allowed, or the weights need a teacher and none is named.
    """

    teacher: Optional[Mapping[str, Any]] = None
    epochs: int = 601
    sequences: int = 3
    frames: int = 8
    lr: float = 1e-5
    adam_betas: tuple[float, float] = (0.9, 0.999)
    max_norm: Optional[float] = None
    corruption: Optional[Mapping[str, Any]] = dataclasses.field(
        default_factory=lambda: dict(type='GaussianNoise', sigma=35.0)
    )
    weights: Optional[Mapping[str, float]] = None
    pose: Literal['rotmat', 'axis_angle'] = 'rotmat'
    normalise: Literal['all', 'visible'] = 'all'
    skeleton: str = 'spin24'
    truncate: bool = False
    parameters: str = 'all'

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.sequences, self.frames) < 1 or self.epochs < 0:
            raise InputError(
                f'PreAdapt: sequences and frames are at least 1 and epochs 0, not {self.sequences}, {self.frames} '
                f'and {self.epochs}'
            )
        if self.max_norm is not None and not self.max_norm > 0:
            raise InputError(f'PreAdapt: max_norm is above 0 or None, not {self.max_norm}')
        self.teacher_network  # a wrong config is reported now
        self.corrupt

    @functools.cached_property
    def loss_weights(self) -> dict[str, float]:
        """The factors of Eq. 1."""
        return merged_loss_weights('PreAdapt', LOSS_WEIGHTS, self.weights)

    @functools.cached_property
    def teacher_network(self) -> Optional[Teacher]:
        """The teacher, or None if no term needs labels."""
        if not any(self.loss_weights[name] for name in TAUGHT):
            return None
        if self.teacher is None:
            raise InputError(
                'PreAdapt: pose, betas and camera are labels of a teacher; name one, or set their weights to 0 to '
                'use 2D keypoints alone'
            )
        return TEACHERS.build(self.teacher)

    @functools.cached_property
    def corrupt(self) -> Optional[Callable[[Tensor], Tensor]]:
        """The corruption of the student's crops, or None."""
        if self.corruption is None:
            return None
        return CORRUPTIONS.build(self.corruption)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that :meth:`prepare` stores."""
        return (LABELS, *super().states)

    @property
    def total_steps(self) -> int:
        """Epochs."""
        return self.epochs

    def begin(
        self,
        estimator: Estimator,
        sequences: SequenceOf[Sequence],
        preparation: Preparation,
        seed: int,
    ) -> TeachingProcess:
        """Labels every frame of the target, or takes the labels of an earlier run."""
        estimator.eval().requires_grad_(False)
        labels = None
        if self.teacher_network is not None:
            labels = label_sequences(self.teacher_network, sequences, estimator, preparation)
        keypoints2d = None
        if self.loss_weights['keypoints2d']:
            keypoints2d = [
                crop_targets(sequence, self.skeleton, self.truncate, estimator.device)
                for sequence in sequences
            ]
        learner = Learner(estimator, self.parameters, self.lr, self.adam_betas, self.max_norm)
        return TeachingProcess(self, learner, sequences, labels, keypoints2d, seed)

    def fingerprint(self) -> dict[str, str]:
        """Returns the teacher's hashes."""
        if self.teacher_network is None:
            return {}
        return self.teacher_network.fingerprint()


class TeachingProcess(LearningProcess):
    """The epochs of pre-adaptation.

    Args:
        options: of the adapter.
        learner: the student's weights.
        sequences: the target.
        labels: of every sequence, or None.
        keypoints2d: of every sequence, or None.
        seed: of the drawn frames and the corruption.
    """

    def __init__(
        self,
        options: PreAdapt,
        learner: Learner,
        sequences: SequenceOf[Sequence],
        labels: Optional[SequenceOf[Prediction]],
        keypoints2d: Optional[SequenceOf[CropKeypoints]],
        seed: int,
    ) -> None:
        super().__init__(learner)
        self.options = options
        self.student = learner.estimator
        self.sequences = sequences
        self.labels = labels
        self.keypoints2d = keypoints2d
        self.seed = seed

    def run(self, steps: range) -> Iterator[dict[str, Any]]:
        """Takes the epochs with these numbers; yields the mean loss of each, and the passes over the target."""
        batches = min(self.options.sequences, len(self.sequences))
        total_frames = sum(len(sequence) for sequence in self.sequences)
        # The paper's sample percentage (0.068 % of 3DPW per epoch), counted with repetition.
        share = batches * self.options.frames / total_frames
        drawn_crops = CropReader(self.student, self.sequences).read(self._draws(steps))
        for epoch in steps:
            # One seed per epoch: to resume, nothing but the number of the epoch has to be known.
            torch.manual_seed(self.seed + epoch)
            losses = []
            for _ in range(batches):
                draw, crops = next(drawn_crops)
                losses.append(self._descend(draw, crops))
            yield dict(loss=sum(losses) / len(losses), passes=(epoch + 1) * share)

    def _draws(self, epochs: range) -> Iterator[FrameDraw]:
        """The batches of all epochs, from generators of their own: crops are read ahead of time."""
        for epoch in epochs:
            random = torch.Generator().manual_seed(self.seed + epoch)
            chosen = torch.randperm(len(self.sequences), generator=random)
            for index in chosen[: self.options.sequences].tolist():
                length = len(self.sequences[index])
                frames = torch.randperm(length, generator=random)[: self.options.frames]
                yield FrameDraw(index, frames.tolist())

    def _descend(self, draw: FrameDraw, crops: Tensor) -> Tensor:
        label = None
        if self.labels is not None:
            label = self.labels[draw.sequence][torch.as_tensor(draw.frames)]
        keypoints2d = None
        if self.keypoints2d is not None:
            keypoints2d = self.keypoints2d[draw.sequence][draw.frames]

        def objective(_: Weights) -> Tensor:
            return self._loss(crops, label, keypoints2d)

        return self.learner.descend(objective)

    def _loss(
        self, crops: Tensor, label: Optional[Prediction], keypoints2d: Optional[CropKeypoints]
    ) -> Tensor:
        """Eq. 1 of one batch; crops (B, 3, R, R) in [0, 255]."""
        if self.options.corrupt is not None:
            crops = self.options.corrupt(crops)
        predicted = self.student(normalise(crops))
        factors = self.options.loss_weights
        loss = crops.new_zeros(())
        if label is not None:
            pose = self._pose_loss(predicted.rotmat, label.rotmat)
            betas = betas_loss(predicted.betas, label.betas)
            camera = (predicted.camera - label.camera).square().mean()
            loss = factors['pose'] * pose + factors['betas'] * betas + factors['camera'] * camera
        if keypoints2d is not None:
            posed = PosedPrediction.of(predicted, self.student.required_body)
            reprojection = keypoint2d_loss(
                posed.joints2d, keypoints2d.xy, keypoints2d.confidence, self.options.normalise
            )
            loss = loss + factors['keypoints2d'] * reprojection
        return loss

    def _pose_loss(self, predicted: Tensor, label: Tensor) -> Tensor:
        if self.options.pose == 'rotmat':
            return rotmat_loss(predicted, label)
        difference = rotmat_to_axis_angle(predicted) - rotmat_to_axis_angle(label)
        return difference.square().mean()
