"""The bodies of all people drawn over their footage: one video, or an image per photograph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
import torch
from rich.progress import track

from hrtk.body_models import BodyModel
from hrtk.datasets.own.video import VideoDataset
from hrtk.prefetch import prefetched
from hrtk.results import Result
from hrtk.structures import Prediction
from hrtk.visualization.overlays import overlay
from hrtk.visualization.render import Color, person_colors
from hrtk.visualization.video import (
    can_write_video,
    letterbox,
    write_picture,
    write_pictures,
    write_video,
)

HEIGHT = 720
# Of every frame: the results of its people, and the position of the frame in each.
PeopleOfFrame = dict[int, list[tuple[Result, int]]]


def draw_scene(dataset: VideoDataset, results: Path, body: BodyModel, folder: Path) -> Path:
    """Draws the bodies of all people together.

    A video begins with the first frame that the data set uses and ends with the last frame of the last track. An
    overlay that already shows these results is not drawn again.

    Args:
        dataset: the people.
        results: the folder of their results.
        body: the model to which the parameters of the results belong.
        folder: where ``overlay.mp4``, or ``overlay/<image>.png`` of photographs, is written.

    Returns:
        The video, or the folder of images.

    Raises:
        InputError: a result is damaged.
    """
    files = list(results.glob('*.npz'))
    as_video = not dataset.photographs and can_write_video()
    target = folder / 'overlay'
    if as_video:
        target = folder / 'overlay.mp4'
    stamp_file = folder / '.overlay.shows'
    newest = max(file.stat().st_mtime_ns for file in files)
    stamp = f'{results.name} {target.name} {newest}'
    if target.exists() and stamp_file.exists() and stamp_file.read_text(errors='replace') == stamp:
        return target
    stamp_file.unlink(missing_ok=True)
    people = _people_of_frames(dataset, files)
    if dataset.photographs:
        _write_photographs(target, dataset, people, body)
    else:
        images = _draw(dataset, range(dataset.range.start, max(people) + 1), people, body)
        if as_video:
            write_video(target, _letterboxed(images), dataset.fps)
        else:
            write_pictures(target, images)
    stamp_file.write_text(stamp)
    return target


def _people_of_frames(dataset: VideoDataset, files: list[Path]) -> PeopleOfFrame:
    results = {}
    for file in files:
        result = Result.load(file)
        results[result.name] = result
    people: PeopleOfFrame = {}
    for person in dataset.tracks:
        for position, frame in enumerate(person.frames):
            people.setdefault(frame, []).append((results[person.name], position))
    return people


def _write_photographs(
    folder: Path, dataset: VideoDataset, people: PeopleOfFrame, body: BodyModel
) -> None:
    frames = sorted(people)
    for frame, image in zip(frames, _draw(dataset, frames, people, body)):
        name = dataset.footage.stem(frame).replace('/', '_')
        write_picture(folder / f'{name}.png', image)


def _draw(
    dataset: VideoDataset, frames: Sequence[int], people: PeopleOfFrame, body: BodyModel
) -> Iterator[np.ndarray]:
    """The frames, at most :data:`HEIGHT` px high, with the bodies of their people.

    One thread decodes, another one draws, and the caller encodes.
    """
    drawn = prefetched(_drawn(dataset, frames, people, body))
    return iter(track(drawn, total=len(frames), description='overlay'))


def _drawn(
    dataset: VideoDataset, frames: Sequence[int], people: PeopleOfFrame, body: BodyModel
) -> Iterator[np.ndarray]:
    images = dataset.footage.frames(frames)
    small = (scaled_frame(images[index]) for index in range(len(frames)))
    numbers = {person.name: index for index, person in enumerate(dataset.tracks)}
    for number, (image, scale) in zip(frames, prefetched(small)):
        visible = people.get(number, [])
        colors = person_colors([numbers[result.name] for result, _ in visible])
        yield draw_people(image, scale, visible, body, 'after', colors)


def draw_people(
    image: np.ndarray,
    scale: float,
    visible: list[tuple[Result, int]],
    body: BodyModel,
    row: str,
    color: Color | np.ndarray,
) -> np.ndarray:
    """Draws the bodies of all people of a frame.

    Args:
        image: (H, W, 3) uint8 RGB, the scaled frame.
        scale: of the image.
        visible: the results of the people, and the position of the frame in each.
        body: the body model of the results.
        row: ``'after'`` or ``'before'``.
        color: RGB in [0, 1], one for all or (P, 3).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if not visible:
        return image
    boxes = np.stack([result.boxes[position] for result, position in visible])
    scaled_boxes = torch.as_tensor(boxes * np.float32(scale))
    scaled_boxes[:, :2] += (scale - 1) / 2  # pixel centres lie at integers
    return overlay(image, _predictions(visible, row), scaled_boxes, body, color)


def scaled_frame(image: np.ndarray, most: Optional[int] = None) -> tuple[np.ndarray, float]:
    """A frame of at most :data:`HEIGHT` px in height, or with sides of at most ``most`` px, and its scale."""
    height, width = image.shape[:2]
    scale = min(1.0, HEIGHT / height)
    if most is not None:
        scale = min(1.0, most / max(height, width))
    if scale == 1:
        return image, scale
    # Down to one half, the four neighbours of a bilinear sample cover the area; five times faster than INTER_AREA.
    interpolation = cv2.INTER_LINEAR if scale >= 0.5 else cv2.INTER_AREA
    size = (round(width * scale), round(height * scale))
    return cv2.resize(image, size, interpolation=interpolation), scale


def _predictions(visible: list[tuple[Result, int]], row: str) -> Prediction:
    people = []
    for result, position in visible:
        prediction = result.after if row == 'after' else result.before
        people.append(prediction[position : position + 1])
    return Prediction.cat(people)


def _letterboxed(images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """All images in the size of the first."""
    size = None
    for image in images:
        height, width = image.shape[:2]
        size = size or (width, height)
        yield letterbox(image, size)
