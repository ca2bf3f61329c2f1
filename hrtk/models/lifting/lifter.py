"""From the keypoints of a whole sequence to 3D joints, and to keypoints without holes."""

from __future__ import annotations

import math
from typing import Optional

import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.lifting.mpm import MPMStage1, MPMStage2
from hrtk.models.lifting.windowed import Windowed
from hrtk.registry import LIFTERS
from hrtk.structures import Sequence

NOISE = 0.05  # of a single frame's error, as a share of the variance of the errors that neighbours have in common
BLOCK = 256  # frames whose errors are regressed at once


@LIFTERS.register_module()
class KeypointCompleter(Windowed):
    """Fills in keypoints that are missing, by a network of stage I of MPM.

    Missing joints are hidden from the network by its own tokens, frames without any joint leave it as hidden frames
    do in training, and its 2D reconstruction is taken where something was missing. It should have been trained with
    :class:`~hrtk.models.lifting.holes.HoleSampler`: masks that always hide equally much prepare for no others.

    A reconstruction that is off in the frames around, where the joint was seen, is moved by what it probably is off.
    So a track that is lost and found again has no steps; far from frames that saw the joint nothing is moved.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`, with its ``weights``.
        threshold: confidences up to this one mean that a keypoint is missing.
        fps: frame rate of the network's training windows (25 of Human3.6M, 15 of ``configs/mpm``); of faster videos
            every second or third frame makes a window, and so on. None takes every frame.
        hop: middles of windows are this many of their frames apart; default a ninth of the window, 1 is slowest.
        flip: means over windows and their mirror images, whose masks are mirrored too.
        placement: ``'person'`` brings the person of every window to where and how large people are in training,
            whatever the picture; ``'picture'`` takes the picture's width for [-1, 1], as in training: right for whole
            pictures with people 5 m away.
        skeleton: of the network; default Human3.6M's 17 or 16 joints, by the network's number.
        anchor: frames of a window over which errors are alike (see :func:`anchored`); 0 takes reconstructions as they
            are.

    Raises:
        InputError: an option has no such value; see the network for others.
    """

    def __init__(
        self,
        network: dict,
        threshold: float = 0.0,
        fps: Optional[float] = None,
        hop: Optional[int] = None,
        flip: bool = True,
        placement: str = 'person',
        skeleton: Optional[str] = None,
        anchor: float = 8.0,
    ) -> None:
        super().__init__(network, threshold, fps, hop, flip, placement, skeleton)
        if not anchor >= 0:
            raise InputError(
                f'KeypointCompleter: anchor is a number of frames, at least 0, not {anchor}'
            )
        self.anchor = anchor
        if not isinstance(self.network, MPMStage1):
            raise InputError(
                f'KeypointCompleter: {type(self.network).__name__} cannot be shown a pose with holes; '
                f"take network=dict(type='MPMStage1', ...) and weights of stage I"
            )

    @torch.no_grad()
    def fill(self, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """Keypoints without holes, as far as the network has their joints and any window of the frame shows anything.

        Returns:
            (F, K, 2) px in the sequence's own skeleton, those that were visible untouched to the bit, and (F, K) bool,
            which were filled in.
        """
        points = sequence.keypoints2d
        pose, seen, mapping = self.see(points)
        pose, known = self.complete(sequence, pose, seen)
        pose, known = pose.to(points.xy), known.to(points.xy.device)
        chosen, joints = mapping.points.to(points.xy.device), mapping.joints.to(points.xy.device)
        filled = torch.zeros_like(points.confidence, dtype=torch.bool)
        filled[:, chosen] = ~points.visible(self.threshold)[:, chosen] & known[:, joints]
        xy = points.xy.clone()
        xy[:, chosen] = torch.where(filled[:, chosen, None], pose[:, joints], xy[:, chosen])
        return xy, filled

    def complete(self, sequence: Sequence, pose: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """(N, J, 2) px and (N, J) bool of :meth:`see` with holes filled in, and which joints are known now."""
        if seen.all():
            return pose, seen
        found = self.average(sequence, pose, seen, '2d')
        if self.anchor:
            found = anchored(found, pose, seen, self.anchor * self.step(sequence))
        known = seen | found.isfinite().all(-1)
        return torch.where(seen[..., None], pose, found.nan_to_num()), known


@LIFTERS.register_module()
class SequenceLifter(Windowed):
    """Lifts the keypoints of any sequence to 3D.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage2`, or of :class:`~hrtk.models.lifting.MPMStage1`,
            which lifts poses with holes. With ``weights``.
        completer: config of an ``MPMStage1`` that fills holes in for stage II, which must see every joint; with the
            other options given here.
        threshold, fps, flip, placement, skeleton: as of :class:`KeypointCompleter`.
        hop: as there; with 1, stage II is asked for the middle frame of every window through the decoder that strides
            to it, as published, otherwise for all frames at once.

    Raises:
        InputError: an option has no such value.
    """

    def __init__(
        self,
        network: dict,
        completer: Optional[dict] = None,
        threshold: float = 0.0,
        fps: Optional[float] = None,
        hop: Optional[int] = None,
        flip: bool = True,
        placement: str = 'person',
        skeleton: Optional[str] = None,
    ) -> None:
        super().__init__(network, threshold, fps, hop, flip, placement, skeleton)
        self.completer: Optional[KeypointCompleter] = None
        if completer is not None:
            self.completer = KeypointCompleter(
                completer, threshold, fps, None, flip, placement, self.skeleton
            )

    @torch.no_grad()
    def lift(self, sequence: Sequence) -> Tensor:
        """3D joints of every frame, in the order of ``skeleton``.

        Returns:
            (F, J, 3) metres from the root (joint 0, whose row is zero), camera axes: x right, y down, z away. With
            ``placement='person'`` it is the camera of training that looks at the person, and people are as tall as
            those of training. NaN for frames whose windows show nothing.

        Raises:
            InputError: stage II misses joints and there is no completer.
        """
        pose, seen, _ = self.see(sequence.keypoints2d)
        known = torch.ones_like(seen[:, 0])
        if isinstance(self.network, MPMStage2):
            pose, known = self._whole(sequence, pose, seen)
            seen = torch.ones_like(seen)
        joints = self.average(sequence, pose, seen, '3d')
        joints[~known] = torch.nan
        joints[:, 0] *= 0
        return joints

    def _whole(self, sequence: Sequence, pose: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Poses (N, J, 2) px without holes, and (N,) bool, whether they are of this frame or of the nearest known."""
        missing = int((~seen).sum())
        if missing and self.completer is None:
            raise InputError(
                f'{sequence.name}: {missing} of the {seen.numel()} joints that MPMStage2 must see are not '
                f'among its {sequence.keypoints2d.skeleton} keypoints, or too uncertain; set '
                f"completer=dict(type='MPMStage1', ...) to have them filled in"
            )
        if missing:
            pose, seen = self.completer.complete(sequence, pose, seen)
        known = seen.all(1)
        there = known.nonzero()[:, 0]
        if len(there) in (0, len(known)):
            return pose, known
        distance = torch.arange(len(known), device=pose.device)[:, None] - there
        return pose[there[distance.abs().argmin(1)]], known

    def _weights(self, like: Tensor) -> Tensor:
        if self.hop > 1 or isinstance(self.network, MPMStage1):
            return super()._weights(like)
        return torch.eye(self.network.frames)[self.network.frames // 2].to(like)

    def _call(self, poses: Tensor, seen: Tensor, target: str) -> Tensor:
        if isinstance(self.network, MPMStage1):
            return super()._call(poses, seen, target)
        found = self.network(poses)
        return (
            found['joints3d_seq']
            if self.hop > 1
            else found['joints3d'].expand_as(found['joints3d_seq'])
        )


def anchored(found: Tensor, pose: Tensor, seen: Tensor, reach: float) -> Tensor:
    """Reconstructions moved by what their error probably is, given their errors where the joint was seen.

    Gaussian process regression of every coordinate's error over time (Rasmussen and Williams, 2006, Eq. 2.25): a
    Matern covariance of smoothness 3/2, and :data:`NOISE` for what is not shared with other frames. Between two frames
    that saw the joint the errors of both count, alone in a long gap the reconstruction stays as it is.

    Args:
        found: (N, J, 2) reconstructions of all frames; NaN stays.
        pose: (N, J, 2) what was seen.
        seen: (N, J) bool.
        reach: frames, the length scale of the covariance; beyond six of them nothing counts.
    """
    known = (seen & found.isfinite().all(-1)).T
    error = torch.where(known[..., None], (pose - found).transpose(0, 1), 0.0).double()
    moved, margin = found.clone(), math.ceil(6 * reach)
    for start in range(0, len(found), BLOCK):
        first, end = max(0, start - margin), min(len(found), start + BLOCK + margin)
        frame = torch.arange(first, end, device=found.device, dtype=torch.float64)
        distance = math.sqrt(3) / reach * (frame[:, None] - frame).abs()
        covariance = (1 + distance) * torch.exp(-distance)
        # An unseen frame is one that says nothing: its noise is without end, and all joints can be solved at once.
        both = known[:, first:end, None] & known[:, None, first:end]
        system = torch.where(both, covariance, 0.0) + torch.diag_embed(
            torch.where(known[:, first:end], NOISE, 1.0)
        )
        expected = covariance @ torch.linalg.solve(system, error[:, first:end])
        inner = slice(start - first, min(start + BLOCK, len(found)) - first)
        moved[start : start + BLOCK] += expected[:, inner].transpose(0, 1).to(found)
    return moved
