"""Reads the next frames of a sequence in a thread, while an adapter computes on the present one."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Optional

import numpy as np

from hrtk.datasets.frames import ArrayFrames
from hrtk.prefetch import AHEAD
from hrtk.structures import Frames, Sequence


class FramesAhead:
    """Lazy frames of which the next are read in a thread, while the caller computes on the present one.

    An access to the frame behind the last one starts the reading of the frames that follow. All reads take place in one
    thread, one after the other: a video is decoded forwards. An access elsewhere reads that frame alone.

    Args:
        frames: F lazy frames, which nobody else reads until :meth:`close`.
        ahead: number of frames that wait at most.
    """

    def __init__(self, frames: Frames, ahead: int = AHEAD) -> None:
        self.frames = frames
        self.ahead = ahead
        self._thread: Optional[ThreadPoolExecutor] = ThreadPoolExecutor(1, 'frames-ahead')
        self._lock = threading.Lock()
        self._last = -1  # the frame of the last access, which is kept: it is often read again
        self._reads: dict[int, Future] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        """A copy of one frame, because the frame may be given out again.

        Raises:
            InputError: the frame cannot be read.
        """
        index = range(len(self))[index]
        with self._lock:
            if self._thread is None:
                return self.frames[index]
            wanted = [index]
            if index in (self._last, self._last + 1):
                wanted.extend(range(index + 1, min(index + 1 + self.ahead, len(self))))
            for number in self._reads.keys() - set(wanted):
                self._reads.pop(number).cancel()
            for number in wanted:
                if number not in self._reads:
                    self._reads[number] = self._thread.submit(self.frames.__getitem__, number)
            self._last = index
            read = self._reads[index]
        return read.result().copy()

    def close(self) -> None:
        """Ends the thread; later accesses read the frames themselves."""
        with self._lock:
            if self._thread is not None:
                self._thread.shutdown(cancel_futures=True)
            self._thread = None
            self._reads.clear()


@contextlib.contextmanager
def read_ahead(sequence: Sequence) -> Iterator[Sequence]:
    """The same sequence, whose frames are read ahead within this context.

    Frames in memory need no thread. Masks may be computed from the same open video, whose position two threads would
    move: a sequence with masks is given back as it is.
    """
    if sequence.masks is not None or isinstance(sequence.frames, (ArrayFrames, np.ndarray)):
        yield sequence
        return
    frames = FramesAhead(sequence.frames)
    try:
        yield dataclasses.replace(sequence, frames=frames)
    finally:
        frames.close()
