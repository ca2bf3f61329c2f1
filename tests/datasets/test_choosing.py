"""Whom and when: persons, times and frames as a user writes them."""

import numpy as np
import pytest

from hrtk.datasets.own.choosing import (
    choose_person,
    frame_range,
    largest_tracks,
    parse_person,
    parse_time,
)
from hrtk.datasets.own.track import Track
from hrtk.errors import InputError


@pytest.mark.parametrize(
    'text, seconds',
    [
        ('3.5', 3.5),
        (3.5, 3.5),
        (2, 2),
        ('.25', 0.25),
        ('90', 90),
        ('01:03.5', 63.5),
        ('00:01:03.5', 63.5),
        ('12:00:00', 43200),
    ],
)
def test_times_as_of_ffmpeg(text, seconds):
    assert parse_time(text, '--from') == seconds


@pytest.mark.parametrize('text', ['soon', '1:75', '1:2:3:4', '-3', '', 'nan', '5s', True])
def test_what_is_no_time(text):
    with pytest.raises(InputError, match='--to is .*; write seconds like 3.5'):
        parse_time(text, '--to')


@pytest.mark.parametrize(
    'first, last, expected',
    [
        (None, None, range(0, 100)),
        ('1', '2', range(25, 50)),
        ('f7', 'f9', range(7, 9)),
        ('00:00:03.9', None, range(98, 100)),  # frame 97.5 begins before
        (0.04, 0.08, range(1, 2)),
        (0.0401, 0.12, range(1, 3)),  # times with three decimal places belong to their frames
        ('3', '99', range(75, 100)),
    ],
)
def test_frames_from_one_time_to_another(first, last, expected):
    assert frame_range(first, last, 100, 25.0, 'clip.mp4') == expected


@pytest.mark.parametrize(
    'first, last, fps, message',
    [
        ('5', None, 25.0, r'clip.mp4: --from 5 is behind the last frame; .* 100 frames, 4.000 s'),
        ('2', '1', 25.0, 'no frame lies between --from 2 and --to 1'),
        (None, 'f0', 25.0, 'between the beginning and --to f0'),
        ('1', None, None, 'photographs have no times'),
    ],
)
def test_no_frames(first, last, fps, message):
    with pytest.raises(InputError, match=message):
        frame_range(first, last, 100, fps, 'clip.mp4')


def track(identity, side, frames):
    boxes = np.full((frames, 3), side, np.float32)
    return Track(f'clip_person{identity}', tuple(range(frames)), boxes, (0,) * frames, identity)


def test_one_person():
    # Person 2 is smaller than 5, but longer there: in two parts.
    tracks = [track(2, 50, 30), track(5, 90, 20), track(2, 50, 10)]
    assert choose_person(tracks, None, 'kp') == tracks
    assert choose_person(tracks, 2, 'kp') == [tracks[0], tracks[2]]
    assert choose_person(tracks, '5', 'kp') == [tracks[1]]
    assert choose_person(tracks, 'largest', 'kp') == [tracks[0], tracks[2]]
    assert largest_tracks(tracks, 1) == [tracks[1]] and largest_tracks(tracks, 3) == tracks
    with pytest.raises(InputError, match='kp: there is no person 1; there are 2, 5. Write one'):
        choose_person(tracks, 1, 'kp')
    for wrong in ('first', -1, 1.5, True):
        with pytest.raises(InputError, match='person is .* the number in the name'):
            parse_person(wrong)
