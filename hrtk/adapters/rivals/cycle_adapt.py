"""CycleAdapt: a network of bodies and a network of motion that adapt each other, over a whole video.

Nam, Jung, Oh, Lee, "Cyclic Test-Time Adaptation on Monocular Video for 3D Human Mesh Reconstruction", ICCV 2023.
**The method follows the facts of its released code**, not the paper. In every cycle the network of bodies (HMRNet, the
estimator) takes one pass over the video towards the motion that the network of motion (MDNet) made of its predictions,
and towards the 2D keypoints; then MDNet takes one pass over all windows of these predictions, half of whose frames are
hidden, and what it fills in is the target of the next cycle. In the first cycle there is no such target yet. There is
no source data. Both networks begin again with every video.

Departures. Dropout and batch statistics are off. The 2D error has the 24 points of ``spin24``, not 29 of another
regressor, and SPIN's camera of the crop. MDNet's first weights are trained here, in seconds and on hrtk's free motion
with a still camera; the authors' are a file of theirs. The rates are options: those of the code are for ResNet-50. The
window may be shorter than 49 frames, and the last frame of a video that is shorter still is repeated. Rotations go to
MDNet as they are, not by way of axis-angle vectors.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter, Reset
from hrtk.adapters.parts.crop_reader import read_crops
from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.learner_session import LearnerSession
from hrtk.adapters.parts.loss_weights import WeightedLosses
from hrtk.adapters.parts.posed import SKELETON, CropKeypoints
from hrtk.adapters.parts.source_bank import dataset_fingerprint
from hrtk.adapters.rivals.motion_denoiser import (
    MotionDenoiser,
    draw_masks,
    hidden_error,
    mean_over_windows,
    trained_denoiser,
    windows_of,
)
from hrtk.errors import OptionError
from hrtk.geometry.camera import CROP, project
from hrtk.geometry.rotation import rot6d_to_rotmat, rotmat_to_rot6d
from hrtk.geometry.uploads import upload
from hrtk.models.estimators import Estimator, predict_frames
from hrtk.registry import ADAPTERS, DATASETS
from hrtk.structures import Prediction, Sequence

WARM_UP = 3  # cycles
KEPT = 2**30  # bytes of crops that stay in memory over all cycles
LAST_SHARE = 0.02  # of the rate at the end: 5e-5 falls to 1e-6 in the code


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Loss weights, those of the code; every loss is a mean of absolute differences over all numbers.

    Attributes:
        rotmat: of the rotation matrices from MDNet's.
        betas: of the betas from the mean of their window.
        keypoints2d: of the 2D error, px of a crop of 224 px.
    """

    rotmat: float = 1.0
    betas: float = 0.001
    keypoints2d: float = 0.1


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class CycleAdapt(WeightedLosses[LossWeights], Adapter):
    """Adapts the network to a whole video in cycles with a network of motion; no source data.

    Frames without a visible keypoint learn from the motion alone. A video without any keypoint is predicted with the
    start weights.

    Args:
        lr: largest rate of Adam for the estimator; it rises over three cycles and falls by a cosine.
        motion_lr: the same for MDNet; None is ``lr``, as in the code.
        adam_betas: decay rates of the moments of both Adams.
        cycles: passes over the video, 13 in the code.
        batch: frames per step of the estimator, and windows per step of MDNet.
        window: W, frames that MDNet sees at once; odd; 49 in the code.
        least_confidence: of a keypoint that counts, 0.3 in the code; those that count have equal weight.
        weights: overrides of the loss weights, see :class:`LossWeights`.
        motion: config of the windows that MDNet is trained on first; default ``MotionWindows`` at ``motion_fps``.
        motion_fps: frames per second of that motion, those of the videos.
        motion_steps: steps of that training.
        parameters: which weights of the estimator adapt.
        reset: of :class:`~hrtk.adapters.Adapter`. MDNet and the schedule begin again with every video in any case.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    lr: float = 5e-5
    motion_lr: Optional[float] = None
    adam_betas: tuple[float, float] = (0.5, 0.999)
    cycles: int = 13
    batch: int = 32
    window: int = 49
    least_confidence: float = 0.3
    weights: Optional[Mapping[str, float]] = None
    motion: Optional[Mapping[str, Any]] = None
    motion_fps: float = 25.0
    motion_steps: int = 1500
    parameters: str = 'all'
    reset: Reset = 'sequence'

    DEFAULT_LOSS_WEIGHTS: ClassVar[LossWeights] = LossWeights()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 3 or self.window % 2 == 0:
            raise OptionError(f'CycleAdapt: window is odd and at least 3, not {self.window}')
        if self.cycles < 1 or self.motion_steps < 0:
            raise OptionError(
                f'CycleAdapt: cycles is at least 1 and motion_steps at least 0, not {self.cycles} and '
                f'{self.motion_steps}'
            )

    @functools.cached_property
    def motion_windows(self) -> Any:
        """The motion that MDNet is trained on first."""
        if self.motion is not None:
            return DATASETS.build(dict(self.motion))
        return DATASETS.build(
            dict(type='MotionWindows', frames=self.window, fps=self.motion_fps, mirror=True)
        )

    @functools.cached_property
    def first_denoiser(self) -> MotionDenoiser:
        """MDNet as every video begins with it."""
        return trained_denoiser(self.window, self.motion_windows, self.motion_steps)

    def start(self, estimator: Estimator) -> CycleAdaptSession:
        """Starts a session with the estimator's present weights."""
        return CycleAdaptSession(self, estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the files of the motion."""
        return {
            f'motion_{name}': value
            for name, value in dataset_fingerprint(self.motion_windows).items()
        }

    def rate(self, cycle: int) -> float:
        """The share of the rates in a cycle, counted from 0."""
        if cycle < WARM_UP:
            return (cycle + 1) / WARM_UP
        way = (cycle - WARM_UP + 1) / max(self.cycles - WARM_UP, 1)
        return LAST_SHARE + (1 - LAST_SHARE) * (1 + math.cos(math.pi * way)) / 2


@dataclasses.dataclass(frozen=True)
class _Motion:
    """The parameters of all F frames: rotations (F, 144) of six numbers each, and betas (F, 10)."""

    rot6d: Tensor
    betas: Tensor


class CycleAdaptSession(LearnerSession[CycleAdapt]):
    """The estimator under adaptation.

    Args:
        options: the adapter.
        estimator: network whose weights adapt.
    """

    def __init__(self, options: CycleAdapt, estimator: Estimator) -> None:
        super().__init__(options, estimator)
        self.body = estimator.required_body

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Runs all cycles, then yields the prediction of every frame."""
        self.learner.reset_counts()
        keypoints, seen = self.look_at(sequence)
        if seen.any():
            confidence = (keypoints.confidence > self.options.least_confidence).to(
                keypoints.xy.dtype
            )
            self._adapt(sequence, CropKeypoints(keypoints.xy, confidence))
        yield from predict_frames(self.estimator, sequence)

    def _adapt(self, sequence: Sequence, keypoints: CropKeypoints) -> None:
        options = self.options
        device = self.estimator.device
        denoiser = copy.deepcopy(options.first_denoiser).to(device, keypoints.xy.dtype)
        motion_lr = options.lr
        if options.motion_lr is not None:
            motion_lr = options.motion_lr
        adam = GuardedAdam(denoiser.parameters(), motion_lr, options.adam_betas)
        windows = upload(windows_of(len(sequence), options.window), device)
        crops = self._kept_crops(sequence)
        target: Optional[_Motion] = None
        for cycle in range(options.cycles):
            self.learner.set_lr(options.rate(cycle) * options.lr)
            adam.lr = options.rate(cycle) * motion_lr
            present = self._pass_of_bodies(sequence, crops, keypoints, target)
            target = self._pass_of_motion(denoiser, adam, present, windows)

    def _kept_crops(self, sequence: Sequence) -> Optional[Tensor]:
        """The crops of all frames, read once for all cycles, or None if they need more memory than :data:`KEPT`."""
        size = 4 * math.prod(self.estimator.input_shape)
        if size * len(sequence) > KEPT:
            return None
        return read_crops(self.estimator, sequence, range(len(sequence)))

    def _pass_of_bodies(
        self,
        sequence: Sequence,
        crops: Optional[Tensor],
        keypoints: CropKeypoints,
        target: Optional[_Motion],
    ) -> _Motion:
        """Takes a step on each batch of frames, and returns the predictions before the steps."""
        order = torch.randperm(len(sequence))
        rotations = []
        betas = []
        for frames in order.split(self.options.batch):
            rows = upload(frames, self.estimator.device)
            if crops is None:
                batch = self.estimator.crops(sequence, frames.tolist())
            else:
                batch = crops[rows]
            prediction = self.estimator(batch)
            loss = self._loss(prediction, keypoints[rows], target, rows)
            self.learner.descend(lambda _: loss)
            rotations.append(rotmat_to_rot6d(prediction.rotmat.detach()).flatten(1))
            betas.append(prediction.betas.detach())
        back = upload(order.argsort(), self.estimator.device)
        return _Motion(torch.cat(rotations)[back], torch.cat(betas)[back])

    def _loss(
        self,
        prediction: Prediction,
        keypoints: CropKeypoints,
        target: Optional[_Motion],
        rows: Tensor,
    ) -> Tensor:
        """The loss of some frames: 2D keypoints, and behind the first cycle MDNet's motion.

        Args:
            prediction: of B frames.
            keypoints: of the same frames, confidences 0 or 1.
            target: of all frames, or None.
            rows: (B,) indices of the frames.
        """
        weights = self.options.loss_weights
        joints = self.body.joints(prediction.rotmat, prediction.betas, SKELETON)
        away = CROP / 2 * (project(joints, prediction.camera) - keypoints.xy).abs()
        loss = weights.keypoints2d * (keypoints.confidence[..., None] * away).mean()
        if target is None:
            return loss
        rotmat = rot6d_to_rotmat(target.rot6d[rows].unflatten(1, (24, 6)))
        loss = loss + weights.rotmat * (prediction.rotmat - rotmat).abs().mean()
        return loss + weights.betas * (prediction.betas - target.betas[rows]).abs().mean()

    def _pass_of_motion(
        self, denoiser: MotionDenoiser, adam: GuardedAdam, present: _Motion, windows: Tensor
    ) -> _Motion:
        """Takes a step on each batch of windows, and returns what was filled in before the steps."""
        device = windows.device
        hidden = upload(draw_masks(len(windows), self.options.window), device)
        order = upload(torch.randperm(len(windows)), device)
        filled = []
        for rows in order.split(self.options.batch):
            motion = present.rot6d[windows[rows]]
            loss, values = hidden_error(denoiser, motion, hidden[rows])
            gradient = torch.autograd.grad(loss, list(denoiser.parameters()))
            adam.step(gradient, [loss.detach()])
            filled.append(values.detach())
        frames = len(present.betas)
        shapes = present.betas[windows].mean(1, keepdim=True).expand(-1, windows.shape[1], -1)
        return _Motion(
            mean_over_windows(torch.cat(filled), windows[order], frames),
            mean_over_windows(shapes, windows, frames),
        )
