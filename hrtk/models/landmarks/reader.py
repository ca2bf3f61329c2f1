"""Landmarks of sequences that come without them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import torch
from torch import Tensor

from hrtk.body_models.skeletons import flip_map, index_map
from hrtk.models.blazepose import (
    BlazePose,
    People,
    next_regions,
    plausible,
    regions_of_axes,
)
from hrtk.models.landmarks.observations import LANDMARKS
from hrtk.structures import Keypoints2D, Landmarks, Sequence

REACH = 1.1  # radius of the circle around a body over the largest distance of its keypoints from the hips
BOX_TO_REGION = 1.25  # side of BlazePose's squares over that of a keypoint box
AGREEMENT = 0.04  # mean distance of the landmarks of two looks, sides of the square
BODY12 = list(index_map('coco17', 'body12'))
SHOULDERS = BODY12[:2]
HIPS = BODY12[6:8]
FLIP = torch.tensor(flip_map('blazepose33'))


class LandmarkReader:
    """Runs BlazePose on the frames of sequences, once per frame.

    The first look at a frame is guided by the 2D keypoints of the sequence: a square around them, turned as the trunk
    is. Without shoulders and hips it is the crop box. Each further look takes the square that the landmarks of the look
    before define, and the last one sees its mirror image too. Looks that agree are averaged, because their errors
    differ. Left and right of the landmarks are those of the keypoints.

    Args:
        weights: of :class:`~hrtk.models.blazepose.BlazePose`.
        passes: number of looks at a frame, without that at the mirror image.
    """

    def __init__(self, weights: str, passes: int) -> None:
        self.network = BlazePose(weights)
        self.passes = passes
        self._read: weakref.WeakKeyDictionary[Sequence, Landmarks] = weakref.WeakKeyDictionary()

    def __deepcopy__(self, memo: dict) -> LandmarkReader:
        """Returns itself: nothing in it adapts, and copies of an estimator need not look at a frame again."""
        return self

    def landmarks(self, sequence: Sequence, frames: Iterable[int]) -> Landmarks:
        """Returns landmarks that are valid for the given frames and for all frames that were read before.

        Raises:
            InputError: a frame cannot be read.
        """
        known = self._read.get(sequence)
        if known is None:
            known = _empty(len(sequence))
            self._read[sequence] = known
        for frame in frames:
            if not known.valid[frame]:
                self._look(sequence, frame, known)
        return known

    @torch.no_grad()
    def _look(self, sequence: Sequence, frame: int, known: Landmarks) -> None:
        """Looks at one frame and enters what is there."""
        image = sequence.frames[frame]
        region = first_regions(sequence.boxes[frame : frame + 1], sequence.keypoints2d, [frame])
        people = self.network.look_once(image, region)
        looks = [people]
        for _ in range(self.passes - 1):
            following = next_regions(people)
            if not bool(plausible(region, following)):
                break
            region = following
            people = self.network.look_once(image, region)
            looks.append(people)
        looks.append(self.network.look_mirrored(image, region))
        agreeing = _agreeing(people, looks)
        values = [_oriented(look, sequence.keypoints2d, frame) for look in agreeing]
        for name in ('xyz', 'world', 'visibility'):
            getattr(known, name)[frame] = torch.stack([value[name] for value in values]).mean(0)
        known.valid[frame] = True


def first_regions(boxes: Tensor, keypoints2d: Keypoints2D, frames: list[int]) -> Tensor:
    """Squares (B, 4) of BlazePose around people with known keypoints.

    Args:
        boxes: (B, 3) crop boxes of the frames, for people whose trunk is not visible.
        keypoints2d: of the whole sequence.
        frames: B frames.
    """
    xy, confidence = _coco_points(keypoints2d, frames)
    visible = confidence > 0
    hips = xy[:, HIPS].mean(1)
    up = xy[:, SHOULDERS].mean(1) - hips
    distance = (xy - hips[:, None]).norm(dim=-1) * visible
    radius = REACH * distance.amax(1, keepdim=True)
    reach = hips + radius * torch.nn.functional.normalize(up, dim=1)
    turned = regions_of_axes(torch.stack([hips, reach], dim=1))
    upright = torch.cat(
        [boxes[:, :2], BOX_TO_REGION * boxes[:, 2:], torch.zeros_like(boxes[:, :1])], dim=1
    )
    return torch.where(visible[:, SHOULDERS + HIPS].all(1, keepdim=True), turned, upright)


def _coco_points(keypoints2d: Keypoints2D, frames: list[int]) -> tuple[Tensor, Tensor]:
    """(B, 17, 2) positions and (B, 17) confidences of coco17; zero where the list lacks a point."""
    index = torch.tensor(index_map(keypoints2d.skeleton, 'coco17', nearest=True))
    known = (index >= 0) & keypoints2d.visible()[frames][:, index.clamp_min(0)]
    xy = keypoints2d.xy[frames][:, index.clamp_min(0)]
    confidence = keypoints2d.confidence[frames][:, index.clamp_min(0)]
    return torch.where(known[..., None], xy, 0), torch.where(known, confidence, 0)


def _agreeing(best: People, looks: list[People]) -> list[People]:
    """The looks that see nearly the same as the best guided one, whatever they call left and right."""
    limit = AGREEMENT * best.region[0, 2]
    xy = best.landmarks[0, :, :2]
    agreeing = []
    for look in looks:
        found = look.landmarks[0, :, :2]
        direct = (found - xy).norm(dim=-1).mean()
        crossed = (found[FLIP] - xy).norm(dim=-1).mean()
        if bool(torch.minimum(direct, crossed) < limit):
            agreeing.append(look)
    return agreeing


def _oriented(people: People, keypoints2d: Keypoints2D, frame: int) -> dict[str, Tensor]:
    """The landmarks of one person with the sides of the keypoints."""
    values = dict(xyz=people.landmarks[0], world=people.world[0], visibility=people.visibility[0])
    if _exchanged(people, keypoints2d, frame):
        values = {name: value[FLIP] for name, value in values.items()}
    return values


def _exchanged(people: People, keypoints2d: Keypoints2D, frame: int) -> bool:
    """Whether left and right of the landmarks fit those of the keypoints better when exchanged."""
    xy, confidence = _coco_points(keypoints2d, [frame])
    index = torch.tensor(index_map('blazepose33', 'coco17'))
    found = people.landmarks[0, :, :2]
    direct = (found[index] - xy[0]).norm(dim=-1)
    crossed = (found[FLIP][index] - xy[0]).norm(dim=-1)
    return bool((confidence[0] * (crossed - direct)).sum() < 0)


def _empty(frames: int) -> Landmarks:
    return Landmarks(
        torch.zeros(frames, LANDMARKS, 3),
        torch.zeros(frames, LANDMARKS, 3),
        torch.zeros(frames, LANDMARKS),
        torch.zeros(frames, dtype=torch.bool),
    )
