"""A webcam's pictures, written down."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Optional

import cv2

from hrtk.errors import InputError
from hrtk.visualization.video import write_picture


def record(camera: int, folder: str | Path, seconds: Optional[float] = None) -> tuple[int, float]:
    """Records a webcam as numbered JPEGs until Ctrl-C, or for some seconds.

    Every picture is whole once it has its name, so a recording that is killed keeps what it had.

    Args:
        camera: its index, 0 for the first.
        folder: where the pictures go; must hold none.
        seconds: None for until Ctrl-C.

    Returns:
        How many pictures there are, and how many per second really came: cameras promise what they do not keep.

    Raises:
        InputError: there is no such camera, it gives no picture, or the folder holds a recording.
    """
    folder = Path(folder)
    if any(folder.glob('*.jpg')):
        raise InputError(
            f'{folder}: holds a recording already; process it with `tools/infer.py {folder} --fps N`, or '
            f'choose another --output'
        )
    capture = cv2.VideoCapture(camera)
    count, begin, last = 0, 0.0, 0.0
    try:
        while capture.isOpened() and (count == 0 or seconds is None or last - begin < seconds):
            there, picture = capture.read()
            if not there:
                break
            last = time.monotonic()
            begin = begin or last
            write_picture(folder / f'{count:06d}.jpg', cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            count += 1
    except KeyboardInterrupt:
        pass  # the way to end a recording
    finally:
        capture.release()
    if count == 0:
        raise InputError(
            f'camera {camera} gives no picture; check that it is there, that nothing else uses it, and '
            f'that this program may'
        )
    return count, (count - 1) / (last - begin) if count > 1 and last > begin else 25.0
