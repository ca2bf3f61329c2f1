"""LandmarkTracks: what BlazePose finds in labelled videos of the free stream, training data of the lifter."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.arrays import cached_tensors
from hrtk.datasets.open_stream.cache import cache_key, cache_root, generator_hash
from hrtk.datasets.open_stream.render import body_renderer
from hrtk.datasets.open_stream.stream import OpenStream
from hrtk.datasets.open_stream.tracks import APPEARANCE_SHIFTS
from hrtk.datasets.open_stream.video import Video, project_pinhole
from hrtk.errors import OptionError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.models.blazepose import BlazePose, Person
from hrtk.models.landmarks.reader import first_regions
from hrtk.registry import DATASETS
from hrtk.structures import Keypoints2D

# Change it when the items of a track change; the generator of the videos has a hash of its own.
FORMAT = 'hrtk-landmark-tracks-1'
JITTER = 0.05  # standard deviation of the first region's centre and size, shares of its side


@DATASETS.register_module()
class LandmarkTracks(Dataset):
    """Landmarks of T consecutive frames with the body that was drawn, found once and cached on disk (``HRTK_CACHE``).

    A track is a video of :class:`~hrtk.datasets.open_stream.OpenStream` with its own subset of the shifts. BlazePose
    follows the person from frame to frame; where it loses the person, it starts again at the true place.

    An item is a dict of float32 tensors: ``xyz`` (T, 33, 3), ``world`` (T, 33, 3), ``visibility`` (T, 33) and ``flag``
    (T,) of :class:`~hrtk.models.blazepose.Person`, and ``rotmat`` (T, 24, 3, 3), ``betas`` (T, 10), ``translation``
    (T, 3) and ``intrinsics`` (T, 3) of :class:`~hrtk.datasets.open_stream.video.Video`.

    Args:
        shifts: possible shifts of a track; default all but the motion clips, which stay the training split's.
        share: probability that a track has a shift, drawn for each shift.
        length: number of tracks.
        frames: T.
        fps: frames per second.
        seed: must differ from that of a test stream: a seed determines people, clothes and scenes.

    Raises:
        InputError: an unknown shift, or a number outside its range.
    """

    def __init__(
        self,
        shifts: Iterable[str] = APPEARANCE_SHIFTS,
        share: float = 0.5,
        length: int = 800,
        frames: int = 24,
        fps: float = 15.0,
        seed: int = 2000,
    ) -> None:
        if not 0 <= share <= 1 or min(length, frames) < 1:
            raise OptionError(
                f'LandmarkTracks: share is a probability, length and frames are positive, not '
                f'{share}, {length} and {frames}'
            )
        self.shifts = tuple(shifts)
        self.share = share
        self.length = length
        self.frames = frames
        self.fps = fps
        self.seed = seed
        OpenStream(shifts=self.shifts)  # raises on unknown names

    @property
    def key(self) -> str:
        """Cache key of these settings, without the length: a longer set begins with the same tracks."""
        return cache_key(FORMAT, self.shifts, self.share, self.frames, self.fps, self.seed)

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
        people = _follow(video, _true_regions(video, rng))
        found = {
            'xyz': [person.landmarks for person in people],
            'world': [person.world for person in people],
            'visibility': [person.visibility for person in people],
            'flag': [person.flag for person in people],
        }
        item = {name: torch.stack(values) for name, values in found.items()}
        for name in ('rotmat', 'betas', 'translation', 'intrinsics'):
            item[name] = torch.as_tensor(getattr(video, name))
        return item


@functools.cache
def _blazepose() -> BlazePose:
    return BlazePose(passes=2)


def _true_regions(video: Video, rng: np.random.Generator) -> Tensor:
    """(F, 4) regions around the true joints, as a detector would find them."""
    with torch.no_grad():
        joints = body_renderer().body.joints(
            torch.as_tensor(video.rotmat), torch.as_tensor(video.betas), 'coco17'
        )
    camera_joints = joints + torch.as_tensor(video.translation)[:, None]
    xy = project_pinhole(camera_joints, torch.as_tensor(video.intrinsics))
    seen = Keypoints2D(xy, torch.ones(xy.shape[:2]), 'coco17', 'gt')
    boxes = boxes_from_keypoints(xy, seen.confidence)
    regions = first_regions(boxes, seen, list(range(len(xy))))
    shift = torch.as_tensor(rng.normal(size=(len(xy), 3)) * JITTER, dtype=torch.float32)
    side = regions[:, 2:3]
    return torch.cat(
        [regions[:, :2] + shift[:, :2] * side, side * shift[:, 2:].exp(), regions[:, 3:]], dim=1
    )


@torch.inference_mode()
def _follow(video: Video, regions: Tensor) -> list[Person]:
    """The person in every frame of a video."""
    network = _blazepose()
    people: list[Person] = []
    person: Optional[Person] = None
    for image, region in zip(video.frames, regions):
        if person is not None:
            person = network.follow(image, [person])[0]
        if person is None:
            person = network.look(image, region[None]).split()[0]
        people.append(person)
    return people
