"""Everybody of a clip drawn over it: one film, or a picture for each photograph."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import cv2
import numpy as np
import torch
from rich.progress import track

from hrtk.body_models import BodyModel
from hrtk.datasets.own.footage import Place
from hrtk.datasets.own.video import VideoDataset
from hrtk.results import Result
from hrtk.structures import Prediction
from hrtk.visualization.overlay import overlay
from hrtk.visualization.video import (
    can_write_video,
    letterbox,
    write_picture,
    write_pictures,
    write_video,
)

HEIGHT = 720


def draw_scene(dataset: VideoDataset, results: Path, body: BodyModel, folder: Path) -> Path:
    """Draws the bodies of all people of a clip together.

    A film begins with the clip and ends with the last frame in which anybody was followed. What shows these
    results already is not drawn again.

    Args:
        dataset: the people.
        results: the folder of their results.
        body: what the results are parameters of.
        folder: where ``overlay.mp4``, or ``overlay/<picture>.png`` of photographs, is written.

    Returns:
        The film, or the folder of pictures.

    Raises:
        InputError: a result is damaged.
    """
    files = list(results.glob('*.npz'))
    stored = {result.name: result for result in map(Result.load, files)}
    there: dict[Place, list[tuple[Result, int]]] = {}
    for person in dataset.tracks:
        for t, place in enumerate(person.places):
            there.setdefault(place, []).append((stored[person.name], t))
    films = dataset.film and can_write_video()
    target = folder / 'overlay.mp4' if films else folder / 'overlay'
    shown = folder / '.overlay.shows'
    stamp = f'{results.name} {target.name} {max(file.stat().st_mtime_ns for file in files)}'
    if target.exists() and shown.exists() and shown.read_text() == stamp:
        return target
    shown.unlink(missing_ok=True)
    places = dataset.footage.all()
    if dataset.film:
        places = places[: max(i for i, place in enumerate(places) if place in there) + 1]
    pictures = _drawn(dataset, places if dataset.film else sorted(there), there, body)
    if films:
        write_video(target, _one_sized(pictures), dataset.fps)
    elif dataset.film:
        write_pictures(target, pictures)
    else:
        for picture, place in zip(pictures, sorted(there)):
            name = (
                place.relative_to(dataset.footage.root)
                .with_suffix('.png')
                .as_posix()
                .replace('/', '_')
            )
            write_picture(target / name, picture)
    shown.write_text(stamp)
    return target


def _drawn(
    dataset: VideoDataset,
    places: list[Place],
    there: dict[Place, list[tuple[Result, int]]],
    body: BodyModel,
) -> Iterator[np.ndarray]:
    frames = dataset.footage.frames(places)
    for index, place in track(list(enumerate(places)), description='overlay'):
        image = frames[index]
        scale = min(1.0, HEIGHT / image.shape[0])
        if scale < 1:
            image = cv2.resize(
                image, (round(image.shape[1] * scale), HEIGHT), interpolation=cv2.INTER_AREA
            )
        people = there.get(place, [])
        if people:
            boxes = torch.as_tensor(
                np.stack([result.boxes[t] for result, t in people]) * np.float32(scale)
            )
            boxes[:, :2] += (scale - 1) / 2  # pixel centres lie at integers
            image = overlay(image, _prediction(people), boxes, body)
        yield image


def _prediction(people: list[tuple[Result, int]]) -> Prediction:
    return Prediction.cat([result.after[t : t + 1] for result, t in people])


def _one_sized(pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    size = None
    for picture in pictures:
        size = size or picture.shape[1::-1]
        yield letterbox(picture, size)
