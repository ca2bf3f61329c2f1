"""The 33 pose landmarks of MediaPipe, x and y as fractions of the image, in the json of a user's own script.

MediaPipe has no file layout; these are the forms of its results (``PoseLandmarkerResult.pose_landmarks``, and
``pose_landmarks.landmark`` of the older solution): a list of frames, each a list of 33 landmarks ``{"x", "y", "z",
"visibility"}`` or ``[x, y, z, visibility]``, or a list of such people, or null; or objects with these under one of
:data:`KEYS` and a ``frame``, an ``image``, or neither.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from hrtk.datasets.own.keypoint_readers.base import Reader, Source, is_list_of, posix
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row, points_array, whole_number

COUNT = 33
SKELETON = 'blazepose33'
KEYS = ('pose_landmarks', 'poseLandmarks', 'landmarks', 'landmark')
NUMBERS = ('frame', 'frame_id', 'frame_index', 'frame_idx', 'frame_number')
IMAGES = ('image', 'file_name', 'filename')
# Fractions of the image lie about [0, 1]; the median of coordinates in px lies far beyond.
LARGEST_FRACTION = 3.0
NOUN = 'frames'


def _recognises(source: Source) -> bool:
    if source.kind != 'json':
        return False
    return any(_people(frame) for frame in _frames(source.content)[:1000])


def _read(source: Source, left_out: LeftOut) -> Content:
    frames = _frames(source.content)
    left_out.total(NOUN, len(frames))
    rows = []
    listed = []
    for index, entry in enumerate(frames):
        frame = _frame(entry, index, left_out)
        if frame is None:
            continue
        listed.append(frame)
        for position, landmarks in enumerate(_people(entry)):
            label = f'person {position} of frame {index}'
            rows.append(Row(frame, None, _points(landmarks), label))
    coordinates = np.abs([row.values[:, :2] for row in rows])
    normalised = bool(np.nanmedian(coordinates) <= LARGEST_FRACTION)
    return Content(rows, READER.source, SKELETON, tuple(listed), normalised=normalised)


def _frames(content: Any) -> list[Any]:
    """The frames of a file; a single pose, or its object, is one frame."""
    if isinstance(content, dict):
        frames = content.get('frames')
        if isinstance(frames, list) and not any(_is_other(frame) for frame in frames):
            return frames
        return [content]
    if not isinstance(content, list):
        return []
    if _is_person(content):
        return [content]
    return content


def _is_other(frame: Any) -> bool:
    """hrtk's own files have landmarks beside keypoints."""
    return isinstance(frame, dict) and 'keypoints' in frame


def _people(frame: Any) -> list[list]:
    """The landmarks of all people of a frame."""
    if isinstance(frame, dict):
        if _is_other(frame):
            return []
        for key in KEYS:
            if key in frame:
                return _people(frame[key])
        return []
    if not isinstance(frame, list):
        return []
    if _is_person(frame):
        return [frame]
    people = []
    for inner in frame:
        people += _people(inner)
    return people


def _is_person(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != COUNT:
        return False
    if is_list_of(value, dict):
        return all('x' in landmark and 'y' in landmark for landmark in value)
    return is_list_of(value, list) and all(len(landmark) in (4, 5) for landmark in value)


def _points(landmarks: list) -> np.ndarray:
    """(33, 3) x, y, visibility."""
    values = []
    for landmark in landmarks:
        if isinstance(landmark, dict):
            visibility = landmark.get('visibility')
            if visibility is None:
                visibility = 1.0
            values.append([landmark['x'], landmark['y'], visibility])
        else:
            values.append([landmark[0], landmark[1], landmark[3]])
    return points_array(values)


def _frame(entry: Any, index: int, left_out: LeftOut) -> Optional[FrameRef]:
    if isinstance(entry, dict):
        for key in IMAGES:
            if entry.get(key) is not None:
                return FrameRef(posix(entry[key]))
        for key in NUMBERS:
            if entry.get(key) is not None:
                number = whole_number(entry[key], left_out, NOUN, f'entry {index}: {key}')
                return None if number is None else FrameRef('', number)
    return FrameRef('', index, place=index)


READER = Reader(
    program='MediaPipe',
    recognised='a json list of frames with 33 landmarks of `x`, `y`, `z`, `visibility`, or of objects with '
    '`pose_landmarks` or `landmarks`',
    frame='`image` or `frame`, else its place in the list',
    skeleton=SKELETON,
    source='mediapipe',
    recognises=_recognises,
    read=_read,
)
