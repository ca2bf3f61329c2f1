"""Writing films, and numbered pictures where this OpenCV cannot write films."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable, Iterator, Optional

import cv2
import numpy as np

from hrtk.errors import InputError


def write_video(
    path: str | Path, pictures: Iterable[np.ndarray], fps: float = 25.0, codec: str = 'mp4v'
) -> Path:
    """Writes pictures as a film and reads its header back.

    The film appears under its name only when it is complete. Odd sides lose their last row or column, which
    the codec asks for.

    Args:
        path: of the film, ``.mp4``.
        pictures: (H, W, 3) uint8 RGB, all of one size, at least one.
        fps: pictures per second.
        codec: four characters, see OpenCV's ``VideoWriter``.

    Returns:
        ``path``.

    Raises:
        InputError: there is no picture, the sizes differ, or OpenCV cannot write or read the codec here. Of the
            pictures only the first has been taken if the codec is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.stem}.{os.getpid()}.part{path.suffix}')
    iterator = iter(pictures)
    try:
        first = _even(_first(iterator, path))
        writer = _open(partial, first, fps, codec, path)
        try:
            count = _write_all(writer, first, iterator, path)
        finally:
            writer.release()
        _check(partial, path, count, first, codec)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def write_pictures(folder: str | Path, pictures: Iterable[np.ndarray]) -> Path:
    """Writes pictures as ``000000.png``, ``000001.png``, ... into a folder; what a missing codec falls back to."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        write_picture(folder / f'{index:06d}.png', picture)
    return folder


def write_picture(path: str | Path, picture: np.ndarray) -> Path:
    """Writes (H, W, 3) uint8 RGB as a PNG or JPEG file, by its ending, completely or not at all.

    Raises:
        InputError: OpenCV does not know the ending.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        ok, encoded = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise InputError(
            f'{path}: OpenCV cannot write pictures ending in {path.suffix!r}; use .png or .jpg'
        ) from error
    if not ok:
        raise InputError(f'{path}: OpenCV could not encode a picture of shape {picture.shape}')
    partial = path.with_name(f'.{path.name}.{os.getpid()}.part')
    partial.write_bytes(encoded.tobytes())
    os.replace(partial, path)
    return path


def letterbox(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fits a picture into (width, height) with black borders: pictures of many sizes make one film."""
    height, width = picture.shape[:2]
    if (width, height) == tuple(size):
        return picture
    scale = min(size[0] / width, size[1] / height)
    inner = cv2.resize(
        picture,
        (max(1, int(width * scale)), max(1, int(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    result = np.zeros((size[1], size[0], 3), np.uint8)
    y, x = (size[1] - inner.shape[0]) // 2, (size[0] - inner.shape[1]) // 2
    result[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return result


def can_write_video(codec: str = 'mp4v', folder: Optional[str | Path] = None) -> bool:
    """Tries the codec on two small pictures in ``folder`` (default: the system's folder for temporary files)."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            write_video(
                Path(scratch) / 'try.mp4', [np.zeros((64, 64, 3), np.uint8)] * 2, codec=codec
            )
        except InputError:
            return False
    return True


def _first(pictures: Iterator[np.ndarray], path: Path) -> np.ndarray:
    for picture in pictures:
        return picture
    raise InputError(f'{path}: a film needs at least one picture, got none')


def _even(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[: height - height % 2, : width - width % 2])


def _open(partial: Path, first: np.ndarray, fps: float, codec: str, path: Path) -> cv2.VideoWriter:
    size = first.shape[1], first.shape[0]
    try:
        writer = cv2.VideoWriter(str(partial), cv2.VideoWriter_fourcc(*codec), fps, size)
    except cv2.error as error:
        raise _missing(path, codec) from error
    if not writer.isOpened():
        raise _missing(path, codec)
    return writer


def _write_all(
    writer: cv2.VideoWriter, first: np.ndarray, rest: Iterator[np.ndarray], path: Path
) -> int:
    writer.write(cv2.cvtColor(first, cv2.COLOR_RGB2BGR))
    count = 1
    for picture in map(_even, rest):
        if picture.shape != first.shape:  # OpenCV would drop it without a word
            raise InputError(
                f'{path}: picture {count} of the film is {picture.shape}, the first was {first.shape}; '
                f'all must have one size'
            )
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        count += 1
    return count


def _check(partial: Path, path: Path, count: int, first: np.ndarray, codec: str) -> None:
    reader = cv2.VideoCapture(str(partial))
    try:
        ok, picture = reader.read()
        frames = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        reader.release()
    if not ok or picture.shape != first.shape or frames != count:
        raise InputError(
            f'{path}: wrote {count} pictures with codec {codec!r}, but OpenCV reads back '
            f'{frames if ok else 0}; try another codec, or write numbered pictures'
        )


def _missing(path: Path, codec: str) -> InputError:
    return InputError(
        f'{path}: this OpenCV cannot write the codec {codec!r}; install an opencv-python or '
        f'opencv-python-headless wheel (they bring FFmpeg), or write numbered pictures'
    )
