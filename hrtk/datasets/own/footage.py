"""Pictures in a folder, one picture, or a video: where the frames lie that a keypoint file names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

from hrtk.datasets.frames import ImageFrames, VideoFrames
from hrtk.datasets.own.keypoint_table import FrameRef, KeypointTable
from hrtk.errors import InputError
from hrtk.structures import Frames

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
Place = int | Path  # the number of a video's frame, or a picture


class Footage:
    """Frames on disk. A place is the number of a frame in a video, counted from 0, or the path of a picture.

    Args:
        path: a folder of pictures (subfolders are searched), one picture, or a video.

    Attributes:
        video: the video, or None for pictures.
        files: the pictures in natural order, folder by folder; empty for a video.

    Raises:
        InputError: there is nothing of the kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.video: Optional[VideoFrames] = None
        self.files: tuple[Path, ...] = ()
        if not self.path.exists():
            raise InputError(f'{self.path}: there is no such folder or video; check the path')
        if self.path.is_dir():
            found = [file for file in self.path.rglob('*') if file.suffix.lower() in IMAGE_SUFFIXES]
            self.files = tuple(sorted(found, key=lambda file: (file.parent, natural(file.name))))
            if not found:
                raise InputError(
                    f'{self.path}: no picture in this folder ({", ".join(IMAGE_SUFFIXES)}); check the '
                    f'path'
                )
        elif self.path.suffix.lower() in IMAGE_SUFFIXES:
            self.files = (self.path,)
        else:
            self.video = VideoFrames(self.path)

    @property
    def root(self) -> Path:
        """What names of pictures are relative to."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def fps(self) -> Optional[float]:
        """Frames per second of a video; None for pictures."""
        return self.video.fps if self.video else None

    def all(self) -> list[Place]:
        """Every place, in order."""
        return list(range(self.video.count)) if self.video else list(self.files)

    def folder(self, place: Place) -> str:
        """The subfolder of a picture, ``'a/b'``; empty for the top folder and for a video."""
        folder = '.' if self.video else place.parent.relative_to(self.root).as_posix()
        return '' if folder == '.' else folder

    def frames(
        self, places: Sequence[Place], sizes: Optional[Sequence[Optional[tuple[int, int]]]] = None
    ) -> Frames:
        """Lazy frames; sizes that somebody noted, (width, height) px, are checked when a picture is read."""
        return VideoFrames(self.path, places) if self.video else ImageFrames(places, sizes)

    def labels(self, places: Iterable[Place]) -> tuple[str, ...]:
        """``'000012'`` of a video, or the picture's file name."""
        return tuple(f'{place:06d}' if self.video else place.name for place in places)

    def reference(self, place: Place) -> FrameRef:
        """How a keypoint file may name a place."""
        return (
            FrameRef('', place) if self.video else FrameRef(place.relative_to(self.root).as_posix())
        )

    def fingerprint(self, places: Iterable[Place] = ()) -> str:
        """A hash over name and size in bytes of the video, or of the pictures (default: all)."""
        files = [self.path] if self.video else sorted(set(places)) or self.files
        listing = '\n'.join(f'{file.name} {file.stat().st_size}' for file in files)
        return hashlib.sha256(listing.encode()).hexdigest()

    def places(self, table: KeypointTable) -> list[Place]:
        """Where every row of a keypoint file lies.

        Pictures are looked up by their path below the folder or their name, OpenPose's by stem, and whole-number ids by
        the last number in the file name. A frame of a video is found by its number, or the last number in its name.

        Raises:
            InputError: a frame is not there, cannot be told, or was annotated on another size of the video.
        """
        return self._in_video(table) if self.video else self._among_pictures(table)

    def _in_video(self, table: KeypointTable) -> list[int]:
        video, numbers = self.video, []
        for frame in table.frames:
            digits = re.findall(r'\d+', frame.name.rsplit('/')[-1])
            if frame.number is None and not digits:
                raise InputError(
                    f'{video.path}: which frame is {frame.name!r}? The keypoint file must give '
                    f'`frame_index`, or end the name with the frame number, counted from 0'
                )
            if frame.size not in (None, video.size):
                raise InputError(
                    f'{video.path}: the video is {video.size[0]}x{video.size[1]} px, {frame.name!r} was '
                    f'annotated on {frame.size[0]}x{frame.size[1]} px; give the video that was annotated'
                )
            numbers.append(int(digits[-1]) if frame.number is None else frame.number)
        VideoFrames(
            video.path, sorted(set(numbers))
        )  # complains about frames that the video does not have
        return numbers

    def _among_pictures(self, table: KeypointTable) -> list[Path]:
        places: dict[FrameRef, Optional[Path]] = {}
        index = {
            kind: _index(self.files, key)
            for kind, key in {
                'path': lambda f: f.relative_to(self.root).as_posix(),
                'name': lambda f: f.name,
                'stem': lambda f: f.stem,
                'number': lambda f: int((re.findall(r'\d+', f.stem) or [-1])[-1]),
            }.items()
        }
        for frame in table.frames:
            if frame in places:
                continue
            name = frame.name.rsplit('/')[-1]
            if not name:
                places[frame] = index['number'].get(frame.number)
            elif name.lower().endswith(IMAGE_SUFFIXES):
                places[frame] = index['path'].get(frame.name) or index['name'].get(name)
            else:
                places[frame] = index['stem'].get(name)
        missing = [
            frame.name or f'number {frame.number}'
            for frame, place in places.items()
            if place is None
        ]
        if missing:
            raise InputError(
                f'{self.path}: {len(missing)} of {len(places)} annotated pictures are missing (or not '
                f'unique) there: {", ".join(missing[:5])}; the folder has {len(self.files)} pictures like '
                f'{min(self.files).name}. Copy them, or give the folder that was annotated'
            )
        return [places[frame] for frame in table.frames]


def natural(name: str) -> list:
    """A key that sorts f2 before f10."""
    return [(int(part), '') if part.isdigit() else (-1, part) for part in re.split(r'(\d+)', name)]


def _index(files: Iterable[Path], key) -> dict:
    """Files by key; a key that several files share is left out."""
    found: dict = {}
    for file in files:
        found[key(file)] = None if key(file) in found else file
    return found
