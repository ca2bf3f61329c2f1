"""Which frame of a video a number in a keypoint file means: files count from 0, or from 1 as ffmpeg names frames."""

from __future__ import annotations

import logging
import re
from typing import Optional

from hrtk.datasets.own.keypoint_table import FrameRef, KeypointTable

OPTION = 'first_frame=1 (--first-frame 1)'
_log = logging.getLogger(__name__)


def last_number(name: str) -> Optional[int]:
    """The last number in a name, ``12`` of ``'cam2_frame_0012'``; None without one. Of long ones the last 18 digits."""
    digits = re.findall(r'[0-9]+', name)
    return int(digits[-1][-18:]) if digits else None


def noted_number(frame: FrameRef) -> Optional[int]:
    """The number that a file gives for a frame, or else the last one in its name."""
    if frame.number is not None:
        return frame.number
    return last_number(frame.name.rsplit('/')[-1])


def first_frame(table: KeypointTable, count: int, given: Optional[int]) -> int:
    """The number that the first frame of a video has in a keypoint file, 0 or 1.

    It is the given one, or follows from the numbers of all frames that the file lists, also of those without people:
    numbers from 0 count from 0; numbers from 1 to the number of frames count from 1, since there is no frame of the
    last number otherwise; else the layout may say it (Ultralytics numbers labels from 1), or the ids of a COCO file,
    if these count the images from 0. What is left counts from 0; for numbers in names the log says that this is not
    certain. Whenever the frames count from 1, the log says which frame is which.

    Args:
        table: of the keypoint file.
        count: number of frames of the video.
        given: the number that the user gives, or None.
    """
    listed = [frame for frame in table.listed if frame.place is None]
    numbers = {frame: noted_number(frame) for frame in listed}
    known = {frame: number for frame, number in numbers.items() if number is not None}
    if given is not None or not known:
        return given or 0
    earliest = min(known, key=lambda frame: known[frame])
    latest = max(known, key=lambda frame: known[frame])
    low = known[earliest]
    high = known[latest]
    if low == 0:
        return 0
    if low == 1 and high == count:
        _tell(table, earliest, latest, low, high)
        return 1
    if table.first_frame is not None:
        if table.first_frame > 0:
            _tell(table, earliest, latest, low, high)
        return table.first_frame
    if all(frame.number is None for frame in known):
        _log.warning(
            '%s: %s is taken for frame %d of the video, whose first frame is 0. If the names count from 1, give %s; '
            'first_frame=0 says that they count from 0',
            table.path,
            _name(earliest),
            low,
            OPTION,
        )
    return 0


def _tell(table: KeypointTable, earliest: FrameRef, latest: FrameRef, low: int, high: int) -> None:
    _log.warning(
        '%s: its frames count from 1: %s is frame %d of the video, whose first frame is 0, and %s is frame %d. If they '
        'count from 0, give first_frame=0 (--first-frame 0)',
        table.path,
        _name(earliest),
        low - 1,
        _name(latest),
        high - 1,
    )


def _name(frame: FrameRef) -> str:
    return repr(frame.name) if frame.name else f'number {frame.number}'
