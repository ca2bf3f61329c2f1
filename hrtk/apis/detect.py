"""2D keypoints of footage by a detector, stored in a file while they are computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from hrtk.datasets.own.footage import Footage
from hrtk.detectors import Detector, batched
from hrtk.files import write_text_atomically


def detect(footage: Footage, detector: Detector | Callable, path: str | Path) -> Path:
    """Detects the people of every frame and writes a file that :mod:`hrtk.datasets.own.keypoint_files` reads.

    One line per frame is stored in ``<path>.part``, so that an interrupted run resumes after its last frame. A
    finished file of the same footage and detector is not written again.

    Args:
        footage: the frames.
        detector: a :class:`~hrtk.detectors.Detector`; other callables as in
            :func:`hrtk.detectors.build_detector`.
        path: of the json.

    Returns:
        ``path``.

    Raises:
        InputError: a frame cannot be read.
        RuntimeError: the detector does not return one array per image.
    """
    path = Path(path)
    detector = batched(detector)
    header: dict[str, Any] = dict(
        source=detector.source, skeleton=detector.skeleton, footage=footage.fingerprint()
    )
    hashes = detector.fingerprint()
    if hashes:
        header['detector'] = hashes
    if _is_finished(path, header):
        return path
    part = path.with_name(f'{path.name}.part')
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = _stored_entries(part, header)
    indices = range(len(footage))
    frames = footage.frames(indices)
    starts = range(len(entries), len(indices), detector.batch_size)
    with open(part, 'a', encoding='utf-8') as file:
        if not entries:
            file.truncate(0)
            file.write(f'{json.dumps(header)}\n')
        for start in track(starts, description='2D keypoints'):
            batch = indices[start : start + detector.batch_size]
            people = _detect_batch(detector, [frames[index] for index in batch])
            for index, points in zip(batch, people):
                entries.append(_entry(footage, index, points))
                file.write(f'{json.dumps(entries[-1])}\n')
            file.flush()
    write_text_atomically(path, json.dumps({**header, 'frames': entries}))
    part.unlink()
    return path


def _is_finished(path: Path, header: dict[str, Any]) -> bool:
    if not path.exists():
        return False
    content = json.loads(path.read_text())
    content.pop('frames', None)
    return content == header


def _stored_entries(part: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames of an interrupted run of the same footage and detector; a truncated last line is removed."""
    if not part.exists():
        return []
    lines = part.read_bytes().splitlines(keepends=True)
    complete = [line for line in lines if line.endswith(b'\n')]
    if not complete or json.loads(complete[0]) != header:
        return []
    part.write_bytes(b''.join(complete))
    return [json.loads(line) for line in complete[1:]]


def _detect_batch(detector: Detector, images: list[np.ndarray]) -> list[np.ndarray]:
    people = detector(images)
    if len(people) != len(images):
        raise RuntimeError(
            f'{type(detector).__name__} returned {len(people)} arrays for {len(images)} images; a '
            f'detector returns one array of (P, K, 3) per image'
        )
    return people


def _entry(footage: Footage, index: int, points: np.ndarray) -> dict[str, Any]:
    """What the file stores for one frame."""
    reference = footage.reference(index)
    entry: dict[str, Any] = {}
    if reference.name:
        entry['image'] = reference.name
    else:
        entry['frame'] = reference.number
    entry['keypoints'] = points[..., :2].round(2).tolist()
    entry['scores'] = points[..., 2].round(4).tolist()
    return entry
