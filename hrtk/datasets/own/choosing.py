"""Whom and when: the tracks and the frames of footage that a user asks for."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Optional

import numpy as np

from hrtk.datasets.own.track import Track
from hrtk.errors import InputError

_log = logging.getLogger(__name__)

LARGEST = 'largest'
NAMED = 12  # people in a message


def parse_person(person: int | str | None) -> Optional[int | str]:
    """A person's number, ``'largest'``, or None.

    Raises:
        InputError: it is anything else.
    """
    if person is None or person == LARGEST:
        return person
    if isinstance(person, int) and not isinstance(person, bool) and person >= 0:
        return person
    if isinstance(person, str) and re.fullmatch(r'\d+', person):
        return int(person)
    raise InputError(
        f'person is {person!r}; it is the number in the name of a result, e.g. 1 for clip_person1, or {LARGEST!r}'
    )


def choose_person(tracks: Sequence[Track], person: int | str | None, label: str) -> list[Track]:
    """The tracks of one person.

    Args:
        tracks: all tracks.
        person: the number of an identity; ``'largest'`` for that with the largest sum of box sides over all frames;
            None for everybody.
        label: names the file in the message.

    Raises:
        InputError: nobody has this number.
    """
    person = parse_person(person)
    if person is None:
        return list(tracks)
    if person == LARGEST:
        sums: dict[int, float] = {}
        for track in tracks:
            sums[track.identity] = sums.get(track.identity, 0) + float(track.boxes[:, 2].sum())
        person = max(sums, key=lambda identity: sums[identity])
    chosen = [track for track in tracks if track.identity == person]
    if not chosen:
        numbers = sorted({track.identity for track in tracks})
        more = ', ...' if len(numbers) > NAMED else ''
        raise InputError(
            f'{label}: there is no person {person}; there are {", ".join(map(str, numbers[:NAMED]))}{more}. '
            f'Write one of these numbers, or {LARGEST}'
        )
    return chosen


def largest_tracks(tracks: Sequence[Track], count: Optional[int]) -> list[Track]:
    """The ``count`` tracks with the largest sum of box sides over all frames, in their order; None for all."""
    if count is None or len(tracks) <= count:
        return list(tracks)
    sizes = np.array([float(track.boxes[:, 2].sum()) for track in tracks])
    largest = np.argsort(-sizes, kind='stable')[:count]
    return [tracks[index] for index in sorted(largest)]


def choose_tracks(
    tracks: Sequence[Track], person: int | str | None, count: Optional[int], label: str
) -> list[Track]:
    """The largest tracks of the person or people that are asked for; the log says how many were left out.

    Args:
        tracks: all tracks.
        person: as of :func:`choose_person`.
        count: as of :func:`largest_tracks`.
        label: names the file in messages.

    Raises:
        InputError: nobody has this number.
    """
    chosen = largest_tracks(choose_person(tracks, person, label), count)
    if len(chosen) < len(tracks):
        asked = {'max_people': count, 'person': person}
        reasons = [f'{name} = {value}' for name, value in asked.items() if value is not None]
        _log.warning(
            '%s: left out %d of %d tracks (%s)',
            label,
            len(tracks) - len(chosen),
            len(tracks),
            ', '.join(reasons),
        )
    return chosen


def parse_time(text: float | int | str, label: str) -> float:
    """Seconds of a time as ffmpeg writes it: ``3.5``, ``'90'``, ``'01:03.5'`` or ``'00:01:03.5'``.

    Args:
        text: the time.
        label: what the message calls it.

    Raises:
        InputError: it is anything else.
    """
    match = re.fullmatch(r'(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d*)?|\.\d+)', str(text).strip())
    if match is not None and not isinstance(text, bool):
        hours, minutes, seconds = match.groups()
        if minutes is None or float(seconds) < 60:
            return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)
    raise InputError(
        f'{label} is {text!r}; write seconds like 3.5, or [hours:]minutes:seconds like 00:01:03.5, or a frame like f105'
    )


def parse_frame(
    text: float | int | str,
    fps: Optional[float],
    label: str,
    times: Optional[np.ndarray] = None,
) -> int:
    """The first frame at or after a time, or the frame itself.

    Args:
        text: a time, see :func:`parse_time`, or ``'f105'`` for frame 105, counted from 0.
        fps: frames per second; None for photographs, which have no times.
        label: what the message calls it.
        times: (N,) seconds of every frame, where they are known; they count instead of ``fps``.

    Raises:
        InputError: it is neither, or a time of photographs.
    """
    number = re.fullmatch(r'f(\d+)', str(text).strip())
    if number is not None:
        return int(number.group(1))
    seconds = parse_time(text, label)
    if fps is None:
        raise InputError(
            f'{label} is the time {text!r}, but photographs have no times; write frames like f0, or --fps for the '
            f'frames of a video'
        )
    # A time that was written with three places belongs to the frame that is less than half a millisecond away.
    seconds -= 0.0005
    if times is not None:
        return int(np.searchsorted(times, seconds))
    return max(int(np.ceil(seconds * fps)), 0)


def frame_range(
    first: float | int | str | None,
    last: float | int | str | None,
    count: int,
    fps: Optional[float],
    label: str,
    times: Optional[np.ndarray] = None,
) -> range:
    """The frames from one time to another.

    Args:
        first: time or frame at which to begin; None for the beginning.
        last: time or frame before which to end, as ``-to`` of ffmpeg; None for the end.
        count: number of frames of the footage.
        fps: frames per second; None for photographs.
        label: names the footage in the message.
        times: (N,) seconds of every frame, where they are known; they count instead of ``fps``.

    Raises:
        InputError: a value is no time, or no frame lies between.
    """
    start = 0
    stop = count
    if first is not None:
        start = parse_frame(first, fps, '--from', times)
    if last is not None:
        stop = min(parse_frame(last, fps, '--to', times), count)
    if start >= count:
        raise InputError(f'{label}: --from {first} is behind the last frame; {_length(count, fps)}')
    if start >= stop:
        begin = 'the beginning' if first is None else f'--from {first}'
        raise InputError(f'{label}: no frame lies between {begin} and --to {last}')
    return range(start, stop)


def _length(count: int, fps: Optional[float]) -> str:
    if fps is None:
        return f'there are {count} frames, f0 to f{count - 1}'
    return f'there are {count} frames, {count / fps:.3f} s'
