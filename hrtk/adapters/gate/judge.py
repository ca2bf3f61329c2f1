"""The judge of one sequence: which share of an adapted prediction its evidence supports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.parts.evidence import NOISE_CROP
from hrtk.adapters.parts.posed import SKELETON, CropKeypoints, PosedPrediction
from hrtk.body_models.skeletons import joint_names

_NAMES = joint_names(SKELETON)
_HIPS = tuple(_NAMES.index(f'{side}_hip_lsp') for side in ('left', 'right'))
_LIMBS = tuple(
    (_NAMES.index(f'{side}_{upper}'), _NAMES.index(f'{side}_{lower}'))
    for side in ('left', 'right')
    for upper, lower in (
        ('hip_lsp', 'knee'),
        ('knee', 'ankle'),
        ('shoulder', 'elbow'),
        ('elbow', 'wrist'),
    )
)
SMALLEST_MOVE = 0.02  # metres; smaller changes of depth are judged as this one
SMALLEST_SCALE = 0.1  # of a camera; the crop is then 20 m wide, and lengths in it mean nothing
FEW = 5.0  # held-out keypoints at which half of the gap that they show is believed: about two frames of them
STILL = 0.01  # metres per frame squared; below, an acceleration is not judged


@dataclasses.dataclass(frozen=True)
class Limits:
    """The numbers of the decision.

    Attributes:
        keep_above: support from which the adapted prediction is kept.
        roll_back_below: support below which the frozen prediction returns.
        memory: share of the past evidence that counts at the next frame, in [0, 1).
        acceleration: largest acceleration of the adapted joints, in multiples of the frozen joints' one or of that of
            the 2D keypoints, the larger one; at twice the limit nothing is left of the adapted prediction.
        bones: largest relative change of a limb from its running mean, mean of eight limbs; the same.
        step: how much the share of the adapted prediction may grow from frame to frame. It may fall at once.
        noise: error of the keypoints themselves, px per coordinate on a crop of 224 px. A 2D error below it is no gain.
    """

    keep_above: float
    roll_back_below: float
    memory: float
    acceleration: float
    bones: float
    step: float
    noise: float


@dataclasses.dataclass(frozen=True)
class FrameEvidence:
    """What the judge found out about one frame.

    Attributes:
        frozen_error: (1,) mean squared distance of the frozen prediction from all keypoints, m^2 at the body; without a
            visible keypoint that of the frames before.
        adapted_error: (1,) that of the adapted prediction from the keypoints that its losses saw; if they saw none in
            this frame, from the held-out ones, and without any from the held-out ones of the frames before.
        fitted: (1,) 1 if ``adapted_error`` is of keypoints that the losses saw, else 0.
        noise: (1,) mean squared distance of the keypoints from the true joints, m^2, by :attr:`Limits.noise`.
        depth_change: (1,) mean squared change of the joints' depth about the hips, m^2.
        plausible: (1,) plausibility of the motion and of the bones, in [0, 1].
    """

    frozen_error: Tensor
    adapted_error: Tensor
    fitted: Tensor
    noise: Tensor
    depth_change: Tensor
    plausible: Tensor


class Judge:
    """Decides about one frame after the other.

    The **support** of an adapted prediction is the ratio of what it gained in the image and what the image cannot show:
    the mean squared 2D error of the frozen prediction of this frame, less that of the adapted one, in square metres at
    the body, over the mean squared change of the joints' depth. A large change of depth for a small gain in 2D is a
    guess, a small one for a large gain is a repair.

    The frozen network saw no keypoint, so all of them measure its error. Two or three held-out keypoints alone would be
    a poor measure of the adapted prediction of one frame. Its error is therefore that of the keypoints that its losses
    saw, plus the **gap**: by how much the held-out keypoints of this frame and of the frames before were farther away
    than those that the losses saw. An adapter that fits its keypoints and not the person has a large gap.

    Args:
        limits: the numbers.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        # (2, 3) decayed sums of squared distances and of their confidences: of the adapted prediction from held-out and
        # from seen keypoints, and of the frozen one from all.
        self._sums: Optional[Tensor] = None
        self._lengths: Optional[Tensor] = None  # (1, 8) running mean
        self._history: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []  # of two frames
        self._share: Optional[Tensor] = None

    def see(
        self,
        frozen: PosedPrediction,
        adapted: PosedPrediction,
        held_out: CropKeypoints,
        keypoints: CropKeypoints,
    ) -> FrameEvidence:
        """Adds the evidence of the next frame.

        Args:
            frozen: prediction of the start weights, batch size one.
            adapted: prediction of the wrapped adapter.
            held_out: keypoints that its losses did not see.
            keypoints: all keypoints.
        """
        scale = adapted.prediction.camera[:, 0].clamp_min(SMALLEST_SCALE)
        before = about_hips(frozen.spin24_joints3d)
        after = about_hips(adapted.spin24_joints3d)
        seen = CropKeypoints(keypoints.xy, keypoints.confidence * (held_out.confidence <= 0))
        pairs = ((adapted, held_out), (adapted, seen), (frozen, keypoints))
        distances = torch.cat([_squared_distance(posed, points) for posed, points in pairs])
        new = torch.stack(
            [
                distances / scale.square(),
                torch.cat([points.confidence.sum(1) for _, points in pairs]),
            ]
        )
        depth_change = (after - before)[..., 2].square().mean(1)
        finite = torch.cat([new.flatten(), depth_change]).isfinite().all()
        new = torch.where(finite, new, torch.zeros_like(new))
        if self._sums is None:
            self._sums = torch.zeros_like(new)
        self._sums = self.limits.memory * self._sums + new
        self._history.append((before, after, keypoints.xy, keypoints.confidence > 0))
        plausible = self._plausible_motion(scale) * self._plausible_bones(after)
        self._history = self._history[-2:]
        plausible = torch.where(finite, plausible, torch.zeros_like(plausible)).nan_to_num(0.0)
        of_frame, past = _mean(new), _mean(self._sums)
        has_held, has_seen, has_any = (new[1:] > 0).unbind(1)
        held_error = torch.where(has_held, of_frame[:1], past[:1])
        return FrameEvidence(
            frozen_error=torch.where(has_any, of_frame[2:], past[2:]),
            adapted_error=torch.where(has_seen, of_frame[1:2], held_error),
            fitted=has_seen.to(new.dtype),
            noise=(2 * (2 * self.limits.noise / NOISE_CROP / scale).square()).nan_to_num(0.0),
            depth_change=depth_change.nan_to_num(0.0),
            plausible=plausible,
        )

    def decide(self, frame: FrameEvidence) -> Tensor:
        """(1,) share of the adapted prediction of the next frame to be decided, from all evidence up to now."""
        limits = self.limits
        width = limits.keep_above - limits.roll_back_below
        share = ((self.support(frame) - limits.roll_back_below) / width).clamp(0, 1)
        share = share * frame.plausible
        if self._share is not None:
            share = torch.minimum(share, self._share + limits.step)
        self._share = share
        return share

    def support(self, frame: FrameEvidence) -> Tensor:
        """(1,) gain in the image per change of depth; minus infinity before the first held-out keypoint."""
        assert self._sums is not None, 'see() comes first'
        held, seen, _ = _mean(self._sums).split(1)
        count = self._sums[1, :1]
        gap = (held - seen).clamp_min(0) * count / (count + FEW)
        error = torch.maximum(frame.adapted_error + frame.fitted * gap, frame.noise)
        gain = frame.frozen_error - error
        support = gain / frame.depth_change.clamp_min(SMALLEST_MOVE**2)
        unknown = torch.full_like(support, -float('inf'))
        return torch.where(count > 0, support, unknown)

    def state_dict(self) -> dict[str, Any]:
        """Returns all that the next frames depend on."""
        return {
            'sums': self._sums,
            'lengths': self._lengths,
            'history': [list(frame) for frame in self._history],
            'share': self._share,
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Resumes from a :meth:`state_dict`."""
        self._sums = _on(state['sums'], device)
        self._lengths = _on(state['lengths'], device)
        self._share = _on(state['share'], device)
        self._history = []
        for before, after, xy, visible in state['history']:
            self._history.append(
                (before.to(device), after.to(device), xy.to(device), visible.to(device))
            )

    def _plausible_motion(self, scale: Tensor) -> Tensor:
        """(1,) 1 below the limit of the acceleration, falling to 0 at twice the limit.

        Args:
            scale: (1,) crop coordinates per metre.
        """
        if len(self._history) < 3:
            return torch.ones_like(self._history[-1][0][:, 0, 0])
        first, middle, last = self._history
        moments = [
            moment_0 - 2 * moment_1 + moment_2
            for moment_0, moment_1, moment_2 in zip(first[:3], middle[:3], last[:3])
        ]
        frozen, adapted, image = [moment.norm(dim=-1) for moment in moments]
        visible = (first[3] & middle[3] & last[3]).to(image.dtype)
        of_image = (image * visible).sum(1) / visible.sum(1).clamp_min(1) / scale
        allowed = torch.maximum(frozen.mean(1), of_image).clamp_min(STILL)
        ratio = adapted.mean(1) / (self.limits.acceleration * allowed)
        return (2 - ratio).clamp(0, 1)

    def _plausible_bones(self, joints: Tensor) -> Tensor:
        """(1,) 1 below the limit of the change of the limbs, falling to 0 at twice the limit."""
        limbs = [(joints[:, upper] - joints[:, lower]).norm(dim=-1) for upper, lower in _LIMBS]
        lengths = torch.stack(limbs, dim=1)
        if self._lengths is None:
            self._lengths = lengths
        change = (lengths / self._lengths.clamp_min(1e-3) - 1).abs().mean(1)
        mean = torch.lerp(lengths, self._lengths, self.limits.memory)
        self._lengths = torch.where(mean.isfinite(), mean, self._lengths)
        return (2 - change / self.limits.bones).clamp(0, 1)


def about_hips(joints: Tensor) -> Tensor:
    """Joints (B, 24, 3) of ``spin24`` about the middle of the hips."""
    return joints - (joints[:, _HIPS[0]] + joints[:, _HIPS[1]])[:, None] / 2


def _squared_distance(posed: PosedPrediction, keypoints: CropKeypoints) -> Tensor:
    """(1,) sum of the squared distances from keypoints, weighted by confidence, in crop coordinates."""
    confidence = keypoints.confidence
    joints = posed.spin24_joints2d
    target = torch.where(confidence[..., None] > 0, keypoints.xy, joints)
    return ((joints - target).square().sum(-1) * confidence).sum(1)


def _mean(sums: Tensor) -> Tensor:
    """Quotients of (2, N) sums and weights."""
    return sums[0] / sums[1].clamp_min(torch.finfo(sums.dtype).tiny)


def _on(value: Optional[Tensor], device: torch.device) -> Optional[Tensor]:
    if value is None:
        return None
    return value.to(device)
