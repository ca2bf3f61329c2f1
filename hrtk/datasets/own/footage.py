"""A user's video or images: its frames by index, and which of them the frames of a keypoint file are."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from hrtk.datasets.frames import ImageFrames, VideoFrames, read_image
from hrtk.datasets.own.frame_numbers import first_frame as find_first_frame
from hrtk.datasets.own.frame_numbers import last_number, noted_number
from hrtk.datasets.own.keypoint_table import FrameRef, KeypointTable
from hrtk.errors import InputError
from hrtk.files import natural, visible
from hrtk.reading.frame_times import mean_rate
from hrtk.reading.hashes import content_hash
from hrtk.reading.pictures import UNREAD_SUFFIXES, unread_picture
from hrtk.structures import Frames

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
USUAL_FPS = 120.5  # a header with a higher rate is checked against the stream
Size = tuple[int, int]  # (width, height), px
_log = logging.getLogger(__name__)


class Footage:
    """Frames on disk, addressed by their index, which counts from 0; see :func:`open_footage`.

    Attributes:
        path: the video, the image, or the folder of images.
        fps: frames per second of a video; None for images.
    """

    path: Path
    fps: Optional[float]

    def __len__(self) -> int:
        """The number of frames."""
        raise NotImplementedError

    def clip(self, index: int) -> str:
        """The subfolder of an image, ``'a/b'``; empty for the top folder and for a video."""
        raise NotImplementedError

    def stem(self, index: int) -> str:
        """The path of an image below the folder without its suffix, ``'a/b/f12'``; the label of a video's frame."""
        raise NotImplementedError

    def label(self, index: int) -> str:
        """The file name of an image; ``'000012'`` for a video's frame."""
        raise NotImplementedError

    def size(self, index: int) -> Size:
        """The (width, height) of a frame, px."""
        raise NotImplementedError

    def reference(self, index: int) -> FrameRef:
        """How a keypoint file names the frame."""
        raise NotImplementedError

    def time_key(self, index: int, reference: FrameRef) -> tuple[int, int]:
        """A key that sorts annotated frames of one clip by time."""
        raise NotImplementedError

    def expected(self) -> Optional[int]:
        """About how many frames there are, known without decoding a video; None if its header does not tell."""
        return len(self)

    def seconds(self) -> Optional[np.ndarray]:
        """(N,) float64 seconds of every frame after the first; None for images and for videos without time stamps."""
        return None

    def clock(self, fps: Optional[float]) -> tuple[float, Optional[np.ndarray]]:
        """Frames per second, and :meth:`seconds`. A rate that the user gives stands for the times of a file, too."""
        if fps is not None:
            return fps, None
        rate = self.fps or 25.0
        seconds = self.seconds()
        if seconds is not None:
            rate = mean_rate(seconds, rate)
        return rate, seconds

    def frames(
        self,
        indices: Optional[Sequence[int]] = None,
        sizes: Optional[Sequence[Optional[Size]]] = None,
    ) -> Frames:
        """Lazy frames.

        Args:
            indices: the frames; None for all, which may be read up to an ``IndexError`` without knowing how many.
            sizes: the (width, height) in px that a keypoint file notes for each frame, checked when an image is read.
        """
        raise NotImplementedError

    def locate(self, table: KeypointTable, first_frame: Optional[int] = None) -> list[int]:
        """The frame index of every row of a keypoint file.

        Args:
            table: of the keypoint file.
            first_frame: number of the first frame of a video in the keypoint file; None finds it.

        Raises:
            InputError: a frame does not exist, cannot be identified, or was annotated on a video of another size.
        """
        raise NotImplementedError

    def fingerprint(self, indices: Iterable[int] = ()) -> str:
        """A hash of the names and contents of the video, or of the images with these indices (default: all).

        Neither the folder nor the times of the files count, so that results of moved or copied footage are found. Of
        images all bytes count, of a video of more than 256 MiB those that :func:`hrtk.files.content_hash` samples.
        """
        lines = [f'{file.name} {content_hash(file)}' for file in self._files(indices)]
        return hashlib.sha256('\n'.join(lines).encode()).hexdigest()

    def _files(self, indices: Iterable[int]) -> Sequence[Path]:
        raise NotImplementedError


class VideoFootage(Footage):
    """A video file; the index of a frame is its number in the video.

    Args:
        path: any file that :class:`~hrtk.datasets.frames.VideoFrames` reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._video = VideoFrames(path)
        self.fps = self._video.fps
        # Cut files may have the ticks of their clock there, 1000 per second.
        if self.fps > USUAL_FPS:
            self.fps, _ = self.clock(None)

    def __len__(self) -> int:
        return self._video.count

    def expected(self) -> Optional[int]:
        return self._video.claimed

    def seconds(self) -> Optional[np.ndarray]:
        return self._video.timeline().seconds()

    def clip(self, index: int) -> str:
        return ''

    def stem(self, index: int) -> str:
        return self.label(index)

    def label(self, index: int) -> str:
        return f'{index:06d}'

    def size(self, index: int) -> Size:
        return self._video.size

    def reference(self, index: int) -> FrameRef:
        return FrameRef('', index)

    def time_key(self, index: int, reference: FrameRef) -> tuple[int, int]:
        return index, 0

    def frames(
        self,
        indices: Optional[Sequence[int]] = None,
        sizes: Optional[Sequence[Optional[Size]]] = None,
    ) -> Frames:
        return VideoFrames(self.path, indices)

    def locate(self, table: KeypointTable, first_frame: Optional[int] = None) -> list[int]:
        """The place that the file gives, or its frame number, or else the last number in the name of the frame.

        Numbers count from 0 or 1, see :func:`hrtk.datasets.own.frame_numbers.first_frame`.
        """
        for frame in table.frames:
            self._check_frame(frame)
        first = find_first_frame(table, len(self), first_frame)
        indices = []
        for frame in table.frames:
            number = noted_number(frame)
            assert number is not None  # checked above
            indices.append(number - first if frame.place is None else frame.place)
        try:
            self._video.check(sorted(set(indices)))
        except InputError as error:
            hint = f'; frames of {table.path} are numbered from {first}'
            raise InputError(f'{error}{hint}, first_frame says otherwise') from error
        return indices

    def _check_frame(self, frame: FrameRef) -> None:
        width, height = self._video.size
        if frame.size is not None and frame.size != (width, height):
            raise InputError(
                f'{self.path}: the video is {width}x{height} px, {frame.name!r} was annotated on '
                f'{frame.size[0]}x{frame.size[1]} px; use the video that was annotated'
            )
        if noted_number(frame) is None:
            raise InputError(
                f'{self.path}: the frame {frame.name!r} has no number; the keypoint file must give '
                f'`frame_index`, or end the name with the frame number, counted from 0'
            )

    def _files(self, indices: Iterable[int]) -> Sequence[Path]:
        return [self.path]


class ImageFootage(Footage):
    """Images; the index of a frame is its position in :attr:`files`.

    Hidden files and folders, as macOS and file managers leave them (``._frame.jpg``, ``.thumbnails``), do not count.
    Images of a format that is not read (HEIC, AVIF, JPEG XL) are left out beside others, with a warning.

    Args:
        path: one image, or a folder whose subfolders are searched, too.

    Attributes:
        files: the images, folder by folder, in natural order of their names.

    Raises:
        InputError: the folder holds no image that can be read.
    """

    fps = None

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            self._root = path
            files = _images_below(path)
        else:
            self._root = path.parent
            files = [path]
        self.files = sorted(files, key=lambda file: (file.parent, natural(file.name)))

    def __len__(self) -> int:
        return len(self.files)

    def clip(self, index: int) -> str:
        folder = self._relative(self.files[index]).parent.as_posix()
        return '' if folder == '.' else folder

    def stem(self, index: int) -> str:
        return self._relative(self.files[index]).with_suffix('').as_posix()

    def label(self, index: int) -> str:
        return self.files[index].name

    def size(self, index: int) -> Size:
        height, width = read_image(self.files[index]).shape[:2]
        return width, height

    def reference(self, index: int) -> FrameRef:
        return FrameRef(self._relative(self.files[index]).as_posix())

    def time_key(self, index: int, reference: FrameRef) -> tuple[int, int]:
        """The frame number that the keypoint file gives, then the natural order of names."""
        number = -1 if reference.number is None else reference.number
        return number, index

    def frames(
        self,
        indices: Optional[Sequence[int]] = None,
        sizes: Optional[Sequence[Optional[Size]]] = None,
    ) -> Frames:
        if indices is None:
            indices = range(len(self))
        return ImageFrames([self.files[index] for index in indices], sizes)

    def locate(self, table: KeypointTable, first_frame: Optional[int] = None) -> list[int]:
        """The image at the place that the file gives, of the same path below the folder, or of the same name.

        Names without a suffix (OpenPose) are compared with the stems of the images, and frame numbers with the last
        number in each stem. A name that several images share is ambiguous. Files that list their frames without any
        name give the places: entry i belongs to image i in the order of :attr:`files`.
        """
        by_path = self._unique_indices(lambda file: self._relative(file).as_posix())
        by_name = self._unique_indices(lambda file: file.name)
        by_stem = self._unique_indices(lambda file: file.stem)
        by_number = self._unique_indices(lambda file: last_number(file.stem))
        indices: dict[FrameRef, int] = {}
        missing = []
        for frame in dict.fromkeys(table.frames):
            name = frame.name.rsplit('/')[-1]
            index: Optional[int]
            if frame.place is not None:
                index = frame.place if frame.place < len(self.files) else None
            elif not name:
                index = by_number.get(frame.number)
            elif name.lower().endswith(IMAGE_SUFFIXES):
                index = by_path.get(frame.name, by_name.get(name))
            else:
                index = by_stem.get(name)
            if index is None:
                missing.append(_called(frame))
            else:
                indices[frame] = index
        if missing:
            raise InputError(
                f'{self.path}: {len(missing)} of {len(missing) + len(indices)} annotated images are '
                f'missing or ambiguous there: {", ".join(missing[:5])}; the folder has '
                f'{len(self.files)} images like {min(self.files).name}. Copy them, or use the folder '
                f'that was annotated'
            )
        self._compare_counts(table)
        return [indices[frame] for frame in table.frames]

    def _compare_counts(self, table: KeypointTable) -> None:
        """Says if a file that lists its frames by place has another number of them than the folder."""
        places = [frame.place for frame in table.listed if frame.place is not None]
        if places and max(places) + 1 != len(self.files):
            _log.warning(
                '%s: lists %d frames without their names, %s has %d images; entry i is taken for image i in the order '
                'of the names, beginning with %s',
                table.path,
                max(places) + 1,
                self.path,
                len(self.files),
                self.files[0].name,
            )

    def _relative(self, file: Path) -> Path:
        return file.relative_to(self._root)

    def _unique_indices(self, key: Callable[[Path], Hashable]) -> dict[Hashable, int]:
        """The index of every image by a key; a key of None and keys that several images share are left out."""
        indices: dict[Hashable, list[int]] = {}
        for index, file in enumerate(self.files):
            indices.setdefault(key(file), []).append(index)
        indices.pop(None, None)
        return {value: group[0] for value, group in indices.items() if len(group) == 1}

    def _files(self, indices: Iterable[int]) -> Sequence[Path]:
        return sorted({self.files[index] for index in indices}) or self.files


def open_footage(path: str | Path) -> Footage:
    """Opens a folder of images, one image, or a video.

    Raises:
        InputError: the path does not exist, the folder holds no image, or the video cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f'{path}: there is no such folder or video; check the path')
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFootage(path)
    if path.suffix.lower() in UNREAD_SUFFIXES:
        raise unread_picture(path, UNREAD_SUFFIXES[path.suffix.lower()])
    return VideoFootage(path)


def _called(frame: FrameRef) -> str:
    if frame.place is not None:
        return f'entry {frame.place}, counted from 0'
    return frame.name or f'number {frame.number}'


def _images_below(folder: Path) -> list[Path]:
    """The images in a folder and its subfolders that can be read.

    Raises:
        InputError: there is none.
    """
    images = []
    unread = []
    for file in visible(folder, '**/*'):
        suffix = file.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            images.append(file)
        elif suffix in UNREAD_SUFFIXES:
            unread.append(file)
    if unread:
        name = UNREAD_SUFFIXES[unread[0].suffix.lower()]
        refusal = unread_picture(unread[0], name, len(unread))
        if not images:
            raise refusal
        _warn_once(f'{refusal}; the {len(images)} other images are used')
    if not images:
        raise InputError(
            f'{folder}: no image in this folder ({", ".join(IMAGE_SUFFIXES)}); check the path'
        )
    return images


@functools.lru_cache(maxsize=1024)  # a run opens its folder several times
def _warn_once(text: str) -> None:
    _log.warning(text)
