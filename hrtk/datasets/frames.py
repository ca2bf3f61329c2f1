"""Lazy frames: pictures in files, in a video, or in memory, all read as (H, W, 3) uint8 RGB.

Every class follows :class:`hrtk.structures.Frames`; negative indices count from the end.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from hrtk.errors import InputError


class ImageFrames:
    """Pictures in files of any format that OpenCV reads; an EXIF orientation is applied, as OpenCV does by default.

    Args:
        paths: one file per frame.
        sizes: the (width, height) in pixels that somebody else noted for each file, checked when a frame is read;
            an entry may be None.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        sizes: Optional[Sequence[Optional[tuple[int, int]]]] = None,
    ) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.sizes = tuple(sizes) if sizes is not None else (None,) * len(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """Reads one picture.

        Raises:
            InputError: the file is missing, cut, no picture, or of another size than noted.
        """
        index = _position(index, len(self))
        image = read_image(self.paths[index])
        expected, size = self.sizes[index], (image.shape[1], image.shape[0])
        if expected not in (None, size):
            turned = ' after its EXIF orientation was applied' if expected == size[::-1] else ''
            raise InputError(
                f'{self.paths[index]}: the picture is {size[0]}x{size[1]} px{turned}, its annotation was '
                f'made on {expected[0]}x{expected[1]} px; give the pictures that were annotated'
            )
        return image


class VideoFrames:
    """Frames of a video file, decoded one after the other; frame i is the i-th that a plain run through it gives.

    A step forward never seeks. A step back seeks, and keeps what it finds only if the time stamp is the one that the
    frame had on the way forward; otherwise it decodes again from the start, which is slow but exact.

    Args:
        path: any file that OpenCV's FFmpeg reads.
        indices: the frames to offer, by their number in the video; None is all that the header counts.

    Attributes:
        fps: frames per second, 25 if the file does not say.
        size: (width, height) px.

    Raises:
        InputError: the file is missing or no video, or an index lies outside it.
        RuntimeError: a process reads on that was forked after its parent had begun to read.
    """

    def __init__(self, path: str | Path, indices: Optional[Sequence[int]] = None) -> None:
        self.path = Path(path)
        self._times: list[float] = []
        self._open()
        read = self._capture.get
        self.count = int(read(cv2.CAP_PROP_FRAME_COUNT))
        self.fps = read(cv2.CAP_PROP_FPS) or 25.0
        self.size = int(read(cv2.CAP_PROP_FRAME_WIDTH)), int(read(cv2.CAP_PROP_FRAME_HEIGHT))
        if self.count < 1:
            raise InputError(
                f'{self.path}: the header counts no frames, so none can be found by number; write them '
                f'into a file first: ffmpeg -i {self.path.name} -c:v libx264 fixed.mp4'
            )
        self.indices = (
            tuple(range(self.count))
            if indices is None
            else tuple(operator.index(i) for i in indices)
        )
        # Opened again for the first frame, so that worker processes forked before that each have their own decoder.
        self._capture = None
        outside = [i for i in self.indices if not 0 <= i < self.count]
        if outside:
            raise InputError(
                f'{self.path}: has the frames 0..{self.count - 1}, asked for {outside[:5]}; check that '
                f'frames are counted from 0 and belong to this video'
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> np.ndarray:
        """Decodes one frame.

        Raises:
            InputError: the video ends or breaks before this frame; its number is named.
        """
        wanted = self.indices[_position(index, len(self))]
        if self._capture is None:
            self._open()
        if self._process != os.getpid():
            # Both processes would move the one position in the file, and closing it here waits for threads that the
            # fork did not copy.
            raise RuntimeError(
                f'{self.path}: a forked process cannot share a decoder that is in use; start worker '
                f'processes before the first frame is read, or use the spawn method'
            )
        if wanted < self._next - 1:
            self._step_back(wanted)
        while self._next <= wanted:
            self._grab()
        decoded, image = self._capture.retrieve()
        if not decoded:
            raise self._broken(wanted)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_capture': None}

    def _open(self) -> None:
        self._process, self._next = os.getpid(), 0
        if not self.path.is_file():
            raise InputError(f'{self.path}: there is no such video file; check the path')
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            raise InputError(
                f'{self.path}: OpenCV cannot open this video; it may be cut before its index was written. '
                f'Copy it again, or re-encode it: ffmpeg -i {self.path.name} -c:v libx264 fixed.mp4'
            )

    def _grab(self) -> None:
        if not self._capture.grab():
            raise self._broken(self._next)
        if self._next == len(self._times):
            self._times.append(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        self._next += 1

    def _step_back(self, wanted: int) -> None:
        time = self._times[wanted]
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, wanted)
        found = self._capture.grab() and self._capture.get(cv2.CAP_PROP_POS_MSEC) == time
        if found and self._times.count(time) == 1:
            self._next = wanted + 1
        else:
            self._open()

    def _broken(self, frame: int) -> InputError:
        self._capture = None
        return InputError(
            f'{self.path}: frame {frame} cannot be decoded, though the header counts {self.count}; the '
            f'video is cut or damaged. Copy it again, re-encode it, or use only the frames before'
        )


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
        """A copy, so that drawing on it leaves the frames as they are."""
        return self.array[_position(index, len(self))].copy()


def read_image(path: str | Path) -> np.ndarray:
    """One picture file as (H, W, 3) uint8 RGB; grey pictures are repeated over the channels, alpha is dropped.

    Raises:
        InputError: the file is missing, empty, cut, or no picture.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such picture; check the folder and the file name')
    data = path.read_bytes()
    # From memory, not by cv2.imread: that one shows a cut JPEG as half grey and does not complain.
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise InputError(
            f'{path}: OpenCV cannot decode this picture ({len(data)} bytes); it is cut, damaged or of an '
            f'unknown format. Copy it again or convert it to PNG or JPEG'
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _position(index: int, length: int) -> int:
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f'frame {index} of {length}')
    return position % length
