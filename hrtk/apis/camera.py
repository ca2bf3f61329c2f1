"""Recording of a webcam."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Optional

import cv2

from hrtk.errors import InputError
from hrtk.visualization.video import write_picture


def record(camera: int, folder: str | Path, seconds: Optional[float] = None) -> tuple[int, float]:
    """Records a webcam as numbered JPEGs until Ctrl-C, or for some seconds.

    Every image is complete as soon as it has its name, so a recording that is killed keeps all images before.

    Args:
        camera: its index, 0 for the first.
        folder: where the images are written; must hold no JPEG.
        seconds: duration; None records until Ctrl-C.

    Returns:
        The number of images, and the measured images per second, because the rate that cameras report is unreliable.

    Raises:
        InputError: there is no such camera, it gives no image, or the folder holds a recording.
    """
    folder = Path(folder)
    if any(folder.glob('*.jpg')):
        raise InputError(
            f'{folder}: holds a recording already; process it with `tools/infer.py {folder} --fps N`, or '
            f'choose another --output'
        )
    capture = cv2.VideoCapture(camera)
    times: list[float] = []
    try:
        while capture.isOpened():
            if seconds is not None and times and times[-1] - times[0] >= seconds:
                break
            available, image = capture.read()
            if not available:
                break
            now = time.monotonic()
            write_picture(folder / f'{len(times):06d}.jpg', cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            times.append(now)
    except KeyboardInterrupt:
        pass  # the user ends the recording
    finally:
        capture.release()
    if not times:
        raise InputError(
            f'camera {camera} gives no image; check that it is connected, that no other program uses it, '
            f'and that this program has the permission to use it'
        )
    return len(times), _rate(times)


def _rate(times: list[float]) -> float:
    """Images per second of a recording; 25 where it is too short to measure."""
    duration = times[-1] - times[0]
    return (len(times) - 1) / duration if duration > 0 else 25.0
