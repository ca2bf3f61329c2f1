"""Base classes of BOA and DynaBOA: adaptation to 2D keypoints, frame by frame."""

from __future__ import annotations

import collections
import dataclasses
import functools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Optional

import torch
from torch import Tensor, nn

from hrtk.adapters.base import FROZEN, Adapter, Effort, Session
from hrtk.adapters.bilevel.objectives import LossWeights, Objectives
from hrtk.adapters.bilevel.state import BilevelState
from hrtk.adapters.parts.evidence import check_until, keypoint_error
from hrtk.adapters.parts.loss_weights import WeightedLosses
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.parts.rollback import GoodWeights, is_finite
from hrtk.adapters.parts.source_loss import SourceLabels
from hrtk.adapters.parts.targets import crop_targets, report_unseen
from hrtk.errors import OptionError
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.registry import LOSSES
from hrtk.structures import Prediction, Sequence


@dataclasses.dataclass(frozen=True)
class Frame:
    """Input and 2D keypoints of one frame of a sequence.

    Attributes:
        inputs: the frame's crop (1, 3, R, R), or the output of a shared trunk for this crop.
        keypoints: the frame's 2D keypoints, (1, 24).
        temporal: whether the temporal losses apply to the frame, see ``temporal_every`` of :class:`OnlineAdapter`.
    """

    inputs: Tensor
    keypoints: CropKeypoints
    temporal: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnlineAdapter(WeightedLosses[LossWeights], Adapter):
    """Options of adaptation frame by frame.

    Args:
        lr: learning rate of the outer Adam step; 3e-6 for 3DPW and ResNet-50, 2e-6 for 3DHP.
        adam_betas: decay rates of Adam's moments.
        inner_lr: learning rate of the probe, 8e-6 in the code of BOA.
        order: ``'second'`` differentiates through the probe, ``'first'`` does not.
        weights: overrides of the method's loss weights, see
            :class:`~hrtk.adapters.bilevel.objectives.LossWeights`.
        interval: tau, frames between both ends of the motion loss; 5 in the code of BOA.
        teacher_keep: delta, decay of the mean teacher's moving average per update; 0.1 in the code of BOA.
        teacher_update: when the mean teacher is updated: ``'frame'``, once, after all steps on a frame (line 11 of
            Algorithm 1), so that delta does not depend on the number of steps; or ``'step'``, after every step.
        source_labels: joints of the loss on labelled source crops: ``'measured'``, those of motion capture with their
            confidences, as in the released code of both methods (needs data with measured joints, such as Human3.6M by
            :class:`~hrtk.datasets.SPINViews`); or ``'body'``, all joints of the labelled bodies, for other data.
        pose_prior: config of the pose prior; the default is the mixture fitted to the free motion.
        normalise: normalisation of the 2D loss, ``'all'`` or ``'visible'``, see :func:`~hrtk.losses.keypoint2d_loss`.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`; if
            they all lie behind the estimator's cut, the frozen part runs once per crop.
        predict: ``'after'`` the update, as in all published numbers, or ``'before'`` it.
        truncate: replay the official loaders' 2D targets in whole pixels.
        until: 2D error of a frame at which its steps end, px per coordinate on a crop of 224 px, see
            :func:`~hrtk.adapters.parts.evidence.keypoint_error`: the noise of the keypoints, 4 for the noise model
            ``'detector'``. The forward pass whose error is not above it is the prediction, and a frame that has no
            greater error at first makes no step; the number of steps of the method is then the largest number. The
            error is read once per pass, which waits for the GPU. None: the method's own number of steps.
        temporal_every: n; the temporal losses (motion and mean teacher) are computed on every n-th frame only.
        pull: share of the way back to the start weights with which every step ends, see
            :class:`~hrtk.adapters.parts.learner.Learner`; 0 in both papers.
        soft_reset: mu; before every sequence but the first, with ``reset='never'``, the weights return to their moving
            average, ``average = mu * average + (1 - mu) * weights``, which begins with the start weights: mu = 0.95
            takes them most of the way back. The mean teacher begins again; Adam's moments stay. After Wen, Dong,
            Sugano, "Robust Long-term Test-Time Adaptation for 3D Human Pose Estimation through Motion Discretization",
            arXiv 2511.18851, of which the abstract was read: when its average is updated and when the weights return is
            chosen here. None: weights carry over as they are.
        reset: when a new session starts, see :class:`~hrtk.adapters.base.Adapter`.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    lr: float = 3e-6
    adam_betas: tuple[float, float] = (0.5, 0.999)
    inner_lr: float = 8e-6
    order: Literal['second', 'first'] = 'second'
    weights: Optional[Mapping[str, float]] = None
    interval: int = 5
    teacher_keep: float = 0.1
    teacher_update: Literal['frame', 'step'] = 'frame'
    source_labels: SourceLabels = 'body'
    pose_prior: Optional[Mapping[str, Any]] = None
    normalise: Literal['all', 'visible'] = 'all'
    parameters: str = 'all'
    predict: Literal['after', 'before'] = 'after'
    truncate: bool = False
    until: Optional[float] = None
    temporal_every: int = 1
    pull: float = 0.0
    soft_reset: Optional[float] = None

    DEFAULT_LOSS_WEIGHTS: ClassVar[LossWeights] = LossWeights()

    def __post_init__(self) -> None:
        super().__post_init__()
        label = type(self).__name__
        check_until(label, self.until)
        if not 0 <= self.pull < 1:
            raise OptionError(f'{label}: pull is in [0, 1), not {self.pull}')
        if self.soft_reset is not None and not 0 <= self.soft_reset <= 1:
            raise OptionError(f'{label}: soft_reset is in [0, 1] or None, not {self.soft_reset}')
        if self.soft_reset is not None and self.reset != 'never':
            raise OptionError(
                f"{label}: soft_reset softens what carries over between sequences; set reset='never', not "
                f'{self.reset!r}'
            )
        # Build these now, so that bad options fail at construction.
        self.objectives

    @functools.cached_property
    def objectives(self) -> Objectives:
        """The losses."""
        return Objectives(
            self.loss_weights,
            self.pose_prior_network,
            self.normalise,
            source_labels=self.source_labels,
        )

    def fingerprint(self) -> dict[str, str]:
        """Returns a hash of the pose prior's file."""
        prior = self.pose_prior_network
        if prior is None:
            return {}
        return {'pose_prior': hash_tensors(dict(prior.named_buffers()))}

    @functools.cached_property
    def pose_prior_network(self) -> Optional[nn.Module]:
        """The pose prior, or None if its loss weight is zero."""
        if not self.loss_weights.pose_prior:
            return None
        return LOSSES.build(self.pose_prior or dict(type='GMMPosePrior'))


class OnlineSession(Session):
    """Adapts on one frame after the other. A subclass implements :meth:`adapt_to`.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
    """

    def __init__(self, options: OnlineAdapter, estimator: Estimator) -> None:
        # Evaluation mode: one image gives no batch statistics for BatchNorm, and the probe must be deterministic.
        estimator.eval()
        self.estimator = estimator
        self.interval = options.interval
        self.truncate = options.truncate
        self.objectives = options.objectives
        if self.objectives.pose_prior is not None:
            self.objectives.pose_prior.to(estimator.device)
        self.state = BilevelState(
            estimator,
            options.parameters,
            options.lr,
            options.adam_betas,
            options.pull,
            options.soft_reset is not None,
        )
        self.soft_reset = options.soft_reset
        self.until = options.until
        self.temporal_every = options.temporal_every
        self.steps_taken: list[int] = []
        self._unseen: dict[str, int | float] = {}
        self.predicts_before = options.predict == 'before'
        self._good: Optional[GoodWeights] = None
        self._rolled_back = 0
        self._history: collections.deque[tuple[int, Frame]] = collections.deque(
            maxlen=self.interval
        )
        self._frames_seen = 0  # of this sequence, with a visible keypoint

    def adapt_to(self, frame: Frame, past: Optional[Frame]) -> Prediction:
        """Adapts on one frame and returns its prediction.

        Args:
            frame: the frame.
            past: the frame ``interval`` frames ago; None at the beginning of a sequence.
        """
        raise NotImplementedError

    def evidence_is_met(self, posed: PosedPrediction, frame: Frame) -> bool:
        """Whether the 2D error of a frame's prediction is not above ``until``; False without that option, or for NaN.

        Waits for the GPU.
        """
        if self.until is None:
            return False
        error = keypoint_error(posed.spin24_joints2d.detach(), frame.keypoints)
        return error.item() <= self.until

    def start_sequence(self) -> None:
        """Resets the counts of the last sequence."""
        self.estimator.eval()
        self.steps_taken = []
        self.state.learner.reset_counts()
        self._rolled_back = 0
        self._history.clear()
        self._frames_seen = 0

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Adapts on one frame after the other and yields the prediction of each.

        A frame without a visible keypoint is predicted with the present weights and otherwise ignored, as if it were
        not in the sequence (the released code of BOA and DynaBOA removes such frames of 3DPW from its files): it makes
        no step, does not move the mean teacher and is no past of a later frame.
        """
        if self.soft_reset is not None:
            self.state.learner.soften(self.soft_reset)
            self.state.reset_teacher()
        self.start_sequence()
        yield from self._run_frames(sequence, 0, [])

    def midway_state(self, done: int) -> dict[str, Any]:
        """Returns the session's state, the frames of the motion history and the counts of the sequence."""
        good = {}
        if self._good is not None:
            good = self._good.state_dict()
        return {
            'session': self.state_dict(),
            'history': [t for t, _ in self._history],
            'skipped': self.state.learner.skipped_by_name,
            'rolled_back': self._rolled_back,
            'steps_taken': list(self.steps_taken),
            'good': good,
        }

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Continues behind the first ``done`` frames; reads the frames of the motion history again."""
        self.start_sequence()
        self.load_state_dict(state['session'])
        self.load_midway(state)
        yield from self._run_frames(sequence, done, state['history'])

    def load_midway(self, state: Mapping[str, Any]) -> None:
        """Restores what a sequence changes besides :meth:`state_dict`."""
        self.state.learner.load_skipped(state['skipped'])
        self._rolled_back = state['rolled_back']
        self.steps_taken = list(state['steps_taken'])
        if state['good']:
            self._good = GoodWeights(self.state.learner, self.predicts_before)
            self._good.load_state_dict(state['good'])

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """The method's own steps, or none."""
        return (Effort(1), FROZEN)

    def push(self, sequence: Sequence, effort: Optional[Effort] = None) -> Prediction:
        """Adapts on the last frame of the sequence; see :meth:`~hrtk.adapters.base.Session.push`.

        A frame without steps does not move the mean teacher, and it is the past of a later frame.
        """
        t = len(sequence) - 1
        newest = sequence.part(t, t + 1)
        keypoints = crop_targets(newest, truncate=self.truncate, device=self.estimator.device)
        is_seen = bool(keypoints.seen.cpu()[0])
        return self._predict_next(sequence, t, keypoints, is_seen, effort)

    def stream_state(self) -> dict[str, Any]:
        """Returns the state inside a sequence, with the inputs of the motion history, which cannot be read again."""
        history = []
        for _, frame in self._history:
            points = frame.keypoints
            history.append((frame.inputs, points.xy, points.confidence, frame.temporal))
        return {**self.midway_state(0), 'history': history, 'frames_seen': self._frames_seen}

    def load_stream(self, state: Mapping[str, Any]) -> None:
        """Continues a stream; see :meth:`~hrtk.adapters.base.Session.load_stream`."""
        self.start_sequence()
        self.load_state_dict(state['session'])
        self.load_midway(state)
        self._frames_seen = state['frames_seen']
        device = self.estimator.device
        for inputs, xy, confidence, temporal in state['history']:
            keypoints = CropKeypoints(xy.to(device), confidence.to(device))
            self._history.append((0, Frame(inputs.to(device), keypoints, temporal)))

    def _run_frames(
        self, sequence: Sequence, first: int, history: list[int]
    ) -> Iterator[Prediction]:
        """Adapts on the frames from ``first`` on.

        Args:
            sequence: all its frames.
            first: index of a frame.
            history: indices of at most ``interval`` frames that were adapted to before.
        """
        keypoints = crop_targets(sequence, truncate=self.truncate, device=self.estimator.device)
        seen = keypoints.seen.cpu()
        self._unseen = report_unseen(sequence, seen)
        self._frames_seen = int(seen[:first].sum())
        self._history.clear()
        for t in history:
            self._history.append((t, Frame(self._inputs(sequence, t), keypoints[t : t + 1])))
        for t in range(first, len(sequence)):
            yield self._predict_next(sequence, t, keypoints[t : t + 1], bool(seen[t]))

    def _predict_next(
        self,
        sequence: Sequence,
        t: int,
        keypoints: CropKeypoints,
        is_seen: bool,
        effort: Optional[Effort] = None,
    ) -> Prediction:
        """Adapts on frame t, whose keypoints are (1, 24), and remembers it for the motion loss."""
        inputs = self._inputs(sequence, t)
        self.last_steps = 0
        if not is_seen:
            return self.state.predict(inputs)
        self._frames_seen += 1
        is_temporal = self._frames_seen % self.temporal_every == 0
        frame = Frame(inputs, keypoints, is_temporal)
        past = None
        if is_temporal and len(self._history) == self.interval:
            past = self._history[0][1]
        if effort == FROZEN:
            prediction = self.state.predict(inputs)
        else:
            self.last_steps = (effort or self.efforts[0]).steps
            prediction = self._adapt_safely(sequence, t, frame, past)
        self._history.append((t, frame))
        return prediction

    def _adapt_safely(
        self, sequence: Sequence, t: int, frame: Frame, past: Optional[Frame]
    ) -> Prediction:
        """Adapts on a frame; returns to the last good weights where its prediction is not finite.

        On the CPU only: the check waits for a GPU, once per frame.
        """
        if self.estimator.device.type != 'cpu':
            return self.adapt_to(frame, past)
        if self._good is None:
            self._good = GoodWeights(self.state.learner, self.predicts_before)
        self._good.remember()
        prediction = None
        try:
            prediction = self.adapt_to(frame, past)
        except torch.linalg.LinAlgError:  # of matrices that are not finite
            pass
        if prediction is not None and is_finite(prediction):
            self._good.confirm()
            return prediction
        with torch.no_grad():
            fallback = self.state.run(self._good.as_dict(), frame.inputs)
        if prediction is not None and not is_finite(fallback):  # the picture is not finite
            return prediction
        if not self._rolled_back:
            warnings.warn(
                f'{sequence.name}: the prediction of frame {t} ({sequence.frame_ids[t]}) is not finite after the steps '
                f'on it; the last good weights return, here and on later frames. Is the learning rate too high?',
                stacklevel=2,
            )
        self._rolled_back += 1
        self._good.restore()
        self.state.reset_teacher()
        return fallback

    def _inputs(self, sequence: Sequence, t: int) -> Tensor:
        """Input of the adapting part for one frame."""
        return self.state.trunk(self.estimator.crops(sequence, [t]))

    @property
    def counts(self) -> dict[str, int | float]:
        """Counts of the last sequence.

        ``skipped_updates``: steps whose loss or gradient was not finite; ``frames_without_evidence``, if there are any:
        frames without a visible keypoint; ``rolled_back_frames``, if there are any: frames whose steps were undone,
        because their prediction was not finite; with ``until``, ``steps``: the mean number of steps per frame with a
        visible keypoint.
        """
        counts = {'skipped_updates': self.state.learner.skipped, **self._unseen}
        if self._rolled_back:
            counts['rolled_back_frames'] = self._rolled_back
        if self.until is not None and self.steps_taken:
            counts['steps'] = sum(self.steps_taken) / len(self.steps_taken)
        return counts

    @property
    def state_bytes(self) -> int:
        """Bytes of the student, of Adam's moments and of the mean teacher."""
        return self.state.state_bytes

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments, the mean teacher, and the weights that ``pull`` and ``soft_reset`` need."""
        return self.state.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.state.load_state_dict(state)
