"""Foreground masks from image files, one per frame."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from hrtk.datasets.mask_sources.base import LazyMasks, MaskSource
from hrtk.errors import InputError, OptionError
from hrtk.files import visible
from hrtk.reading.hashes import sha256
from hrtk.reading.pictures import decode_picture
from hrtk.registry import MASK_SOURCES
from hrtk.silhouettes.masks import binary, check_mask
from hrtk.structures import Frames, Sequence


@MASK_SOURCES.register_module()
class MaskFiles(MaskSource):
    """Reads masks from image files of 0 and 255 (or 0 and 1) that have the size of the frames.

    Args:
        folder: folder of the mask files.
        pattern: path below the folder, with ``{id}`` for the frame's label without suffix, ``{name}`` for the
            sequence's name and ``{index}`` for the index of the frame, e.g. ``'{name}/{index:06d}.png'``.

    Raises:
        InputError: the folder does not exist, or the pattern has other fields or is the same for every frame.
    """

    def __init__(self, folder: str | Path, pattern: str = '{id}.png') -> None:
        super().__init__('files')
        self.folder = Path(folder)
        self.pattern = pattern
        if not self.folder.is_dir():
            raise OptionError(
                f'MaskFiles: {self.folder}: there is no such folder; set `folder` to that of the masks'
            )
        try:
            first = pattern.format(id='a', name='a', index=0)
            second = pattern.format(id='b', name='b', index=1)
        except (KeyError, IndexError, ValueError) as error:
            raise OptionError(
                f'MaskFiles: pattern={pattern!r} cannot be filled in ({error}); it may use {{id}}, '
                f"{{name}} and {{index}}, e.g. '{{name}}/{{index:06d}}.png'"
            ) from error
        if first == second:
            raise OptionError(
                f'MaskFiles: pattern={pattern!r} names the same file for every frame; use {{id}} or '
                f'{{index}}'
            )

    def masks(self, sequence: Sequence) -> Frames:
        """Lazy masks: a file is read on first access. Empty and full masks are valid here, see :func:`check_mask`.

        Raises:
            InputError: a file is missing; or, on access, it is no image, has another size than its frame, or is not
                binary.
        """
        paths = [self.path(sequence, t) for t in range(len(sequence))]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise InputError(
                f'{missing[0]}: there is no such mask ({len(missing)} of {len(paths)} are missing); write '
                f'one for every frame of {sequence.name!r}, an empty one where no person is visible, or '
                f'change the pattern {self.pattern!r}'
            )

        def read(t: int) -> np.ndarray:
            height, width = sequence.frames[t].shape[:2]
            return read_mask(paths[t], (height, width))

        return LazyMasks(len(paths), read)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the names and contents of all files in the folder."""
        digest = hashlib.sha256()
        for path in visible(self.folder, '**/*'):
            if not path.is_file():
                continue
            digest.update(path.relative_to(self.folder).as_posix().encode())
            digest.update(bytes.fromhex(sha256(path)))
        return {'masks': digest.hexdigest()}

    def path(self, sequence: Sequence, t: int) -> Path:
        """The mask file of frame t."""
        label = Path(sequence.frame_ids[t]).stem
        return self.folder / self.pattern.format(id=label, name=sequence.name, index=t)


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Reads one mask file.

    Images with several channels are converted to grey, alpha is dropped.

    Args:
        path: the image file.
        size: (H, W) of the frame, px.

    Returns:
        (H, W) bool.

    Raises:
        InputError: the file cannot be decoded, has another size, or has values other than 0 and 1, or 0 and 255.
    """
    mask = decode_picture(path, cv2.IMREAD_GRAYSCALE, 'mask')
    check_mask(mask, size, str(path))
    return binary(mask, str(path))
