"""LandmarkViews: single labelled observations, training data of the lifter and source data of its adaptation."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from hrtk.body_models import BodyModel
from hrtk.datasets.landmarks.errors import (
    COCO,
    HIPS,
    LIMBS,
    ON_BODY,
    LandmarkErrors,
    bone_rotations,
)
from hrtk.datasets.landmarks.motion import BodyWindows, RandomMotion, Variety
from hrtk.errors import OptionError
from hrtk.geometry.boxes import boxes_from_keypoints, to_crop
from hrtk.models.landmarks import STEP, WINDOW
from hrtk.registry import DATASETS

BLOCK = 128  # items that are drawn together
LABELS = ('image', 'rotmat', 'betas', 'keypoints2d')
# Real people differ from drawn ones: where exactly a landmark lies on them, and how large BlazePose takes them to be.
DEFINITION_SCALE = (0.4, 1.2)
DEFINITION_NOISE = 0.012  # metres, standard deviation, the same in all frames of an observation
WORLD_SCALE_NOISE = 0.04  # of the logarithm


@DATASETS.register_module()
class LandmarkViews(Dataset):
    """Observations of BlazePose with the body behind them; item i is the same in every process.

    A share of the items are what BlazePose saw in drawn videos. The others are simulated: a body of
    :class:`~hrtk.datasets.landmarks.motion.RandomMotion`, its landmarks, and the errors that BlazePose made on a
    similar pose. An item is a dict: ``image`` (9, 33, 6), an observation
    (:mod:`hrtk.models.landmarks.observations`), ``rotmat`` (24, 3, 3) with the root in the frame of the viewing ray,
    ``betas`` (10,) and ``keypoints2d`` (24, 2), true perspective positions of ``spin24`` in [-1, 1].

    Args:
        length: number of items.
        seed: another seed yields other items.
        tracks: config of the drawn videos, a :class:`~hrtk.datasets.landmarks.tracks.LandmarkTracks`.
        seen: share of the items that BlazePose saw.
        split: of the motion clips of the other items.
        variety: replacements of the defaults of :class:`~hrtk.datasets.landmarks.motion.Variety`.
        errors: factor on the errors of simulated landmarks, drawn between 1 / errors and errors.

    Raises:
        InputError: a number is outside its range.
    """

    def __init__(
        self,
        length: int = 100_000,
        seed: int = 0,
        tracks: Optional[dict] = None,
        seen: float = 0.3,
        split: str = 'train',
        variety: Optional[dict] = None,
        errors: float = 1.4,
    ) -> None:
        if length < 1 or not 0 <= seen <= 1 or errors < 1:
            raise OptionError(
                f'LandmarkViews: length is positive, seen a share and errors at least 1, not {length}, {seen}, {errors}'
            )
        self.length = length
        self.seed = seed
        self.share_seen = seen
        self.largest_factor = errors
        self.body = BodyModel()
        self.tracks = DATASETS.build(tracks or dict(type='LandmarkTracks'))
        self.motion = RandomMotion(split, WINDOW, 1 / STEP, Variety(**(variety or {})))
        self.errors = LandmarkErrors(self.tracks, self.body)
        self._block: tuple[int, dict[str, Tensor]] = (-1, {})

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        number, row = divmod(index, BLOCK)
        if self._block[0] != number:
            self._block = number, self._draw(number)
        return {name: values[row] for name, values in self._block[1].items()}

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the tracks."""
        return self.tracks.fingerprint()

    @torch.no_grad()
    def _draw(self, number: int) -> dict[str, Tensor]:
        """Block ``number`` of the items."""
        generator = Generator().manual_seed(self.seed * 1_000_003 + number)
        item = self._simulate(self.motion.draw(BLOCK, generator), generator)
        seen = self.errors.seen
        row = torch.randint(len(seen.betas), (BLOCK,), generator=generator)
        chosen = torch.rand(BLOCK, generator=generator) < self.share_seen
        fields = dict(
            image=seen.observations,
            rotmat=seen.rotmat,
            betas=seen.betas,
            keypoints2d=seen.keypoints2d,
        )
        for name, values in fields.items():
            item[name][chosen] = values[row[chosen]]
        item['image'] = item['image'] * _present(BLOCK, generator)[..., None, None]
        return item

    def _simulate(self, bodies: BodyWindows, generator: Generator) -> dict[str, Tensor]:
        """Items of simulated landmarks."""
        count, frames = bodies.rotmat.shape[:2]
        middle = frames // 2
        rotmat = bodies.rotmat.flatten(0, 1)
        betas = bodies.betas[:, None].expand(-1, frames, -1).flatten(0, 1)
        low, high = DEFINITION_SCALE
        scale = low + (high - low) * torch.rand(count, 1, 1, generator=generator)
        noise = DEFINITION_NOISE * torch.randn(count, 33, 3, generator=generator)
        definition = scale * self.errors.definition + noise
        joints = self.body.joints(rotmat, betas, ON_BODY).unflatten(0, (count, frames))
        bones = bone_rotations(rotmat).unflatten(0, (count, frames))
        points = joints + (bones @ definition[:, None, ..., None])[..., 0]
        hips = points[:, :, HIPS].mean(2, keepdim=True)
        ahead = F.pad(bodies.distance[:, None, None, None], (2, 0))  # along the viewing ray
        start = bodies.offset[:, :, None] - hips[:, middle, None] + ahead
        plane = _projected(points + start)
        labels = self.body.joints(bodies.rotmat[:, middle], bodies.betas, 'spin24')
        label_plane = _projected(labels + start[:, middle])
        boxes = boxes_from_keypoints(plane[:, middle, COCO], torch.ones(count, len(COCO)))
        size = 0.1 * torch.randn(count, generator=generator)
        shift = 0.06 * torch.randn(count, 2, generator=generator)
        boxes[:, :2] += shift * boxes[:, 2:]
        boxes[:, 2] *= size.exp()
        xy = to_crop(plane.flatten(1, 2), boxes).unflatten(1, (frames, -1))
        world = points - hips
        windows = self.errors.windows
        index = windows.similar(world[:, middle, LIMBS].flatten(1), generator)
        factor = self.largest_factor ** (2 * torch.rand(count, generator=generator) - 1)
        factor = factor[:, None, None, None]
        xy = xy + factor * windows.xy[index] / size.exp()[:, None, None, None]
        size_error = (WORLD_SCALE_NOISE * torch.randn(count, 1, 1, 1, generator=generator)).exp()
        world = size_error * world + factor * windows.world[index]
        return dict(
            image=torch.cat([xy, windows.visibility[index][..., None], world], dim=-1),
            rotmat=bodies.rotmat[:, middle].clone(),
            betas=bodies.betas.clone(),
            keypoints2d=to_crop(label_plane, boxes),
        )


def _projected(points: Tensor) -> Tensor:
    return points[..., :2] / points[..., 2:].clamp_min(0.2)


def _present(count: int, generator: Generator) -> Tensor:
    """(B, 9) of 0 and 1: photographs have one moment, and clips begin and end."""
    half = WINDOW // 2
    kind = torch.rand(count, 1, generator=generator)
    reach = torch.randint(half, (count, 1), generator=generator)
    moment = torch.arange(WINDOW)[None] - half
    photograph = moment == 0
    begun = moment >= -reach
    ended = moment <= reach
    present = torch.ones(count, WINDOW, dtype=torch.bool)
    present = torch.where(kind < 0.3, begun, present)
    present = torch.where(kind < 0.2, ended, present)
    present = torch.where(kind < 0.1, photograph, present)
    return present.float()
