"""Windows over tracks of paired 2D and 3D joints: training and test data of networks from 2D to 3D."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence as SequenceOf
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.body_models.joint_orders import ORDERS, mirror_order, root_of
from hrtk.datasets.arrays import float_tensor
from hrtk.errors import OptionError
from hrtk.geometry.mirror import mirror_points

MIRRORED_INTRINSICS = (2, 7)  # principal point and tangential distortion change sign along x


@dataclasses.dataclass(frozen=True)
class PoseTrack:
    """One person in front of one camera.

    Attributes:
        name: unique in its data set.
        subject: name of the person.
        action: name of the action; errors are reported by it.
        camera: name of the camera.
        keypoints2d: (N, J, 2) normalised coordinates, see :mod:`hrtk.datasets.lifting.cameras`.
        joints3d: (N, J, 3) metres, camera frame, absolute.
        intrinsics: (9,) normalised, or None where they are unknown.
        scored: (N,) bool, frames that get a window; None means all.
    """

    name: str
    subject: str
    action: str
    camera: str
    keypoints2d: np.ndarray
    joints3d: np.ndarray
    intrinsics: Optional[np.ndarray] = None
    scored: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.keypoints2d)


class PoseWindows(Dataset):
    """Windows of F frames of tracks; frames are stored once and gathered on access.

    An item is a dict: ``keypoints2d`` (F, J, 2) float32 normalised; ``joints3d`` (F, J, 3) float32 metres, camera
    frame, relative to the root of each frame; ``root`` (F, 3) the root itself, metres; ``intrinsics`` (9,) if all
    tracks have them; ``frame``, number of the middle frame (F // 2) in its track; ``mirrored`` bool; and the strings
    ``subject``, ``action``, ``camera``, ``track`` and ``joint_order``, the name of the order of the joints.
    :meth:`batch` returns many items at once, collated.

    With padding there is one window around every scored frame, and frames beyond the ends repeat the first or last
    one; a clip shorter than the window is padded at both ends. Without, windows lie completely within their track.

    Args:
        tracks: at least one.
        joints: order of the joints: ``'h36m17'``, ``'h36m16'`` or ``'mpi17'``, see
            :mod:`hrtk.body_models.joint_orders`.
        frames: F.
        step: frames between neighbours of a window.
        stride: frames between the middles of windows; 1 is the official evaluation.
        flip: whether the mirrored windows follow the windows: x negated, left and right exchanged.
        pad: whether ends are repeated.

    Attributes:
        starts: (T,) first stored row of every track.
        ends: (T,) row behind the last one of every track.
        centre_rows: (W,) stored row of the middle frame of every window that is not mirrored.
        track_of_window: (W,) index of its track.

    Raises:
        InputError: a number is not positive, or no window fits.
    """

    def __init__(
        self,
        tracks: SequenceOf[PoseTrack],
        joints: str,
        frames: int = 243,
        step: int = 1,
        stride: int = 1,
        flip: bool = False,
        pad: bool = True,
    ) -> None:
        name = type(self).__name__
        if min(frames, step, stride) < 1:
            raise OptionError(
                f'{name}: frames, step and stride are positive, not {frames}, {step} and {stride}'
            )
        self.joints = joints
        self.frames = frames
        self.step = step
        self.stride = stride
        self.flip = flip
        self.joint_names = ORDERS[joints]
        self.root_index = root_of(joints)
        self.mirror = mirror_order(joints)
        self.labels = [
            dict(
                subject=track.subject,
                action=track.action,
                camera=track.camera,
                track=track.name,
                joint_order=joints,
            )
            for track in tracks
        ]
        lengths = torch.tensor([len(track) for track in tracks], dtype=torch.int64)
        self.ends = lengths.cumsum(0)
        self.starts = self.ends - lengths
        self.keypoints2d = torch.cat([float_tensor(track.keypoints2d) for track in tracks])
        self.joints3d, self.root = _root_relative(tracks, self.root_index)
        self.intrinsics = _stack_intrinsics(tracks)
        self.centre_rows, self.track_of_window = self._place_windows(tracks, pad)
        if len(self.centre_rows) == 0:
            raise OptionError(
                f'{name}: no window of {frames} frames, {step} apart, fits into any of the {len(tracks)} '
                f'tracks; the longest has {int(lengths.max())} frames; ask for fewer `frames`'
            )

    def __len__(self) -> int:
        if self.flip:
            return 2 * len(self.centre_rows)
        return len(self.centre_rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {key: value[0] for key, value in self.batch([index]).items()}

    def batch(self, samples: SequenceOf[int] | Tensor, labels: bool = True) -> dict[str, Any]:
        """Items by index, stacked: tensors have the batch first, labels are lists of strings.

        Args:
            samples: (B,) indices below ``len(self)``; those from ``len(self.centre_rows)`` on are mirrored.
            labels: whether to return the strings, which synchronises with a GPU.
        """
        samples = torch.as_tensor(samples, device=self.centre_rows.device)
        window = samples % len(self.centre_rows)
        mirrored = samples >= len(self.centre_rows)
        track = self.track_of_window[window]
        rows = self.window(window)
        sign = torch.where(mirrored, -1.0, 1.0)[:, None]
        root = self.root[rows]
        root[..., 0] *= sign
        items: dict[str, Any] = dict(
            keypoints2d=self._mirror_where(mirrored, self.keypoints2d[rows]),
            joints3d=self._mirror_where(mirrored, self.joints3d[rows]),
            root=root,
        )
        if self.intrinsics is not None:
            intrinsics = self.intrinsics[track]
            intrinsics[:, MIRRORED_INTRINSICS] *= sign
            items['intrinsics'] = intrinsics
        items['frame'] = self.centre_rows[window] - self.starts[track]
        items['mirrored'] = mirrored
        if labels:
            track_labels = [self.labels[index] for index in track.tolist()]
            for key in track_labels[0]:
                items[key] = [label[key] for label in track_labels]
        return items

    def window(self, windows: Tensor) -> Tensor:
        """Stored rows of the frames of windows (B,) that are not mirrored: (B, F)."""
        offsets = self.step * (torch.arange(self.frames, device=windows.device) - self.frames // 2)
        track = self.track_of_window[windows]
        rows = self.centre_rows[windows][:, None] + offsets
        first = self.starts[track][:, None]
        last = self.ends[track][:, None] - 1
        return torch.minimum(torch.maximum(rows, first), last)

    def to(self, device: str | torch.device) -> PoseWindows:
        """Moves the frames, so that :meth:`batch` gathers on the device."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def _mirror_where(self, mirrored: Tensor, poses: Tensor) -> Tensor:
        """(B, F, J, D) poses, mirrored where ``mirrored`` (B,)."""
        if not self.flip:
            return poses
        return torch.where(mirrored[:, None, None, None], mirror_points(poses, self.mirror), poses)

    def _place_windows(self, tracks: SequenceOf[PoseTrack], pad: bool) -> tuple[Tensor, Tensor]:
        """``centre_rows`` and ``track_of_window``."""
        before = 0
        after = 0
        if not pad:
            before = self.step * (self.frames // 2)
            after = self.step * (self.frames - 1 - self.frames // 2)
        centre_rows = []
        track_of_window = []
        for index, track in enumerate(tracks):
            centres = np.arange(len(track))
            if track.scored is not None:
                centres = np.flatnonzero(track.scored)
            inside = (centres >= before) & (centres < len(track) - after)
            centres = centres[inside][:: self.stride]
            centre_rows.append(torch.from_numpy(centres) + self.starts[index])
            track_of_window.append(torch.full((len(centres),), index))
        return torch.cat(centre_rows), torch.cat(track_of_window)


def _root_relative(tracks: SequenceOf[PoseTrack], root: int) -> tuple[Tensor, Tensor]:
    """Joints relative to the root, and the root, of all frames."""
    joints = []
    roots = []
    for track in tracks:
        roots.append(float_tensor(track.joints3d[:, root]))
        joints.append(float_tensor(track.joints3d - track.joints3d[:, root : root + 1]))
    return torch.cat(joints), torch.cat(roots)


def _stack_intrinsics(tracks: SequenceOf[PoseTrack]) -> Optional[Tensor]:
    """(T, 9), or None if a track has no intrinsics."""
    intrinsics = [track.intrinsics for track in tracks if track.intrinsics is not None]
    if len(intrinsics) < len(tracks):
        return None
    return float_tensor(np.stack(intrinsics))
