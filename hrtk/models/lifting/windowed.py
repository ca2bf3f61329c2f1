"""A network over windows of joints, applied to sequences of any length and any skeleton."""

from __future__ import annotations

from typing import Iterator, Optional

import torch
from torch import Tensor, nn

from hrtk.body_models.skeletons import flip_map, joint_names
from hrtk.errors import OptionError
from hrtk.geometry.mirror import mirror_points
from hrtk.models.lifting.keypoints import JointMapping
from hrtk.models.lifting.masking import Masks
from hrtk.models.lifting.mpm import COORDINATES, MPMStage1, MPMStage2
from hrtk.models.lifting.placement import Placement, place_image, place_person
from hrtk.registry import LIFTERS
from hrtk.structures import Keypoints2D, Sequence

PLACEMENTS = ('person', 'picture')
BATCH_FRAMES = 8192  # frames of windows per pass of the network


class Windowed(nn.Module):
    """Base class of completion and lifting; its options are explained at :class:`KeypointCompleter`."""

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
        built = LIFTERS.build(network).eval()
        if not isinstance(built, (MPMStage1, MPMStage2)):
            raise OptionError(
                f'{name}: network is MPMStage1 or MPMStage2, not {type(built).__name__}'
            )
        self.network: MPMStage1 | MPMStage2 = built
        longest_hop = max(built.frames // 2, 1)
        self.hop = max(1, built.frames // 9)
        if hop is not None:
            self.hop = hop
        if (
            not 0 <= threshold < 1
            or (fps is not None and not fps > 0)
            or not 1 <= self.hop <= longest_hop
        ):
            raise OptionError(
                f'{name}: threshold={threshold}, fps={fps}, hop={hop}: expected a confidence in [0, 1), '
                f'a positive number or None, and 1 to {longest_hop} or None for windows of '
                f'{built.frames} frames'
            )
        if placement not in PLACEMENTS:
            raise OptionError(
                f'{name}: placement is one of {", ".join(map(repr, PLACEMENTS))}, not {placement!r}'
            )
        self.threshold = threshold
        self.fps = fps
        self.flip = flip
        self.placement = placement
        self.skeleton = skeleton or f'human36m{built.joints}'
        joints = len(joint_names(self.skeleton))
        if joints != built.joints:
            raise OptionError(
                f'{name}: {self.skeleton!r} has {joints} joints, the network '
                f'{built.joints}; name the skeleton it was trained with'
            )
        names = joint_names(self.skeleton)
        if 'pelvis_mocap' not in names:
            raise OptionError(f"{name}: {self.skeleton!r} lacks the root, 'pelvis_mocap'")
        self.root = names.index('pelvis_mocap')
        self.mirror = list(flip_map(self.skeleton))

    def train(self, mode: bool = True) -> Windowed:
        """Keeps the evaluation mode: the prediction of a window must not depend on other windows."""
        return super().train(False)

    def map_keypoints(self, keypoints: Keypoints2D) -> tuple[Tensor, Tensor, JointMapping]:
        """Maps keypoints to the network's joints.

        Returns:
            (N, J, 2) px of all frames, (N, J) bool, whether a joint is visible, and the mapping.
        """
        device = next(self.network.parameters()).device
        mapping = JointMapping(keypoints.skeleton, self.skeleton)
        visible_points = keypoints.visible(self.threshold).to(device)
        pose, visible = mapping(keypoints.xy.to(device), visible_points)
        return pose, visible, mapping

    def frame_step(self, sequence: Sequence) -> int:
        """Returns the distance of adjacent frames of a window, in frames of the sequence."""
        if self.fps is None:
            return 1
        return max(1, round(sequence.fps / self.fps))

    def average_windows(
        self, sequence: Sequence, pose: Tensor, visible: Tensor, target: str
    ) -> Tensor:
        """Predicts overlapping windows and averages them per frame, with weights that fall towards their ends.

        Args:
            sequence: for its frame rate and the size of its images.
            pose: (N, J, 2) px.
            visible: (N, J) bool.
            target: ``'2d'`` or ``'3d'``.

        Returns:
            (N, J, 2) px or (N, J, 3) metres; NaN for frames in no window with a visible joint.
        """
        length = len(pose)
        step = self.frame_step(sequence)
        indices = window_frames(length, self.network.frames, step, self.hop).to(pose.device)
        windows = indices.clamp(
            0, length - 1
        )  # the first and last frame are repeated, as in training
        placement = self._place(sequence, pose, visible, windows)
        weights = self._weights(pose)
        total = pose.new_zeros(length, pose.shape[1], COORDINATES[target])
        mass = pose.new_zeros(length)
        for batch in self._batches(visible, windows, placement):
            frames = windows[batch]
            poses = placement[batch].to_network(pose[frames])
            predicted = self._predict(poses, visible[frames], target)
            if target == '2d':
                predicted = placement[batch].to_pixels(predicted)
            frame_weights = weights * (indices[batch] == frames)
            weighted = predicted * frame_weights[..., None, None]
            total.index_add_(0, frames.flatten(), weighted.flatten(0, 1))
            mass.index_add_(0, frames.flatten(), frame_weights.flatten())
        return torch.where(mass > 0, 1 / mass, torch.nan)[:, None, None] * total

    def _place(
        self, sequence: Sequence, pose: Tensor, visible: Tensor, windows: Tensor
    ) -> Placement:
        if self.placement == 'person':
            return place_person(pose, visible, windows, self.skeleton)
        height, width = sequence.frames[0].shape[:2]
        return place_image(width, height, windows)

    def _weights(self, like: Tensor) -> Tensor:
        """Returns the (F,) weights of a window's frames, which fall from the middle to the ends."""
        middle = self.network.frames // 2
        return 1 - (torch.arange(self.network.frames).to(like) - middle).abs() / (middle + 1)

    def _batches(self, visible: Tensor, windows: Tensor, placement: Placement) -> Iterator[Tensor]:
        """Yields indices of windows with equally many visible frames, at least one, and a known placement."""
        counts = visible.any(1)[windows].sum(1)
        counts = torch.where(placement.unit.isfinite(), counts, counts.new_zeros(()))
        batch_size = max(1, BATCH_FRAMES // self.network.frames)
        for count in counts.unique().tolist():
            if count:
                yield from (counts == count).nonzero()[:, 0].split(batch_size)

    def _predict(self, poses: Tensor, visible: Tensor, target: str) -> Tensor:
        """Predicts windows, with ``flip`` averaged with their mirror images: (W, F, J, 2 or 3)."""
        if not self.flip:
            return self._call(poses, visible, target)
        both_poses = torch.cat([poses, mirror_points(poses, self.mirror)])
        both_visible = torch.cat([visible, visible[..., self.mirror]])
        straight, mirrored = self._call(both_poses, both_visible, target).chunk(2)
        return (straight + mirror_points(mirrored, self.mirror)) / 2

    def _call(self, poses: Tensor, visible: Tensor, target: str) -> Tensor:
        return self.network(poses, '2d', Masks.of(~visible, ~visible.any(2)), target=target)


def window_frames(length: int, frames: int, step: int, hop: int) -> Tensor:
    """Returns overlapping windows that together cover every frame of a sequence.

    Args:
        length: N, frames of the sequence.
        frames: F of a window.
        step: distance of adjacent frames of a window, in frames of the sequence.
        hop: distance of the middles of adjacent windows, in frames of a window; at most half a window.

    Returns:
        (W, F) frame indices; those below 0 and from N on are beyond the ends. The middle is ``F // 2``.
    """
    indices = torch.arange(length)
    middles = indices[indices // step % hop == 0]
    return middles[:, None] + step * (torch.arange(frames) - frames // 2)
