"""The judge of one sequence: which share of an adapted prediction its evidence supports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Optional

import torch
from torch import Tensor

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
    """

    keep_above: float
    roll_back_below: float
    memory: float
    acceleration: float
    bones: float
    step: float


class Judge:
    """Decides about one frame after the other.

    The **support** of the adapted predictions is the ratio of what the held-out keypoints gained and what they cannot
    see: the fall of their mean squared distance, in square metres at the body, over the mean squared change of the
    joints' depth. 2D evidence says nothing about depth. A large change of depth for a small gain in 2D is therefore a
    guess, and a small one for a large gain is a repair.

    Args:
        limits: the numbers.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._sums: Optional[Tensor] = None  # (4,) frozen, adapted, points, depth; decayed
        self._frames: Optional[Tensor] = None  # decayed number of frames
        self._lengths: Optional[Tensor] = None  # (1, 8) running mean
        self._history: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []  # of two frames
        self._share: Optional[Tensor] = None

    def see(
        self,
        frozen: PosedPrediction,
        adapted: PosedPrediction,
        held_out: CropKeypoints,
        keypoints: CropKeypoints,
    ) -> Tensor:
        """Adds the evidence of the next frame.

        Args:
            frozen: prediction of the start weights, batch size one.
            adapted: prediction of the wrapped adapter.
            held_out: keypoints that its losses did not see.
            keypoints: all keypoints.

        Returns:
            (1,) plausibility in [0, 1] of the motion and of the bones at this frame.
        """
        scale = adapted.prediction.camera[:, 0].clamp_min(SMALLEST_SCALE)
        before = about_hips(frozen.spin24_joints3d)
        after = about_hips(adapted.spin24_joints3d)
        confidence = held_out.confidence
        new = torch.cat(
            [
                _squared_distance(frozen, held_out) / scale.square(),
                _squared_distance(adapted, held_out) / scale.square(),
                confidence.sum(1),
                (after - before)[..., 2].square().mean(1),
            ]
        )
        finite = new.isfinite().all()
        new = torch.where(finite, new, torch.zeros_like(new))
        if self._sums is None or self._frames is None:
            self._sums = torch.zeros_like(new)
            self._frames = new.new_zeros(())
        self._sums = self.limits.memory * self._sums + new
        self._frames = self.limits.memory * self._frames + 1
        visible = keypoints.confidence > 0
        self._history.append((before, after, keypoints.xy, visible))
        plausible = self._plausible_motion(scale) * self._plausible_bones(after)
        self._history = self._history[-2:]
        return torch.where(finite, plausible, torch.zeros_like(plausible)).nan_to_num(0.0)

    def decide(self, plausible: Tensor) -> Tensor:
        """(1,) share of the adapted prediction of the next frame to be decided, from all evidence up to now.

        Args:
            plausible: result of :meth:`see` for that frame.
        """
        limits = self.limits
        width = limits.keep_above - limits.roll_back_below
        share = ((self.support() - limits.roll_back_below) / width).clamp(0, 1) * plausible
        if self._share is not None:
            share = torch.minimum(share, self._share + limits.step)
        self._share = share
        return share

    def support(self) -> Tensor:
        """(1,) gain of the held-out keypoints per change of depth, of the recent frames; 0 without any evidence."""
        assert self._sums is not None and self._frames is not None, 'see() comes first'
        frozen, adapted, points, depth = self._sums
        gain = (frozen - adapted) / points.clamp_min(torch.finfo(points.dtype).tiny)
        move = (depth / self._frames).clamp_min(SMALLEST_MOVE**2)
        return torch.where(points > 0, gain / move, torch.zeros_like(gain))[None]

    def state_dict(self) -> dict[str, Any]:
        """Returns all that the next frames depend on."""
        return {
            'sums': self._sums,
            'frames': self._frames,
            'lengths': self._lengths,
            'history': [list(frame) for frame in self._history],
            'share': self._share,
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Resumes from a :meth:`state_dict`."""
        self._sums = _on(state['sums'], device)
        self._frames = _on(state['frames'], device)
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


def _on(value: Optional[Tensor], device: torch.device) -> Optional[Tensor]:
    if value is None:
        return None
    return value.to(device)
