"""Lazy frames of image files, of a video, or in memory, all read as (H, W, 3) uint8 RGB.

Every class follows :class:`hrtk.structures.Frames`; negative indices count from the end.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np

from hrtk.errors import InputError
from hrtk.reading.pictures import decode_picture
from hrtk.reading.videos import (
    Timeline,
    conversion,
    known_timeline,
    open_video,
    read_timeline,
    remember_timeline,
)


class ImageFrames:
    """Image files of any format that OpenCV reads; an EXIF orientation is applied, as OpenCV does by default.

    Args:
        paths: one file per frame.
        sizes: the (width, height) in px that the annotations note for each file, checked when a frame is read; an
            entry may be None.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        sizes: Optional[Sequence[Optional[tuple[int, int]]]] = None,
    ) -> None:
        self.paths = tuple(Path(path) for path in paths)
        if sizes is None:
            sizes = [None] * len(self.paths)
        self.sizes = tuple(sizes)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """Reads one image.

        Raises:
            InputError: the file is missing, truncated, not an image, or of another size than noted.
        """
        position = _position(index, len(self))
        path = self.paths[position]
        image = read_image(path)
        height, width = image.shape[:2]
        expected = self.sizes[position]
        if expected is None or expected == (width, height):
            return image
        rotated = ' after its EXIF orientation was applied' if expected == (height, width) else ''
        raise InputError(
            f'{path}: the image is {width}x{height} px{rotated}, its annotation was made on '
            f'{expected[0]}x{expected[1]} px; use the images that were annotated'
        )


class VideoFrames:
    """Frames of a video file, decoded one after the other; frame i is the i-th frame of sequential decoding.

    A step forward never seeks. A step back seeks, and uses the frame that it reaches only if its time stamp equals
    the one of sequential decoding; otherwise the video is decoded again from the start, which is slow but exact.

    The number of frames is that of the stream. The number in the header is not used: to know :attr:`count` the video
    is decoded to its end, once in a process. Reading all frames in order, up to an ``IndexError``, needs no count.

    Args:
        path: any file that :func:`hrtk.reading.videos.open_video` opens.
        indices: frame numbers in the video; None is every frame.

    Attributes:
        fps: frames per second by the header, 25 if the file does not give it.
        size: (width, height) px.
        claimed: number of frames by the header, None if the file does not give it.

    Raises:
        InputError: the file is missing or not a video, or an index lies outside it.
        RuntimeError: a forked process continues to read from a decoder that its parent has used.
    """

    def __init__(self, path: str | Path, indices: Optional[Sequence[int]] = None) -> None:
        self.path = Path(path)
        reader = open_video(self.path)
        self.fps: float = reader.rate or 25.0
        self.size = reader.size
        self.claimed = reader.claimed
        self._stamps: list[float] = []  # s, of every frame in sequential decoding
        # Opened again at the first access: worker processes that are forked before it have their own decoders.
        self._decoder: Optional[_Decoder] = None
        self._chosen: Optional[tuple[int, ...]] = None
        if indices is not None:
            self._chosen = tuple(operator.index(index) for index in indices)
            self.check(self._chosen)

    @property
    def indices(self) -> tuple[int, ...]:
        """The frame numbers."""
        if self._chosen is None:
            return tuple(range(self.count))
        return self._chosen

    @property
    def count(self) -> int:
        """The number of frames of the whole video; the first access decodes it."""
        return len(self.timeline())

    def timeline(self) -> Timeline:
        """The times of all frames; the first call decodes the video."""
        return read_timeline(self.path)

    def __len__(self) -> int:
        if self._chosen is None:
            return self.count
        return len(self._chosen)

    def __getitem__(self, index: int) -> np.ndarray:
        """Decodes one frame.

        Raises:
            IndexError: there is no such frame.
            InputError: the video ends or is damaged before a frame that was chosen; the message gives its number.
        """
        if self._chosen is not None:
            number = self._chosen[_position(index, len(self))]
        else:
            number = operator.index(index)
            known = known_timeline(self.path)
            if number < 0 or known is not None:
                number = _position(number, len(self))
        if not self._reach(number):
            if self._chosen is None:
                raise IndexError(f'frame {number} of {self.count}')
            raise InputError(
                f'{self.path}: frame {number} cannot be decoded: the video ends after {len(self._stamps)} frames, '
                f'its header counts {self.claimed}. Use the frames before, or copy the video again if it is truncated'
            )
        assert self._decoder is not None
        image = self._decoder.reader.image()
        if image is None:
            self._decoder = None
            raise InputError(
                f'{self.path}: frame {number} cannot be decoded; the video is damaged. Copy it again, or re-encode '
                f'it: {conversion(self.path)}'
            )
        return image

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_decoder': None}

    def check(self, indices: Sequence[int]) -> None:
        """Raises InputError for frame numbers outside the video, which is decoded only if the header leaves a doubt."""
        known = known_timeline(self.path)
        within = self.claimed or 0
        if known is not None:
            within = len(known)
        if all(0 <= index < within for index in indices):
            return
        outside = [index for index in indices if not 0 <= index < self.count]
        if outside:
            raise InputError(
                f'{self.path}: has the frames 0..{self.count - 1}, asked for {outside[:5]}; check that '
                f'frames are counted from 0 and belong to this video'
            )

    def _reach(self, number: int) -> bool:
        """Decodes up to a frame; False if the video ends before it."""
        decoder = self._ready(number)
        if self._forward(decoder, number):
            return True
        self._decoder = None
        if decoder.sought:  # behind a seek a damaged file may end early
            self._decoder = _Decoder(self.path)
            if self._forward(self._decoder, number):
                return True
            decoder = self._decoder
            self._decoder = None
        remember_timeline(decoder.reader, self._stamps)
        return False

    def _forward(self, decoder: _Decoder, number: int) -> bool:
        while decoder.next <= number:
            if not decoder.reader.grab():
                return False
            if decoder.next == len(self._stamps):
                self._stamps.append(decoder.reader.time())
            decoder.next += 1
        return True

    def _ready(self, number: int) -> _Decoder:
        """A decoder whose last frame is not behind this one."""
        if self._decoder is None:
            self._decoder = _Decoder(self.path)
        if self._decoder.process != os.getpid():
            # Both processes would move the one position in the file, and closing the file here waits for threads
            # that the fork did not copy.
            raise RuntimeError(
                f'{self.path}: a forked process cannot share a decoder that is in use; start worker '
                f'processes before the first frame is read, or use the spawn method'
            )
        if number < self._decoder.next - 1 and not self._seek(self._decoder, number):
            self._decoder = _Decoder(self.path)
        return self._decoder

    def _seek(self, decoder: _Decoder, number: int) -> bool:
        """Steps back to a frame; False if the time stamp does not prove that it is the right one."""
        stamp = self._stamps[number]
        if self._stamps.count(stamp) != 1:
            return False
        decoder.sought = True
        if not decoder.reader.seek(stamp):
            return False
        decoder.next = number + 1
        return True


class _Decoder:
    """An open video file.

    Attributes:
        next: the number of the frame that ``reader`` grabs next.
        process: the process that opened the file.
        sought: whether the position was reached by a seek.
    """

    def __init__(self, path: Path) -> None:
        self.reader = open_video(path)
        self.next = 0
        self.process = os.getpid()
        self.sought = False


class ArrayFrames:
    """Frames in memory.

    Args:
        array: (F, H, W, 3) uint8 RGB.

    Raises:
        InputError: the array has another shape or dtype.
    """

    def __init__(self, array: np.ndarray) -> None:
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
            raise InputError(
                f'frames in memory must be (F, H, W, 3) uint8 RGB, these are {array.shape} {array.dtype}'
            )
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> np.ndarray:
        """A copy of one frame, so that drawing on it does not change the data set."""
        return self.array[_position(index, len(self))].copy()


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image file as (H, W, 3) uint8 RGB; grey values are repeated over the channels, alpha is dropped.

    Raises:
        InputError: the file is missing, empty, truncated, or not an image.
    """
    image = decode_picture(path, cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _position(index: int, length: int) -> int:
    """A non-negative index."""
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f'frame {index} of {length}')
    return position % length
