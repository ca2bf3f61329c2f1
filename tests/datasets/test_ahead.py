"""Frames that are read ahead: the same images, in one thread, errors at their place, and no thread left behind."""

import dataclasses
import threading
import time

import numpy as np
import pytest
import torch

from hrtk.datasets.ahead import FramesAhead, read_ahead
from hrtk.datasets.frames import ArrayFrames
from hrtk.errors import InputError
from hrtk.structures import Keypoints2D, Sequence


class Recorded:
    """Images whose grey level is their number; notes what is read, and by which thread."""

    def __init__(self, count, damaged=()):
        self.count = count
        self.damaged = damaged
        self.reads = []
        self.threads = set()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads.append(index)
        self.threads.add(threading.get_ident())
        if index in self.damaged:
            raise InputError(f'frame {index} is damaged')
        return np.full((4, 6, 3), index, np.uint8)


def sequence(frames, masks=None):
    count = len(frames)
    keypoints = Keypoints2D(torch.zeros(count, 49, 2), torch.ones(count, 49), 'spin49', 'gt')
    return Sequence('walk', frames, torch.ones(count, 3), keypoints, masks=masks)


def settled(frames, count):
    """Waits until so many reads were made."""
    deadline = time.time() + 5
    while len(frames.reads) < count and time.time() < deadline:
        time.sleep(0.001)
    return frames.reads


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith('frames-ahead')]


def test_frames_in_order_are_read_once_each_by_one_other_thread():
    frames = Recorded(20)
    with read_ahead(sequence(frames)) as ahead:
        levels = [int(ahead.frames[t][0, 0, 0]) for t in range(20)]
    assert levels == list(range(20)) == frames.reads
    assert len(frames.threads) == 1 and threading.get_ident() not in frames.threads
    assert not threads()


def test_the_next_frames_wait_and_no_more():
    frames = Recorded(20)
    ahead = FramesAhead(frames, ahead=3)
    assert ahead[0][0, 0, 0] == 0
    assert settled(frames, 4) == [0, 1, 2, 3]
    time.sleep(0.02)
    assert len(frames.reads) == 4
    assert ahead[1][0, 0, 0] == 1
    assert settled(frames, 5) == [0, 1, 2, 3, 4]
    ahead.close()


def test_a_frame_that_is_asked_for_twice_is_read_once_and_stays_as_it_was():
    frames = Recorded(20)
    ahead = FramesAhead(frames, ahead=2)
    ahead[0][:] = 99  # drawn on by its reader
    assert (ahead[0] == 0).all()
    assert settled(frames, 3) == [0, 1, 2]
    ahead.close()


def test_a_jump_reads_one_frame_alone():
    frames = Recorded(20)
    ahead = FramesAhead(frames, ahead=2)
    assert ahead[10][0, 0, 0] == 10
    assert ahead[-3][0, 0, 0] == 17
    assert frames.reads == [10, 17]
    assert ahead[18][0, 0, 0] == 18
    assert settled(frames, 4) == [10, 17, 18, 19]
    ahead.close()


def test_an_error_comes_with_its_own_frame():
    ahead = FramesAhead(Recorded(20, damaged=[2]))
    assert [int(ahead[t][0, 0, 0]) for t in (0, 1)] == [0, 1]
    with pytest.raises(InputError, match='frame 2 is damaged'):
        ahead[2]
    assert ahead[3][0, 0, 0] == 3
    with pytest.raises(IndexError):
        ahead[20]
    ahead.close()
    assert not threads()


def test_frames_outlive_their_thread():
    frames = Recorded(20)
    with read_ahead(sequence(frames)) as ahead:
        kept = ahead.part(5, 10)
    assert kept.frames[1][0, 0, 0] == 6 and not threads()


def test_reading_begins_in_the_background():
    """While the caller computes, the next frame is read: the thread must have read it before it is asked for."""
    frames = Recorded(5)
    with read_ahead(sequence(frames)) as ahead:
        for t in range(5):
            ahead.frames[t]
            assert max(settled(frames, min(t + 2, 5))) >= min(t + 1, 4)


@pytest.mark.parametrize(
    'changed',
    [dict(masks=Recorded(3)), dict(frames=ArrayFrames(np.zeros((3, 4, 6, 3), np.uint8)))],
    ids=['masks', 'in memory'],
)
def test_what_two_threads_would_disturb_or_not_speed_up_stays_as_it_is(changed):
    plain = dataclasses.replace(sequence(Recorded(3)), **changed)
    with read_ahead(plain) as ahead:
        assert ahead is plain
