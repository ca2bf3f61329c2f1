"""Writing videos, and numbered images where this OpenCV cannot write videos."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Iterable, Iterator, Optional

import cv2
import numpy as np

from hrtk.errors import InputError
from hrtk.files import remove_leftovers, write_atomically


def write_video(
    path: str | Path, images: Iterable[np.ndarray], fps: float = 25.0, codec: str = 'mp4v'
) -> Path:
    """Writes images as a video and reads its header back.

    The file appears under its name only when it is complete. Codecs require even sides, so odd ones lose their last
    row or column.

    Args:
        path: of the video, ``.mp4``.
        images: (H, W, 3) uint8 RGB, all of one size, at least one.
        fps: frames per second.
        codec: four characters, see OpenCV's ``VideoWriter``.

    Returns:
        ``path``.

    Raises:
        InputError: there is no image, the sizes differ, or OpenCV cannot write or read the codec. If the codec is
            missing, only the first of ``images`` has been consumed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV writes to a path and chooses the container by its suffix, so hrtk.files.write_atomically does not apply.
    partial = path.with_name(f'.{path.stem}.{os.getpid()}.part{path.suffix}')
    iterator = iter(images)
    try:
        first = _even(_first(iterator, path))
        writer = _open(partial, first, fps, codec, path)
        try:
            count = _write_all(writer, first, iterator, path)
        finally:
            writer.release()
        _check(partial, path, count, first, codec)
        os.replace(partial, path)
        remove_leftovers(path.parent, f'.{path.stem}')
    finally:
        partial.unlink(missing_ok=True)
    return path


def write_images(folder: str | Path, images: Iterable[np.ndarray]) -> Path:
    """Writes images as ``000000.png``, ``000001.png``, ... into a folder; the fallback for a missing codec."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        write_image(folder / f'{index:06d}.png', image)
    return folder


def write_image(path: str | Path, image: np.ndarray) -> Path:
    """Writes (H, W, 3) uint8 RGB atomically as a PNG or JPEG file, depending on the suffix.

    Raises:
        InputError: OpenCV does not know the suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        ok, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise InputError(
            f'{path}: OpenCV cannot write images ending in {path.suffix!r}; use .png or .jpg'
        ) from error
    if not ok:
        raise InputError(f'{path}: OpenCV could not encode an image of shape {image.shape}')
    write_atomically(path, lambda file: file.write(encoded.tobytes()))
    return path


write_picture = write_image  # until 0.3
write_pictures = write_images  # until 0.3


def letterbox(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fits an image into (width, height) with black borders, so that images of many sizes make one video."""
    height, width = image.shape[:2]
    if (width, height) == tuple(size):
        return image
    scale = min(size[0] / width, size[1] / height)
    inner_size = (max(1, int(width * scale)), max(1, int(height * scale)))
    inner = cv2.resize(image, inner_size, interpolation=cv2.INTER_AREA)
    result = np.zeros((size[1], size[0], 3), np.uint8)
    top = (size[1] - inner.shape[0]) // 2
    left = (size[0] - inner.shape[1]) // 2
    result[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return result


def can_write_video(codec: str = 'mp4v', folder: Optional[str | Path] = None) -> bool:
    """Tries the codec on two small images in ``folder`` (default: the system's folder for temporary files)."""
    images = [np.zeros((64, 64, 3), np.uint8)] * 2
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            write_video(Path(scratch) / 'try.mp4', images, codec=codec)
        except InputError:
            return False
    return True


def _first(images: Iterator[np.ndarray], path: Path) -> np.ndarray:
    for image in images:
        return image
    raise InputError(f'{path}: a video needs at least one image, got none')


def _even(image: np.ndarray) -> np.ndarray:
    """Cuts the last row and column of odd sides."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])


def _open(partial: Path, first: np.ndarray, fps: float, codec: str, path: Path) -> cv2.VideoWriter:
    size = (first.shape[1], first.shape[0])
    try:
        fourcc = cv2.VideoWriter.fourcc(*codec)
        writer = cv2.VideoWriter(str(partial), fourcc, fps, size)
    except cv2.error as error:
        raise _missing_codec(path, codec) from error
    if not writer.isOpened():
        raise _missing_codec(path, codec)
    return writer


def _write_all(
    writer: cv2.VideoWriter, first: np.ndarray, rest: Iterator[np.ndarray], path: Path
) -> int:
    """Writes all images and returns their number."""
    writer.write(cv2.cvtColor(first, cv2.COLOR_RGB2BGR))
    count = 1
    for image in map(_even, rest):
        if image.shape != first.shape:  # OpenCV would skip it silently
            raise InputError(
                f'{path}: image {count} of the video is {image.shape}, the first was {first.shape}; '
                f'all must have one size'
            )
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        count += 1
    return count


def _check(partial: Path, path: Path, count: int, first: np.ndarray, codec: str) -> None:
    """Raises unless OpenCV reads back as many frames as were written."""
    reader = cv2.VideoCapture(str(partial))
    try:
        ok, image = reader.read()
        frames = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        reader.release()
    if not ok:
        frames = 0
    if frames != count or image.shape != first.shape:
        raise InputError(
            f'{path}: wrote {count} images with codec {codec!r}, but OpenCV reads back {frames}; '
            f'try another codec, or write numbered images'
        )


def _missing_codec(path: Path, codec: str) -> InputError:
    return InputError(
        f'{path}: this OpenCV cannot write the codec {codec!r}; install an opencv-python or '
        f'opencv-python-headless wheel (they include FFmpeg), or write numbered images'
    )
