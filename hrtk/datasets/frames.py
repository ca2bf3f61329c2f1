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
from hrtk.reading.pictures import decode_picture, open_video, video_rate


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

    Args:
        path: any file that OpenCV's FFmpeg reads.
        indices: frame numbers in the video; None is every frame that the header counts.

    Attributes:
        fps: frames per second, 25 if the file does not give it.
        size: (width, height) px.
        count: number of frames of the whole video.

    Raises:
        InputError: the file is missing or not a video, or an index lies outside it.
        RuntimeError: a forked process continues to read from a decoder that its parent has used.
    """

    def __init__(self, path: str | Path, indices: Optional[Sequence[int]] = None) -> None:
        self.path = Path(path)
        capture = open_video(self.path)
        width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        self.count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.fps: float = video_rate(capture) or 25.0
        self.size = (int(width), int(height))
        if self.count < 1:
            raise InputError(
                f'{self.path}: the header counts no frames, so frames have no numbers; re-encode the '
                f'video first: ffmpeg -i {self.path.name} -c:v libx264 fixed.mp4'
            )
        if indices is None:
            indices = range(self.count)
        self.indices = tuple(operator.index(index) for index in indices)
        outside = [index for index in self.indices if not 0 <= index < self.count]
        if outside:
            raise InputError(
                f'{self.path}: has the frames 0..{self.count - 1}, asked for {outside[:5]}; check that '
                f'frames are counted from 0 and belong to this video'
            )
        self._times: list[float] = []  # ms, of every frame in sequential decoding
        # Opened again at the first access: worker processes that are forked before it have their own decoders.
        self._decoder: Optional[_Decoder] = None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> np.ndarray:
        """Decodes one frame.

        Raises:
            InputError: the video ends or is damaged before this frame; the message gives its number.
        """
        number = self.indices[_position(index, len(self))]
        decoder = self._ready(number)
        while decoder.next <= number:
            if not decoder.capture.grab():
                raise self._damaged(decoder.next)
            if decoder.next == len(self._times):
                self._times.append(decoder.time())
            decoder.next += 1
        decoded, image = decoder.capture.retrieve()
        if not decoded:
            raise self._damaged(number)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_decoder': None}

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
        time = self._times[number]
        decoder.capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        exact = decoder.capture.grab() and decoder.time() == time and self._times.count(time) == 1
        if exact:
            decoder.next = number + 1
        return exact

    def _damaged(self, number: int) -> InputError:
        self._decoder = None
        return InputError(
            f'{self.path}: frame {number} cannot be decoded, though the header counts {self.count}; the '
            f'video is truncated or damaged. Copy it again, re-encode it, or use only the frames before'
        )


class _Decoder:
    """An open video file.

    Attributes:
        next: the number of the frame that ``capture`` grabs next.
        process: the process that opened the file.
    """

    def __init__(self, path: Path) -> None:
        self.capture = open_video(path)
        self.next = 0
        self.process = os.getpid()

    def time(self) -> float:
        """The time stamp of the last frame, ms."""
        return self.capture.get(cv2.CAP_PROP_POS_MSEC)


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
