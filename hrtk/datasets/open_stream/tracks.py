"""OpenTracks: short labelled videos of the free stream as crops, training data of temporal networks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import cached_tensors
from hrtk.datasets.open_stream.cache import cache_key, cache_root, generator_hash
from hrtk.datasets.open_stream.domain import SHIFTS
from hrtk.datasets.open_stream.render import body_renderer
from hrtk.datasets.open_stream.stream import OpenStream
from hrtk.datasets.open_stream.video import Video, project_pinhole
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image, to_crop
from hrtk.geometry.camera import fit_weak_perspective
from hrtk.registry import DATASETS
from hrtk.structures import Sequence

# Change it when the crops or labels of a track change; the generator of the videos has a hash of its own.
FORMAT = 'hrtk-tracks-1'
APPEARANCE_SHIFTS = tuple(name for name in SHIFTS if name != 'motion')


@DATASETS.register_module()
class OpenTracks(Dataset):
    """Crops of T consecutive frames with labels, drawn once and cached on disk (``HRTK_CACHE``).

    A track is a video of :class:`~hrtk.datasets.open_stream.OpenStream`, cropped by the boxes of the stream, as for an
    estimator. Each has its own subset of the shifts.

    An item is a dict: ``image`` (T, 3, R, R) uint8 RGB, ``rotmat`` (T, 24, 3, 3), ``betas`` (T, 10), ``camera`` (T, 3)
    least squares weak-perspective, ``keypoints2d`` (T, 24, 2) true perspective positions of ``spin24`` in [-1, 1].

    Args:
        shifts: possible shifts of a track; default all but the motion clips, which stay the training split's.
        share: probability that a track has a shift, drawn for each shift.
        length: number of tracks.
        frames: T.
        fps: frames per second.
        resolution: R, px.
        seed: must differ from that of a test stream: a seed determines people, clothes and scenes.

    Raises:
        InputError: an unknown shift, or a number outside its range.
    """

    format = FORMAT

    def __init__(
        self,
        shifts: Iterable[str] = APPEARANCE_SHIFTS,
        share: float = 0.75,
        length: int = 1500,
        frames: int = 32,
        fps: float = 15.0,
        resolution: int = 112,
        seed: int = 1000,
    ) -> None:
        if not 0 <= share <= 1 or min(length, frames, resolution) < 1:
            raise InputError(
                f'OpenTracks: share is a probability and length, frames and resolution are positive, not '
                f'{share}, {length}, {frames} and {resolution}'
            )
        self.shifts = tuple(shifts)
        self.share = share
        self.length = length
        self.frames = frames
        self.fps = fps
        self.resolution = resolution
        self.seed = seed
        OpenStream(shifts=self.shifts)  # raises on unknown names

    @property
    def key(self) -> str:
        """Cache key of these settings, without the length: a longer set begins with the same tracks."""
        return cache_key(
            self.format, self.shifts, self.share, self.frames, self.fps, self.resolution, self.seed
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        path = cache_root() / self.key / f'{index:06d}.npz'
        return cached_tensors(path, lambda: self._draw(index))

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the tracks."""
        return {'open_stream': generator_hash()}

    def _draw(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        active = rng.random(len(self.shifts)) < self.share
        stream = OpenStream(
            shifts=[shift for shift, is_active in zip(self.shifts, active) if is_active],
            sequences=self.length,
            frames=self.frames,
            fps=self.fps,
            seed=self.seed,
        )
        video = stream.draw(index)
        return self._label(video, stream.make_sequence(index, video))

    def _label(self, video: Video, sequence: Sequence) -> dict[str, Tensor]:
        """The item of a track."""
        rotmat = torch.as_tensor(video.rotmat)
        betas = torch.as_tensor(video.betas)
        translation = torch.as_tensor(video.translation)
        with torch.no_grad():
            joints = body_renderer().body.joints(rotmat, betas, 'spin24')
        pixels = project_pinhole(joints + translation[:, None], torch.as_tensor(video.intrinsics))
        keypoints = to_crop(pixels, sequence.boxes)
        crops = [
            crop_image(sequence.frames[t], box, self.resolution)
            for t, box in enumerate(sequence.boxes)
        ]
        return dict(
            image=torch.stack(crops).round().to(torch.uint8),
            rotmat=rotmat,
            betas=betas,
            camera=fit_weak_perspective(joints, keypoints),
            keypoints2d=keypoints,
        )
