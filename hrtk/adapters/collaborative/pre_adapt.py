"""Pre-adaptation of 3DHR-Co: a student learns from a temporal teacher's labels before any frame is predicted.

Lumentut and Lee, "3DHR-Co: A Collaborative Test-Time Refinement Framework for In-the-Wild 3D Human-Body Reconstruction
Task", IEEE Access 2023: Algorithm 1, lines 3 to 11, and Eq. 1. The teacher takes clean crops and their
temporal neighbours, the student takes the same crops corrupted by noise. Both predict the camera of the same crop, so
that the cameras can be compared. The method is transductive: it uses all frames of the target, but not their 3D ground
truth, before the first prediction.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.base import FrozenSession, Preparation, Session
from hrtk.adapters.collaborative.labels import LABELS, label_sequences
from hrtk.adapters.parts.crop_reader import CropReader, FrameDraw
from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.loss_weights import merged_loss_weights
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.parts.preparing import LearningProcess, PreparingAdapter
from hrtk.adapters.parts.targets import crop_targets, report_unseen
from hrtk.errors import InputError, OptionError
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

    Epochs are defined as in the paper: ``sequences`` sequences, drawn without replacement, with one batch of ``frames``
    random frames and one Adam step each. The paper's "600 epochs" are 601 (checkpoints at 1, 201, 401, 601) of 24
    frames, 0.068 % of 3DPW's test set each. The labels are constant and computed once; BatchNorm statistics stay
    unchanged. If the 2D loss is in use, frames without a visible keypoint are not drawn, nor sequences of such frames
    only: their crops are those of other frames, and the official files do not have them.

    Args:
        teacher: config of the teacher; may be None if ``keypoints2d`` is the only loss with a weight above 0.
        epochs: number of epochs; 601 for the best results in the paper.
        sequences: sequences per epoch.
        frames: frames per sequence and batch.
        lr: learning rate of Adam, 1e-5 in the paper (ResNet-50).
        adam_betas: decay rates of Adam's moments; the defaults are torch's, because the paper does not state them.
        max_norm: maximum norm of the gradient, which is scaled down to it; None disables this, as in the paper. At
            learning rates far above the paper's, a single batch may otherwise make the run diverge.
        corruption: config of the corruption of the student's crops, or None; the paper's sigma are 35, 50 and 65.
        weights: overrides of the loss weights of Eq. 1: ``pose`` 10, ``betas`` 0.1, ``camera`` 1, ``keypoints2d`` 1.
            All losses are means over elements; with the norms as printed, the loss weights would depend on tensor
            sizes.
        pose: representation of theta in Eq. 1: ``'rotmat'``, as in SPIN's and DynaBOA's losses, or ``'axis_angle'`` (72
            numbers, discontinuous at pi).
        normalise: normalisation of the 2D loss, ``'all'`` or ``'visible'``, see :func:`~hrtk.losses.keypoint2d_loss`.
        skeleton: joints of the 2D loss.
        truncate: replay the official loaders' 2D targets in whole pixels.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        save_every: epochs between the stored states; an interrupted run resumes from the last and gives bit-identical
            results.

    Raises:
        InputError: an option has a value that is not allowed, or a loss in use needs a teacher and ``teacher`` is None.
    """

    length_option: ClassVar[Optional[str]] = 'epochs'
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
        if self.max_norm is not None and not self.max_norm > 0:
            raise OptionError(f'PreAdapt: max_norm is above 0 or None, not {self.max_norm}')
        # Build these now, so that bad options fail at construction.
        self.teacher_network
        self.corrupt

    @functools.cached_property
    def loss_weights(self) -> dict[str, float]:
        """The loss weights of Eq. 1."""
        return merged_loss_weights('PreAdapt', LOSS_WEIGHTS, self.weights)

    @functools.cached_property
    def teacher_network(self) -> Optional[Teacher]:
        """The teacher, or None if no loss needs labels."""
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
        """Number of epochs."""
        return self.epochs

    def begin(
        self,
        estimator: Estimator,
        sequences: SequenceOf[Sequence],
        preparation: Preparation,
        seed: int,
    ) -> TeachingProcess:
        """Labels every frame of the target, or loads stored labels, and returns the learning process.

        Raises:
            InputError: the 2D loss is in use and no frame of the target has a visible keypoint.
        """
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
            if not any(bool(keypoints.seen.any()) for keypoints in keypoints2d):
                raise InputError(
                    f'PreAdapt: no frame of the target has a keypoint that {self.skeleton} can use with a confidence '
                    f'above zero; give it 2D keypoints, or set weights=dict(keypoints2d=0) to learn from the teacher '
                    f'alone'
                )
        learner = Learner(estimator, self.parameters, self.lr, self.adam_betas, self.max_norm)
        return TeachingProcess(self, learner, sequences, labels, keypoints2d, seed)

    def start(self, estimator: Estimator) -> Session:
        """Starts a session with the prepared weights, which no longer change."""
        if not self.loss_weights['keypoints2d']:
            return FrozenSession(estimator)
        return PreAdaptedSession(estimator, self.skeleton)

    def fingerprint(self) -> dict[str, str]:
        """Returns the teacher's hashes."""
        if self.teacher_network is None:
            return {}
        return self.teacher_network.fingerprint()


class PreAdaptedSession(FrozenSession):
    """Predicts with the prepared weights, and counts the frames that the preparation did not draw.

    Args:
        estimator: network with the prepared weights.
        skeleton: joints of the 2D loss.
    """

    def __init__(self, estimator: Estimator, skeleton: str) -> None:
        super().__init__(estimator)
        self.skeleton = skeleton
        self._unseen: dict[str, int | float] = {}

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Yields the predictions of the frames behind the first ``done``."""
        self._unseen = report_unseen(sequence, crop_targets(sequence, self.skeleton).seen)
        return super().run_from(sequence, done, state)

    @property
    def counts(self) -> dict[str, int | float]:
        """``frames_without_evidence`` of the last sequence, if there are any: frames without a visible keypoint."""
        return self._unseen


class TeachingProcess(LearningProcess):
    """The epochs of pre-adaptation.

    Args:
        options: the adapter.
        learner: the student's weights, with their optimiser.
        sequences: the whole target.
        labels: the teacher's labels of every sequence, or None.
        keypoints2d: 2D keypoints of every sequence, or None.
        seed: seed of frame sampling and corruption.
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
        # Frames that can be drawn, by sequence; sequences without any are left out.
        self.drawable: dict[int, Tensor] = {}
        for index, sequence in enumerate(sequences):
            frames = torch.arange(len(sequence))
            if keypoints2d is not None:
                frames = frames[keypoints2d[index].seen.cpu()]
            if len(frames):
                self.drawable[index] = frames

    def run(self, steps: range) -> Iterator[dict[str, Any]]:
        """Runs the epochs numbered ``steps``; yields the mean loss of each, and the passes over the target so far."""
        batches = min(self.options.sequences, len(self.drawable))
        total_frames = sum(len(frames) for frames in self.drawable.values())
        # The paper's sample percentage (0.068 % of 3DPW per epoch), counted with repetition.
        share = batches * self.options.frames / total_frames
        drawn_crops = CropReader(self.student, self.sequences).read(self._draws(steps))
        for epoch in steps:
            # One seed per epoch, so that a resumed run needs only the index of the epoch.
            torch.manual_seed(self.seed + epoch)
            losses = []
            for _ in range(batches):
                draw, crops = next(drawn_crops)
                losses.append(self._descend(draw, crops))
            yield dict(loss=sum(losses) / len(losses), passes=(epoch + 1) * share)

    def _draws(self, epochs: range) -> Iterator[FrameDraw]:
        """Samples the frames of all epochs.

        Each epoch has its own generator, because the reader prefetches and must not use the global one.
        """
        indices = list(self.drawable)
        for epoch in epochs:
            generator = torch.Generator().manual_seed(self.seed + epoch)
            order = torch.randperm(len(indices), generator=generator)
            for place in order[: self.options.sequences].tolist():
                index = indices[place]
                frames = self.drawable[index]
                chosen = torch.randperm(len(frames), generator=generator)[: self.options.frames]
                yield FrameDraw(index, frames[chosen].tolist())

    def _descend(self, draw: FrameDraw, crops: Tensor) -> Tensor:
        label = None
        if self.labels is not None:
            label = self.labels[draw.sequence][torch.as_tensor(draw.frames)]
        keypoints2d = None
        if self.keypoints2d is not None:
            keypoints2d = self.keypoints2d[draw.sequence][draw.frames]

        # The student's own tensors adapt, so the objective does not use its argument.
        def objective(_: Weights) -> Tensor:
            return self._loss(crops, label, keypoints2d)

        return self.learner.descend(objective)

    def _loss(
        self, crops: Tensor, label: Optional[Prediction], keypoints2d: Optional[CropKeypoints]
    ) -> Tensor:
        """Returns Eq. 1 for one batch; crops are (B, 3, R, R) in [0, 255]."""
        if self.options.corrupt is not None:
            crops = self.options.corrupt(crops)
        predicted = self.student(self.student.normalise(crops))
        loss_weights = self.options.loss_weights
        loss = crops.new_zeros(())
        if label is not None:
            pose = self._pose_loss(predicted.rotmat, label.rotmat)
            betas = betas_loss(predicted.betas, label.betas)
            camera = (predicted.camera - label.camera).square().mean()
            loss = (
                loss_weights['pose'] * pose
                + loss_weights['betas'] * betas
                + loss_weights['camera'] * camera
            )
        if keypoints2d is not None:
            posed = PosedPrediction.of(predicted, self.student.required_body)
            reprojection = keypoint2d_loss(
                posed.joints2d, keypoints2d.xy, keypoints2d.confidence, self.options.normalise
            )
            loss = loss + loss_weights['keypoints2d'] * reprojection
        return loss

    def _pose_loss(self, predicted: Tensor, label: Tensor) -> Tensor:
        if self.options.pose == 'rotmat':
            return rotmat_loss(predicted, label)
        difference = rotmat_to_axis_angle(predicted) - rotmat_to_axis_angle(label)
        return difference.square().mean()
