"""A network over windows of joints, applied to sequences of any length and any skeleton."""

from __future__ import annotations

from typing import Iterator, Optional

import torch
from torch import Tensor, nn

from hrtk.body_models.skeletons import flip_map, joint_names
from hrtk.errors import InputError
from hrtk.geometry.mirror import mirror_points
from hrtk.models.lifting.keypoints import JointMapping
from hrtk.models.lifting.masking import Masks
from hrtk.models.lifting.mpm import MPMStage1, MPMStage2
from hrtk.models.lifting.placement import Placement, place_person, place_picture
from hrtk.registry import LIFTERS
from hrtk.structures import Keypoints2D, Sequence

PLACEMENTS = ('person', 'picture')
ROWS = 8192  # frames of windows that go through a network at once


class Windowed(nn.Module):
    """What completion and lifting share; their options are explained at :class:`KeypointCompleter`."""

    def __init__(
        self,
        network: dict,
        threshold: float,
        fps: Optional[float],
        hop: Optional[int],
        flip: bool,
        placement: str,
        skeleton: Optional[str],
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.network: nn.Module = LIFTERS.build(network).eval()
        if not isinstance(self.network, (MPMStage1, MPMStage2)):
            raise InputError(
                f'{name}: network is MPMStage1 or MPMStage2, not {type(self.network).__name__}'
            )
        longest = max(self.network.frames // 2, 1)
        self.hop = max(1, self.network.frames // 9) if hop is None else hop
        if (
            not 0 <= threshold < 1
            or (fps is not None and not fps > 0)
            or not 1 <= self.hop <= longest
        ):
            raise InputError(
                f'{name}: threshold={threshold}, fps={fps}, hop={hop}: expected a confidence in [0, 1), '
                f'a positive number or None, and 1 to {longest} or None for windows of '
                f'{self.network.frames} frames'
            )
        if placement not in PLACEMENTS:
            raise InputError(
                f'{name}: placement is one of {", ".join(map(repr, PLACEMENTS))}, not {placement!r}'
            )
        self.threshold, self.fps, self.flip, self.placement = threshold, fps, flip, placement
        self.skeleton = skeleton or f'human36m{self.network.joints}'
        if len(joint_names(self.skeleton)) != self.network.joints:
            raise InputError(
                f'{name}: {self.skeleton!r} has {len(joint_names(self.skeleton))} joints, the network '
                f'{self.network.joints}; name the skeleton it was trained with'
            )
        self.mirror = list(flip_map(self.skeleton))

    def train(self, mode: bool = True) -> Windowed:
        """Stays in evaluation mode: other windows must not change what one window gives."""
        return super().train(False)

    def see(self, keypoints: Keypoints2D) -> tuple[Tensor, Tensor, JointMapping]:
        """Joints (N, J, 2) px of all frames, (N, J) bool whether they are there, and where they came from."""
        device = next(self.network.parameters()).device
        mapping = JointMapping(keypoints.skeleton, self.skeleton)
        return *mapping(
            keypoints.xy.to(device), keypoints.visible(self.threshold).to(device)
        ), mapping

    def step(self, sequence: Sequence) -> int:
        """Frames of the sequence between neighbours of a window."""
        return 1 if self.fps is None else max(1, round(sequence.fps / self.fps))

    def average(self, sequence: Sequence, pose: Tensor, seen: Tensor, target: str) -> Tensor:
        """What all windows that contain a frame say about it, those in whose middle it stands the most.

        Args:
            sequence: for its frame rate and the size of its pictures.
            pose: (N, J, 2) px.
            seen: (N, J) bool.
            target: ``'2d'`` or ``'3d'``.

        Returns:
            (N, J, 2) px or (N, J, 3) metres; NaN for frames in no window with anything seen.
        """
        length, frames = len(pose), self.network.frames
        wanted = window_frames(length, frames, self.step(sequence), self.hop).to(pose.device)
        windows = wanted.clamp(0, length - 1)  # ends are repeated, as in training
        if self.placement == 'picture':
            height, width = sequence.frames[0].shape[:2]
            places = place_picture(width, height, windows)
        else:
            places = place_person(pose, seen, windows, self.skeleton)
        weights = self._weights(pose)
        total = pose.new_zeros(length, pose.shape[1], int(target[0]))
        mass = pose.new_zeros(length)
        for rows in self._alike(seen, windows, places):
            found = self._predict(
                places[rows].to_network(pose[windows[rows]]), seen[windows[rows]], target
            )
            found = places[rows].to_pixels(found) if target == '2d' else found
            shares = weights * (wanted[rows] == windows[rows])
            total.index_add_(
                0, windows[rows].flatten(), (found * shares[..., None, None]).flatten(0, 1)
            )
            mass.index_add_(0, windows[rows].flatten(), shares.flatten())
        return torch.where(mass > 0, 1 / mass, torch.nan)[:, None, None] * total

    def _weights(self, like: Tensor) -> Tensor:
        """(F,) how much a window's frames count, falling from the middle to the ends."""
        middle = self.network.frames // 2
        return 1 - (torch.arange(self.network.frames).to(like) - middle).abs() / (middle + 1)

    def _alike(self, seen: Tensor, windows: Tensor, places: Placement) -> Iterator[Tensor]:
        """Batches of windows that hide equally many frames and in which something can be placed."""
        shown = seen.any(1)[windows].sum(1)
        shown = torch.where(places.unit.isfinite(), shown, shown.new_zeros(()))
        for count in shown.unique().tolist():
            if count:
                yield from (
                    (shown == count).nonzero()[:, 0].split(max(1, ROWS // self.network.frames))
                )

    def _predict(self, poses: Tensor, seen: Tensor, target: str) -> Tensor:
        """Windows, and their mirror images with mirrored masks, averaged: (W, F, J, 2 or 3)."""
        if not self.flip:
            return self._call(poses, seen, target)
        both = torch.cat([poses, mirror_points(poses, self.mirror)])
        straight, mirrored = self._call(
            both, torch.cat([seen, seen[..., self.mirror]]), target
        ).chunk(2)
        return (straight + mirror_points(mirrored, self.mirror)) / 2

    def _call(self, poses: Tensor, seen: Tensor, target: str) -> Tensor:
        return self.network(poses, '2d', Masks.of(~seen, ~seen.any(2)), target=target)


def window_frames(length: int, frames: int, step: int, hop: int) -> Tensor:
    """Overlapping windows that together see every frame of a sequence.

    Args:
        length: N, frames of the sequence.
        frames: F of a window.
        step: frames between neighbours of a window.
        hop: middles of windows are this many neighbours apart, at most half a window.

    Returns:
        (W, F) frame numbers; those below 0 and from N on are beyond the ends. The middle is ``F // 2``.
    """
    every = torch.arange(length)
    middles = every[every // step % hop == 0]
    return middles[:, None] + step * (torch.arange(frames) - frames // 2)
