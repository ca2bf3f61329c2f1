"""KeypointFit: plain fine-tuning on 2D keypoints, per frame (EFT) or per sequence (ISO).

EFT: Joo, Neverova, Vedaldi, "Exemplar Fine-Tuning for 3D Human Model Fitting Towards In-the-Wild 3D Human Pose
Estimation", 3DV 2021. ISO: Zhang, Nie, Feng, "Inference Stage Optimization for Cross-scenario 3D Human Pose
Estimation", NeurIPS 2020, of which the schedules are taken: a fresh network for every instance, or one that goes on.

Departures from EFT. All visible keypoints count, where its code leaves out hips and ankles. There is no term for the
direction of the lower legs and none for the scale of the camera. The projection is SPIN's perspective, not a weak one.
Scale and shift of normalisation layers adapt too, unless ``parameters`` leaves them out. The number of steps is fixed,
or ends with ``until``, in another unit. The rates are chosen for hrtk's small network.

Departures from ISO. The objective is the 2D error of given keypoints; ISO has no 2D evidence but a discriminator and a
geometric cycle of its own, and its network lifts joints and sees no image.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter, Reset, predict
from hrtk.adapters.parts.crop_reader import read_crops
from hrtk.adapters.parts.evidence import check_until, keypoint_error
from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner_session import LearnerSession
from hrtk.adapters.parts.loss_weights import WeightedLosses
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.rivals.objective import LossWeights, keypoint_objective
from hrtk.errors import OptionError
from hrtk.models.estimators import Estimator
from hrtk.models.estimators.prediction import BATCH_SIZE
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction, Sequence


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class KeypointFit(WeightedLosses[LossWeights], Adapter):
    """Fine-tunes the network on the 2D keypoints of its target and on nothing else.

    A frame without a visible keypoint takes no step; the present weights predict it.

    Args:
        lr: rate of Adam.
        adam_betas: decay rates of Adam's moments.
        scope: ``'frame'``: ``steps`` steps on every frame by itself, which is then predicted; ``'sequence'``: ``steps``
            passes over all frames of a segment, which are then predicted.
        steps: steps per frame, or passes per segment.
        batch: frames per step of ``scope='sequence'``, drawn at random without replacement in every pass.
        segment: longest number of frames that ``scope='sequence'`` fits together; longer sequences are cut.
        until: 2D error at which the steps on a frame end, px per coordinate on a crop of 224 px, see
            :func:`~hrtk.adapters.parts.evidence.keypoint_error`; ``scope='frame'`` alone has it. It waits for a GPU
            in every step.
        weights: overrides of the loss weights, see :class:`~hrtk.adapters.rivals.objective.LossWeights`.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        normalise: of :func:`~hrtk.losses.keypoint2d_loss`, ``'all'`` or ``'visible'``.
        reset: ``'frame'`` is EFT: every frame begins with the start weights; ``'sequence'`` and ``'never'`` go on with
            the weights of the frame before.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    lr: float = 1e-4
    adam_betas: tuple[float, float] = (0.9, 0.999)
    scope: Literal['frame', 'sequence'] = 'frame'
    steps: int = 20
    batch: int = 8
    segment: int = 256
    until: Optional[float] = None
    weights: Optional[Mapping[str, float]] = None
    parameters: str = 'all'
    normalise: Literal['all', 'visible'] = 'visible'
    reset: Reset = 'frame'

    DEFAULT_LOSS_WEIGHTS: ClassVar[LossWeights] = LossWeights()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_until('KeypointFit', self.until)
        if self.until is not None and self.scope == 'sequence':
            raise OptionError(
                "KeypointFit: until ends the steps on single frames; leave it out with scope='sequence'"
            )

    def start(self, estimator: Estimator) -> KeypointFitSession:
        """Starts a session with the estimator's present weights."""
        return KeypointFitSession(self, estimator)


class KeypointFitSession(LearnerSession[KeypointFit]):
    """The weights under adaptation with their Adam.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
    """

    def __init__(self, options: KeypointFit, estimator: Estimator) -> None:
        super().__init__(options, estimator)
        self._steps_taken: list[int] = []

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the prediction of every frame, after the steps on it or on its segment."""
        self.learner.reset_counts()
        self._steps_taken = []
        yield from self._run(sequence, 0)

    @property
    def counts(self) -> dict[str, int | float]:
        """Adds, with ``until``, ``steps``: the mean number of steps per frame with a visible keypoint."""
        counts = super().counts
        if self.options.until is not None and self._steps_taken:
            counts['steps'] = sum(self._steps_taken) / len(self._steps_taken)
        return counts

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """Returns Adam's moments and the counts; None inside a segment."""
        if self.options.scope == 'sequence' and done % self.options.segment:
            return None
        return {
            'learner': self.state_dict(),
            'skipped': self.learner.skipped_by_name,
            'steps_taken': list(self._steps_taken),
        }

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Continues behind the first ``done`` frames."""
        self.load_state_dict(state['learner'])
        self.learner.load_skipped(state['skipped'])
        self._steps_taken = list(state['steps_taken'])
        yield from self._run(sequence, done)

    def _run(self, sequence: Sequence, first: int) -> Iterator[Prediction]:
        keypoints, seen = self.look_at(sequence)
        if self.options.scope == 'sequence':
            yield from self._run_segments(sequence, keypoints, seen, first)
            return
        for t in range(first, len(sequence)):
            crop = self.estimator.crops(sequence, [t])
            if seen[t]:
                self._fit_frame(crop, keypoints[t : t + 1])
            yield predict(self.estimator, crop)

    def _run_segments(
        self, sequence: Sequence, keypoints: CropKeypoints, seen: Tensor, first: int
    ) -> Iterator[Prediction]:
        """Adapts to one segment after the other and yields the predictions of each."""
        for start in range(first, len(sequence), self.options.segment):
            stop = min(start + self.options.segment, len(sequence))
            crops = read_crops(self.estimator, sequence, range(start, stop))
            self._fit_segment(crops, keypoints[start:stop], seen[start:stop])
            for chunk in crops.split(BATCH_SIZE):
                predictions = predict(self.estimator, chunk)
                for i in range(len(predictions)):
                    yield predictions[i : i + 1]

    def _fit_segment(self, crops: Tensor, keypoints: CropKeypoints, seen: Tensor) -> None:
        """Passes over those frames of a segment that have a visible keypoint."""
        frames = torch.nonzero(seen).flatten()
        if not len(frames):
            return
        for _ in range(self.options.steps):
            order = frames[torch.randperm(len(frames))].tolist()
            for start in range(0, len(order), self.options.batch):
                rows = order[start : start + self.options.batch]
                batch = torch.stack([crops[t] for t in rows])
                targets = CropKeypoints(
                    torch.stack([keypoints.xy[t] for t in rows]),
                    torch.stack([keypoints.confidence[t] for t in rows]),
                )
                self.learner.descend(functools.partial(self._objective, batch, targets))

    def _fit_frame(self, crop: Tensor, keypoints: CropKeypoints) -> None:
        """Takes all steps on one frame."""
        count = 0
        while count < self.options.steps:
            posed = self._pose(crop)
            if self.options.until is not None:
                error = keypoint_error(posed.joints2d.detach(), keypoints)
                if error.item() <= self.options.until:
                    break
            loss = self._loss(posed, keypoints)
            self.learner.descend(lambda _: loss)
            count += 1
        self._steps_taken.append(count)

    def _pose(self, crops: Tensor) -> PosedPrediction:
        return PosedPrediction.of(self.estimator(crops), self.estimator.required_body)

    def _objective(self, crops: Tensor, keypoints: CropKeypoints, _: Weights) -> Tensor:
        return self._loss(self._pose(crops), keypoints)

    def _loss(self, posed: PosedPrediction, keypoints: CropKeypoints) -> Tensor:
        options = self.options
        return keypoint_objective(posed, keypoints, options.loss_weights, options.normalise)
