"""2D keypoints of footage by a detector, kept in a file as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.progress import track

from hrtk.datasets.own.footage import Footage, Place
from hrtk.detectors.rtmlib import Detector
from hrtk.files import write_atomically


def detect(footage: Footage, detector: Detector, path: str | Path) -> Path:
    """Finds everybody in every frame and writes a file that :mod:`hrtk.datasets.own.keypoint_files` reads.

    One line per frame is kept beside it, in ``<path>.part``, so that an interrupted run goes on after its last frame. A
    finished file of the same footage and detector is left as it is.

    Args:
        footage: what to look at.
        detector: finds the people of a picture.
        path: of the json.

    Returns:
        ``path``.

    Raises:
        InputError: a frame cannot be read.
    """
    path = Path(path)
    head = dict(source=detector.source, skeleton=detector.skeleton, footage=footage.fingerprint())
    if (
        path.exists()
        and {key: value for key, value in json.loads(path.read_text()).items() if key != 'frames'}
        == head
    ):
        return path
    places, part = footage.all(), path.with_name(f'{path.name}.part')
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _kept(part, head)
    with open(part, 'a', encoding='utf-8') as file:
        if not found:
            file.truncate(0)
            file.write(f'{json.dumps(head)}\n')
        frames = footage.frames(places)
        for t in track(range(len(found), len(places)), description='2D keypoints'):
            found.append(_entry(footage, places[t], detector(frames[t])))
            file.write(f'{json.dumps(found[-1])}\n')
            file.flush()
    content = json.dumps({**head, 'frames': found}).encode()
    write_atomically(path, lambda file: file.write(content))
    part.unlink()
    return path


def _kept(part: Path, head: dict[str, str]) -> list[dict[str, Any]]:
    """The frames of an interrupted run of the same footage and detector; a line that was cut off is taken out."""
    if not part.exists():
        return []
    whole = [line for line in part.read_bytes().splitlines(keepends=True) if line.endswith(b'\n')]
    if not whole or json.loads(whole[0]) != head:
        return []
    part.write_bytes(b''.join(whole))
    return [json.loads(line) for line in whole[1:]]


def _entry(footage: Footage, place: Place, points: Any) -> dict[str, Any]:
    where = footage.reference(place)
    return {
        **(dict(image=where.name) if where.name else dict(frame=where.number)),
        'keypoints': points[..., :2].round(2).tolist(),
        'scores': points[..., 2].round(4).tolist(),
    }
