"""OpenTracks: short labelled videos of the free stream as crops, which temporal networks learn from."""

from __future__ import annotations

from typing import Iterable

import numpy as np
import torch
from torch.utils.data import Dataset

from hrtk.datasets.arrays import read_or_make
from hrtk.datasets.open_stream.cache import cache_key, cache_root, generator_hash
from hrtk.datasets.open_stream.domain import SHIFTS
from hrtk.datasets.open_stream.render import painter
from hrtk.datasets.open_stream.stream import OpenStream, draw_video
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image, to_crop
from hrtk.geometry.camera import fit_weak_perspective
from hrtk.registry import DATASETS
from hrtk.structures import Sequence

FORMAT = 'hrtk-tracks-1'  # raise it when the crops or labels of a track change; what is drawn has a hash of its own
LOOKS = tuple(name for name in SHIFTS if name != 'motion')


class _PassingStream(OpenStream):
    """The stream without a copy of its videos on disk."""

    def _cached(self, index: int) -> dict[str, np.ndarray]:
        return draw_video(
            np.random.default_rng(self._entropy(index, 'scene')),
            self.domain,
            self.frames,
            self.fps,
            self.size,
        )


@DATASETS.register_module()
class OpenTracks(Dataset):
    """Crops of T consecutive frames with labels, drawn once and kept on disk (``HRTK_CACHE``).

    A track is a video of :class:`~hrtk.datasets.open_stream.OpenStream`, cut by the same boxes that an estimator
    would be given. Each has its own subset of the shifts.

    An item is a dict: ``image`` (T, 3, R, R) uint8 RGB, ``rotmat`` (T, 24, 3, 3), ``betas`` (T, 10), ``camera`` (T, 3)
    least squares weak-perspective, ``keypoints2d`` (T, 24, 2) true perspective positions of ``spin24`` in [-1, 1].

    Args:
        shifts: what the wild may differ in; default everything but the motion clips, which stay the training split's.
        share: probability that a track has a shift, drawn for each.
        length: number of tracks.
        frames: T.
        fps: frames per second.
        resolution: R, px.
        seed: must not be that of a stream that is tested on: a seed decides people, clothes and scenes.

    Raises:
        InputError: an unknown shift.
    """

    format = FORMAT

    def __init__(
        self,
        shifts: Iterable[str] = LOOKS,
        share: float = 0.75,
        length: int = 1500,
        frames: int = 32,
        fps: float = 15.0,
        resolution: int = 112,
        seed: int = 1000,
    ) -> None:
        self.shifts, self.share, self.length, self.frames = tuple(shifts), share, length, frames
        self.fps, self.resolution, self.seed = fps, resolution, seed
        if not 0 <= share <= 1 or min(length, frames, resolution) < 1:
            raise InputError(
                f'OpenTracks: share is a probability and length, frames and resolution are positive, not '
                f'{share}, {length}, {frames} and {resolution}'
            )
        OpenStream(shifts=self.shifts)  # complains about unknown names

    @property
    def key(self) -> str:
        """A name for what these settings draw; the length is left out, since more tracks are the same and others."""
        return cache_key(
            self.format, self.shifts, self.share, self.frames, self.fps, self.resolution, self.seed
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return read_or_make(cache_root() / self.key / f'{index:06d}.npz', lambda: self._draw(index))

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the tracks."""
        return {'open_stream': generator_hash()}

    def _draw(self, index: int) -> dict[str, torch.Tensor]:
        chosen = np.random.default_rng([self.seed, index]).random(len(self.shifts)) < self.share
        stream = _PassingStream(
            shifts=[name for name, take in zip(self.shifts, chosen) if take],
            sequences=self.length,
            frames=self.frames,
            fps=self.fps,
            seed=self.seed,
        )
        return self._label(stream[index])

    def _label(self, sequence: Sequence) -> dict[str, torch.Tensor]:
        """The item of a track."""
        truth = sequence.truth
        with torch.no_grad():
            joints = painter().body.joints(truth.rotmat, truth.betas, 'spin24')
        seen = joints + truth.translation[:, None]
        pixels = (
            seen[..., :2] / seen[..., 2:] * truth.intrinsics[:, None, :1]
            + truth.intrinsics[:, None, 1:]
        )
        keypoints = to_crop(pixels, sequence.boxes)
        crops = [
            crop_image(sequence.frames[t], box, self.resolution)
            for t, box in enumerate(sequence.boxes)
        ]
        return dict(
            image=torch.stack(crops).round().to(torch.uint8),
            rotmat=truth.rotmat,
            betas=truth.betas,
            camera=fit_weak_perspective(joints, keypoints),
            keypoints2d=keypoints,
        )
