"""Where the frames of a stream come from: a camera, or a file that is played at its own rate."""

from __future__ import annotations

import threading
import time as clocks
from collections.abc import Callable
from pathlib import Path
from typing import Optional, Protocol

import cv2
import numpy as np

from hrtk.datasets.own.footage import open_footage
from hrtk.errors import InputError

WAIT = 5.0  # seconds without an image after which a camera counts as gone


class Source(Protocol):
    """Gives the newest frame."""

    fps: float

    @property
    def dropped(self) -> int:
        """Number of frames that nobody read."""
        ...

    def read(self) -> Optional[tuple[np.ndarray, float]]:
        """The newest frame that was not given yet, (H, W, 3) uint8 RGB, and its time in seconds; None at the end."""
        ...

    def close(self) -> None:
        """Frees the device."""
        ...


class RecordedCamera:
    """A file that stands in for a camera: at every moment there is the frame that a camera would have given.

    Frames that come while the reader is busy are dropped.

    Args:
        path: a video, or a folder of images with ``fps``.
        fps: frames per second of images; None takes the times of the video.
        clock: returns seconds.
        sleep: waits for some seconds.

    Attributes:
        fps: frames per second.
        dropped: number of frames that nobody read.

    Raises:
        InputError: there is no such footage.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Optional[float] = None,
        clock: Callable[[], float] = clocks.perf_counter,
        sleep: Callable[[float], None] = clocks.sleep,
    ) -> None:
        footage = open_footage(path)
        self._frames = footage.frames(range(len(footage)))
        self.fps, times = footage.clock(fps)
        if times is None:
            times = np.arange(len(footage)) / self.fps
        self._times = times - times[0]
        self._clock = clock
        self._sleep = sleep
        self._start: Optional[float] = None
        self._last = -1
        self.dropped = 0

    def read(self) -> Optional[tuple[np.ndarray, float]]:
        """The newest frame and its time; waits for it if the last one was given already."""
        if self._last + 1 >= len(self._times):
            return None
        if self._start is None:
            self._start = self._clock()
        now = self._clock() - self._start
        index = int(np.searchsorted(self._times, now, side='right')) - 1
        if index <= self._last:
            index = self._last + 1
            self._sleep(self._times[index] - now)
        self.dropped += index - self._last - 1
        self._last = index
        return self._frames[index], float(self._times[index])

    def close(self) -> None:
        """Nothing to free."""


class Camera:
    """A webcam; a thread reads it, so that its buffer never holds old frames.

    Args:
        index: 0 for the first.

    Raises:
        InputError: there is no such camera, or it gives no image.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self._capture = cv2.VideoCapture(index)
        self._news = threading.Condition()
        self._image: Optional[np.ndarray] = None
        self._time = 0.0
        self._count = 0
        self._given = 0
        self._ended = False
        self.fps = 30.0
        rate = self._capture.get(cv2.CAP_PROP_FPS)  # 0 for a camera that is not there
        if 1 <= rate <= 240:
            self.fps = float(rate)
        self._thread = threading.Thread(target=self._grab, daemon=True)
        self._thread.start()
        with self._news:
            self._news.wait_for(lambda: self._count > 0 or self._ended, WAIT)
            if self._count == 0:
                self._ended = True
                raise InputError(
                    f'camera {index} gives no image; check that it is connected, that no other program uses it, '
                    f'and that this program has the permission to use it'
                )

    @property
    def dropped(self) -> int:
        """Number of frames that nobody read."""
        return max(self._count - self._given - 1, 0)

    def read(self) -> Optional[tuple[np.ndarray, float]]:
        """The newest frame and its time by the clock of this computer; None if the camera is gone."""
        with self._news:
            self._news.wait_for(lambda: self._image is not None or self._ended, WAIT)
            if self._image is None:
                return None
            image = self._image
            self._image = None
            self._given += 1
            return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), self._time

    def close(self) -> None:
        """Ends the thread and frees the camera."""
        self._ended = True
        self._thread.join(WAIT)

    def _grab(self) -> None:
        while not self._ended and self._capture.isOpened():
            available, image = self._capture.read()
            if not available:
                break
            with self._news:
                self._image = image
                self._time = clocks.perf_counter()
                self._count += 1
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
        self._capture.release()
