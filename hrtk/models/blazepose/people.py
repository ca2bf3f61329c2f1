"""The people that BlazePose finds: the landmark network's output in the image."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor

from hrtk.body_models.skeletons import flip_map, index_map
from hrtk.geometry.regions import from_regions, paste_mask, turn
from hrtk.models.blazepose.heatmaps import refine
from hrtk.models.blazepose.landmark_network import LANDMARKS, SIDE, LandmarkOutput

SKELETON = 'blazepose33'
# Auxiliary landmarks: the middle of the hips, and a point on a circle around the whole body.
AXIS = [33, 34]


@dataclasses.dataclass(frozen=True)
class Person:
    """One person of an image.

    Attributes:
        region: (4,) ``[cx, cy, side, angle]`` that the landmark network looked at, px and radians, see
            :mod:`hrtk.geometry.regions`.
        landmarks: (33, 3) x, y and z of the skeleton ``blazepose33``, px of the image. z is the depth relative to the
            middle of the hips, negative towards the camera.
        visibility: (33,) probability that a landmark is in the image and not hidden.
        presence: (33,) probability that a landmark is in the image.
        world: (33, 3) metres about the middle of the hips, in the axes of the image: x right, y down, z away.
        flag: () probability that there is a person.
        axis: (2, 2) px: the middle of the hips, and a point above it on a circle around the whole body. They define
            the region of the next look.
        mask: (256, 256) probability of the foreground in the region, or None if it was not asked for.
    """

    region: Tensor
    landmarks: Tensor
    visibility: Tensor
    presence: Tensor
    world: Tensor
    flag: Tensor
    axis: Tensor
    mask: Optional[Tensor] = None

    def keypoints(self, skeleton: str = SKELETON) -> Tensor:
        """Returns (K, 3) x and y in px and the visibility of the points of a list; zeros where there is no such point.

        Raises:
            InputError: there is no list of this name.
        """
        points = torch.cat([self.landmarks[:, :2], self.visibility[:, None]], dim=1)
        index = torch.tensor(index_map(SKELETON, skeleton, nearest=True))
        return points[index.clamp_min(0)] * (index >= 0)[:, None]

    def image_mask(self, height: int, width: int) -> Tensor:
        """Returns the foreground as (height, width) probabilities in the image, zero outside the region.

        Raises:
            ValueError: there is no mask.
        """
        if self.mask is None:
            raise ValueError('this person was found without a mask; ask for it with masks=True')
        return paste_mask(self.mask, self.region, (height, width))


@dataclasses.dataclass(frozen=True)
class People:
    """P people of one image; every attribute is that of :class:`Person` with a leading axis."""

    region: Tensor
    landmarks: Tensor
    visibility: Tensor
    presence: Tensor
    world: Tensor
    flag: Tensor
    axis: Tensor
    mask: Optional[Tensor] = None

    def __len__(self) -> int:
        return len(self.region)

    def pick(self, index: Tensor) -> People:
        """Returns the people of an index or mask (P,)."""
        return People(**{name: value[index] for name, value in self._values()})

    def replace(self, chosen: Tensor, others: People) -> People:
        """Returns the same with the people of a mask (P,) replaced, one after the other, by ``others``."""
        fields = {}
        for name, value in others._values():
            fields[name] = getattr(self, name).clone()
            fields[name][chosen] = value
        return People(**fields)

    def append(self, others: People) -> People:
        """Returns these people and, behind them, others; without masks."""
        fields = {}
        for name, value in self._values():
            if name != 'mask':
                fields[name] = torch.cat([value, getattr(others, name)])
        return People(**fields)

    def split(self) -> list[Person]:
        """Returns the people one by one."""
        people = []
        for index in range(len(self)):
            people.append(Person(**{name: value[index] for name, value in self._values()}))
        return people

    def _values(self) -> list[tuple[str, Tensor]]:
        """Names and values of the fields that are there."""
        values = [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]
        return [(name, value) for name, value in values if value is not None]


def to_people(output: LandmarkOutput, regions: Tensor) -> People:
    """Moves the output for the crops of P regions (P, 4) into the image; heat maps, if there, refine x and y.

    All of it is differentiable.
    """
    unit = unit_places(output)
    xy = from_regions(2 * unit - 1, regions)
    z = output.landmarks[..., 2:3] * (regions[:, None, 2:3] / SIDE)
    # World landmarks have the axes of the turned crop.
    world = torch.cat([turn(output.world[..., :2], regions[:, 3]), output.world[..., 2:]], dim=-1)
    mask = None
    if output.mask is not None:
        mask = output.mask.sigmoid()
    return People(
        region=regions,
        landmarks=torch.cat([xy, z], dim=-1)[:, :LANDMARKS],
        visibility=output.landmarks[:, :LANDMARKS, 3].sigmoid(),
        presence=output.landmarks[:, :LANDMARKS, 4].sigmoid(),
        world=world[:, :LANDMARKS],
        flag=output.flag.sigmoid(),
        axis=xy[:, AXIS],
        mask=mask,
    )


def to_mirrored_people(output: LandmarkOutput, regions: Tensor) -> People:
    """Moves the output for the *mirrored* crops of P regions (P, 4) into the image, without masks.

    The people are mirrored back: what the network called left in the mirrored crop is right. A perfect network would
    return the people of the crops that are not mirrored.
    """
    unit = unit_places(output)
    places = SIDE * torch.stack([1 - unit[..., 0], unit[..., 1]], dim=-1)
    landmarks = torch.cat([places, output.landmarks[:, : places.shape[1], 2:]], dim=-1)
    world = output.world * output.world.new_tensor([-1.0, 1.0, 1.0])
    order = [*flip_map(SKELETON), *range(LANDMARKS, landmarks.shape[1])]
    back = output._replace(
        landmarks=landmarks[:, order],
        world=world[:, list(flip_map(SKELETON))],
        heatmap=None,
        mask=None,
    )
    return to_people(back, regions)


def unit_places(output: LandmarkOutput) -> Tensor:
    """(P, 35, 2) x and y in a crop, refined by heat maps if there are any; [0, 1] covers the crop."""
    unit = output.landmarks[..., :2] / SIDE
    if output.heatmap is not None:
        unit = refine(unit, output.heatmap)
    return unit
