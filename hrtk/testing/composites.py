"""People cut out of real pictures who cross each other over a real background, with known identities.

The pictures are those of a folder of test data that a user names; nothing of it comes with hrtk. One person stands in
several photographs, another one moves in a clip. Ways and detections are those of :mod:`hrtk.testing.crossings`, pixels
are real: light, compression and edges of the masks come from the pictures, and who is in front hides the other one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from hrtk.datasets.frames import read_image
from hrtk.datasets.own.identities.appearance import Appearance, look
from hrtk.models.blazepose import BlazePose
from hrtk.reading import read_json
from hrtk.testing.crossings import (
    FRAMES,
    MOTIONS,
    SKELETON,
    VIEWS,
    as_rows,
    draw_detections,
    draw_ways,
)

PHOTOS = ('t5', 'tada_photo', 'test_a', 'test_c', 'test_m', 'test_y', 'y1')
FIXED = ('test_a', 'test_c', 'test_m', 'test_y', 'y1')  # from one camera that did not move
SIZE = (480, 270)
SCALE = 0.375  # of the simulated ways, which cross an image of 1280 x 720
FILMED = 5  # pictures of the clip
HOLD = 6  # frames for which a picture of the clip is shown
TALL = 180  # px of a sprite
SAME = 0.25  # share of composites with one person twice, in different poses


@dataclasses.dataclass(frozen=True)
class Sprite:
    """A person who is cut out of a picture.

    Attributes:
        image: (H, W, 3) uint8 RGB, the part of the picture with the person.
        mask: (H, W) float32, 1 on the person.
        points: (17, 3) x, y, px of ``image``, and confidence.
        pelvis: (2,) px.
        height: of the mask, px.
    """

    image: np.ndarray
    mask: np.ndarray
    points: np.ndarray
    pelvis: np.ndarray
    height: float


@dataclasses.dataclass(frozen=True)
class Composite:
    """Two people who cross; see :class:`hrtk.testing.crossings.Crossing` for the other attributes.

    Attributes:
        plate: (H, W, 3) uint8 the background.
        shown: the sprites of both people, in every frame.
        heights: (2, F) px.
        places: (2, F, 2) of the pelvis, px.
        same: whether both are one person.
    """

    motion: str
    view: str
    frames: np.ndarray
    truth: np.ndarray
    points: np.ndarray
    boxes: np.ndarray
    plate: np.ndarray
    shown: tuple[tuple[Sprite, ...], tuple[Sprite, ...]]
    heights: np.ndarray
    places: np.ndarray
    same: bool

    def image(self, frame: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB; the larger person is in front, the light flickers a little."""
        canvas = self.plate.astype(np.float32)
        for person in np.argsort(self.heights.mean(1), kind='stable'):
            sprite = self.shown[person][frame]
            scale = self.heights[person, frame] / sprite.height
            shift = self.places[person, frame] - scale * sprite.pelvis
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
            moved = cv2.warpAffine(sprite.image, matrix, SIZE)
            mask = cv2.warpAffine(sprite.mask, matrix, SIZE)[..., None]
            canvas += mask * (moved - canvas)
        rng = np.random.default_rng(frame)
        light = rng.normal(1, 0.03)
        noise = 3 * rng.standard_normal(canvas.shape, np.float32)
        return (np.float32(light) * canvas + noise).clip(0, 255).astype(np.uint8)

    def look(self, row: int) -> Appearance:
        """What the person of a row looks like in the composite."""
        return look(self.image(int(self.frames[row])), self.points[row], SKELETON)


def composites(folder: Path, count: int, seed: int = 0) -> Iterator[Composite]:
    """Draws composites; the motions and views of the simulation take turns.

    Args:
        folder: of test data, with ``photos``, ``clips`` and ``annotations``.
        count: number of composites.
        seed: of the random numbers.
    """
    photographed = photo_sprites(folder)
    filmed = clip_sprites(folder)
    plate = background(folder)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        same = bool(rng.random() < SAME)
        first, second = rng.permutation(len(photographed))[:2]
        people = (
            (photographed[first],) * FRAMES,
            tuple(filmed[frame // HOLD % len(filmed)] for frame in range(FRAMES)),
        )
        if same:
            people = (people[0], (photographed[second],) * FRAMES)
        motion = MOTIONS[number % len(MOTIONS)]
        view = VIEWS[number // len(MOTIONS) % len(VIEWS)]
        yield _composite(rng, motion, view, people, plate, same)


def photo_sprites(folder: Path) -> list[Sprite]:
    """The man of the photographs in seven poses, with the keypoints and masks that were drawn by hand."""
    annotated = _annotated(folder / 'annotations/yogait_coco.json')
    sprites = []
    for name in PHOTOS:
        image = read_image(folder / f'photos/yogait/{name}.jpg')
        mask = read_image(folder / f'photos/masks/{name}.png')[..., 0]
        sprites.append(_sprite(image, mask / np.float32(255), annotated[f'{name}.jpg']))
    return sprites


def clip_sprites(folder: Path) -> list[Sprite]:
    """The man of the clip, in five frames with keypoints that were drawn by hand, and BlazePose's masks."""
    annotated = _annotated(folder / 'annotations/single_person_coco.json')
    network = BlazePose()
    sprites = []
    for name in sorted(annotated)[:FILMED]:
        image = read_image(folder / 'clips/single_person' / name.rsplit('/')[-1])
        (person, *_) = network(image, masks=True)
        mask = person.image_mask(*image.shape[:2]).numpy().astype(np.float32)
        sprites.append(_sprite(image, mask, annotated[name]))
    return sprites


def background(folder: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB the room of the photographs without the man, at :data:`SIZE`.

    Every pixel is the mean of the pictures in which the man is not there; where he always is, it is painted from its
    surroundings.
    """
    total = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    count = np.zeros((SIZE[1], SIZE[0], 1), np.float32)
    for name in FIXED:
        image = read_image(folder / f'photos/yogait/{name}.jpg')
        mask = read_image(folder / f'photos/masks/{name}.png')[..., 0]
        grown = cv2.dilate(mask, np.ones((25, 25), np.uint8))
        free = cv2.resize(grown, SIZE, interpolation=cv2.INTER_AREA)[..., None] == 0
        total += free * cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
        count += free
    plate = (total / np.maximum(count, 1)).astype(np.uint8)
    hidden = (count[..., 0] == 0).astype(np.uint8)
    return cv2.inpaint(plate, hidden, 5, cv2.INPAINT_TELEA)


def _annotated(path: Path) -> dict[str, np.ndarray]:
    """The (17, 3) keypoints of every image of a COCO file."""
    content = read_json(path, kind=dict)
    names = {image['id']: image['file_name'] for image in content['images']}
    points = {}
    for entry in content['annotations']:
        values = np.array(entry['keypoints'], float).reshape(17, 3)
        points[names[entry['image_id']]] = np.column_stack([values[:, :2], values[:, 2] > 0])
    return points


def _sprite(image: np.ndarray, mask: np.ndarray, points: np.ndarray) -> Sprite:
    rows, columns = np.nonzero(mask > 0.5)
    top, bottom = rows.min(), rows.max() + 1
    left, right = columns.min(), columns.max() + 1
    moved = points.astype(float)
    moved[:, :2] -= (left, top)
    pelvis = moved[[11, 12], :2].mean(0)
    # Raised arms do not make a person taller: from the nose to the ankles, which is 0.85 of the stature.
    height = float(np.ptp(moved[[0, 15, 16], 1])) / 0.85
    # Reduced without aliasing to a size from which little is left to reduce.
    scale = TALL / height
    size = (round(scale * (right - left)), round(scale * (bottom - top)))
    small = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    small_mask = cv2.resize(mask[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    moved[:, :2] *= scale
    return Sprite(small, small_mask, moved, scale * pelvis, float(TALL))


def _composite(
    rng: np.random.Generator,
    motion: str,
    view: str,
    people: tuple[tuple[Sprite, ...], tuple[Sprite, ...]],
    plate: np.ndarray,
    same: bool,
) -> Composite:
    heights, places = draw_ways(rng, motion)
    heights = SCALE * heights
    places = SCALE * places
    exact = np.empty((2, FRAMES, 17, 2))
    confidence = np.empty((2, FRAMES, 17))
    for person, frame in np.ndindex(2, FRAMES):
        sprite = people[person][frame]
        scale = heights[person, frame] / sprite.height
        offsets = sprite.points[:, :2] - sprite.pelvis
        exact[person, frame] = places[person, frame] + scale * offsets
        confidence[person, frame] = sprite.points[:, 2]
    points, seen = draw_detections(rng, view, exact, heights, places[..., 0])
    points[..., 2] *= confidence
    inside = (places[..., 0] > 0) & (places[..., 0] < SIZE[0])
    frames, truth, rows, boxes = as_rows(rng, points, seen & inside)
    return Composite(motion, view, frames, truth, rows, boxes, plate, people, heights, places, same)
