"""Windows over tracks of paired 2D and 3D joints: what networks from 2D to 3D learn from and are tested on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence as SequenceOf
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import float_tensor
from hrtk.datasets.lifting.joints import ORDERS, ROOTS, mirror_order
from hrtk.errors import InputError
from hrtk.geometry.mirror import mirror_points

MIRRORED_INTRINSICS = (2, 7)  # principal point and tangential distortion change sign along x


@dataclasses.dataclass(frozen=True)
class PoseTrack:
    """One person before one camera.

    Attributes:
        name: unique in its data set.
        subject: who.
        action: what is done; errors are reported by it.
        camera: which camera.
        keypoints2d: (N, J, 2) normalised coordinates, see :mod:`hrtk.datasets.lifting.cameras`.
        joints3d: (N, J, 3) metres, camera frame, absolute.
        intrinsics: (9,) normalised, or None where they are unknown.
        scored: (N,) bool, frames that windows are made around; None means all.
    """

    name: str
    subject: str
    action: str
    camera: str
    keypoints2d: np.ndarray
    joints3d: np.ndarray
    intrinsics: Optional[np.ndarray] = None
    scored: Optional[np.ndarray] = None


class PoseWindows(Dataset):
    """Windows of F frames of tracks; frames are stored once and gathered when asked for.

    An item is a dict: ``keypoints2d`` (F, J, 2) float32 normalised; ``joints3d`` (F, J, 3) float32 metres, camera
    frame, relative to the root of each frame; ``root`` (F, 3) the root itself, metres; ``intrinsics`` (9,) where all
    tracks have them; ``frame``, number of the middle frame (F // 2) in its track; ``mirrored`` bool; and the strings
    ``subject``, ``action``, ``camera`` and ``track``. :meth:`batch` gives many items at once, collated.

    With padding there is one window around every scored frame, and frames beyond the ends repeat the first or last
    one; a clip shorter than the window is padded at both ends. Without, windows lie wholly within their track.

    Args:
        tracks: at least one.
        joints: order of the joints: ``'h36m17'``, ``'h36m16'`` or ``'mpi17'``, see
            :mod:`hrtk.datasets.lifting.joints`.
        frames: F.
        step: frames between neighbours of a window.
        stride: frames between the middles of windows; 1 is the official evaluation.
        flip: whether the mirrored windows follow the windows: x negated, left and right exchanged.
        pad: whether ends are repeated.

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
            raise InputError(
                f'{name}: frames, step and stride are positive, not {frames}, {step} and {stride}'
            )
        self.joints, self.frames, self.step, self.stride, self.flip = (
            joints,
            frames,
            step,
            stride,
            flip,
        )
        self.joint_names, self.root_index, self.mirror = (
            ORDERS[joints],
            ROOTS[joints],
            mirror_order(joints),
        )
        self.labels = [
            dict(subject=track.subject, action=track.action, camera=track.camera, track=track.name)
            for track in tracks
        ]
        lengths = torch.tensor([len(track.keypoints2d) for track in tracks], dtype=torch.int64)
        self.ends = lengths.cumsum(0)
        self.starts = self.ends - lengths
        self.keypoints2d = torch.cat([float_tensor(track.keypoints2d) for track in tracks])
        self.joints3d, self.root = _centred(tracks, self.root_index)
        known = all(track.intrinsics is not None for track in tracks)
        self.intrinsics = (
            float_tensor(np.stack([track.intrinsics for track in tracks])) if known else None
        )
        self.middles, self.owners = self._middles(tracks, pad)
        if not len(self.middles):
            raise InputError(
                f'{name}: no window of {frames} frames, {step} apart, fits into any of the {len(tracks)} '
                f'tracks; the longest has {int(lengths.max())} frames; ask for fewer `frames`'
            )

    def __len__(self) -> int:
        return len(self.middles) * (2 if self.flip else 1)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {key: value[0] for key, value in self.batch([index]).items()}

    def batch(self, samples: SequenceOf[int] | Tensor, labels: bool = True) -> dict[str, Any]:
        """Items by number, stacked: tensors have the batch first, labels are lists of strings.

        Args:
            samples: (B,) numbers below ``len(self)``; those from ``len(self.middles)`` on are mirrored.
            labels: whether the strings are wanted; a GPU would be waited for.
        """
        samples = torch.as_tensor(samples, device=self.middles.device)
        row, mirrored = samples % len(self.middles), samples >= len(self.middles)
        owner, frames = self.owners[row], self.window(row)
        items = dict(
            keypoints2d=self._seen(self.keypoints2d[frames], mirrored),
            joints3d=self._seen(self.joints3d[frames], mirrored),
        )
        sign = torch.where(mirrored, -1.0, 1.0)[:, None]
        items['root'] = self.root[frames]
        items['root'][..., 0] *= sign
        if self.intrinsics is not None:
            items['intrinsics'] = self.intrinsics[owner]
            items['intrinsics'][:, MIRRORED_INTRINSICS] *= sign
        items.update(frame=self.middles[row] - self.starts[owner], mirrored=mirrored)
        if labels:
            chosen = [self.labels[number] for number in owner.tolist()]
            items.update({key: [label[key] for label in chosen] for key in chosen[0]})
        return items

    def window(self, rows: Tensor) -> Tensor:
        """Rows of the stored frames that the windows ``rows`` (B,) consist of: (B, F)."""
        offsets = self.step * (torch.arange(self.frames, device=rows.device) - self.frames // 2)
        owner = self.owners[rows]
        wanted = self.middles[rows][:, None] + offsets
        return torch.minimum(
            torch.maximum(wanted, self.starts[owner][:, None]), self.ends[owner][:, None] - 1
        )

    def to(self, device: str | torch.device) -> PoseWindows:
        """Moves the frames, so that :meth:`batch` gathers there."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def _seen(self, pose: Tensor, mirrored: Tensor) -> Tensor:
        if not self.flip:
            return pose
        return torch.where(mirrored[:, None, None, None], mirror_points(pose, self.mirror), pose)

    def _middles(self, tracks: SequenceOf[PoseTrack], pad: bool) -> tuple[Tensor, Tensor]:
        """The stored row in the middle of every window, and whose track it is."""
        before = 0 if pad else self.step * (self.frames // 2)
        after = 0 if pad else self.step * (self.frames - 1 - self.frames // 2)
        middles, owners = [], []
        for number, track in enumerate(tracks):
            length = len(track.keypoints2d)
            scored = np.flatnonzero(np.ones(length) if track.scored is None else track.scored)
            chosen = scored[(scored >= before) & (scored < length - after)][:: self.stride]
            middles.append(torch.from_numpy(chosen) + self.starts[number])
            owners.append(torch.full((len(chosen),), number))
        return torch.cat(middles), torch.cat(owners)


def _centred(tracks: SequenceOf[PoseTrack], root: int) -> tuple[Tensor, Tensor]:
    """Joints relative to the root, and the root, of all frames."""
    joints, roots = [], []
    for track in tracks:
        roots.append(float_tensor(track.joints3d[:, root]))
        joints.append(float_tensor(track.joints3d - track.joints3d[:, root : root + 1]))
    return torch.cat(joints), torch.cat(roots)
