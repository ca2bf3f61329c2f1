"""Masks from files, one per frame."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from hrtk.datasets.mask_sources.base import LazyMasks, MaskSource
from hrtk.errors import InputError
from hrtk.geometry.masks import binary, check_mask
from hrtk.registry import MASK_SOURCES
from hrtk.structures import Frames, Sequence


@MASK_SOURCES.register_module()
class MaskFiles(MaskSource):
    """Pictures of 0 and 255 (or 0 and 1), as large as the frames.

    Args:
        folder: where they lie.
        pattern: path below the folder, with ``{id}`` for the frame's label without suffix, ``{name}`` for the
            sequence's name and ``{index}`` for the frame's position, e.g. ``'{name}/{index:06d}.png'``.

    Raises:
        InputError: the folder does not exist or the pattern has other fields.
    """

    def __init__(self, folder: str | Path, pattern: str = '{id}.png') -> None:
        super().__init__('files')
        self.folder, self.pattern = Path(folder), pattern
        if not self.folder.is_dir():
            raise InputError(
                f'MaskFiles: {self.folder}: there is no such folder; set `folder` to that of the masks'
            )
        try:
            paths = {
                pattern.format(id=label, name=label, index=index)
                for index, label in enumerate('ab')
            }
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(
                f'MaskFiles: pattern={pattern!r} cannot be filled in ({error}); it may use {{id}}, '
                f"{{name}} and {{index}}, e.g. '{{name}}/{{index:06d}}.png'"
            ) from error
        if len(paths) < 2:
            raise InputError(
                f'MaskFiles: pattern={pattern!r} names the same file for every frame; use {{id}} or '
                f'{{index}}'
            )

    def masks(self, sequence: Sequence) -> Frames:
        """Reads a file when its mask is asked for; empty and full ones are passed on, see :func:`check_mask`.

        Raises:
            InputError: a file is missing; or, when it is read, no picture, of another size than its frame, or not
                binary.
        """
        paths = [self.path(sequence, t) for t in range(len(sequence))]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise InputError(
                f'{missing[0]}: there is no such mask ({len(missing)} of {len(paths)} are missing); write '
                f'one for every frame of {sequence.name!r}, an empty one where nobody is seen, or change '
                f'the pattern {self.pattern!r}'
            )
        return LazyMasks(len(paths), lambda t: read_mask(paths[t], sequence.frames[t].shape[:2]))

    def fingerprint(self) -> dict[str, str]:
        """A hash over the names and contents of all files in the folder."""
        digest = hashlib.sha256()
        for file in sorted(file for file in self.folder.rglob('*') if file.is_file()):
            digest.update(file.relative_to(self.folder).as_posix().encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return {'masks': digest.hexdigest()}

    def path(self, sequence: Sequence, t: int) -> Path:
        """The file of frame t."""
        label = Path(sequence.frame_ids[t])
        return self.folder / self.pattern.format(
            id=label.stem if label.suffix else label.name, name=sequence.name, index=t
        )


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """One mask as (H, W) bool; grey values of a picture with several channels, its alpha is dropped.

    Raises:
        InputError: it cannot be decoded, is not of this size (H, W), or has values other than 0 and 1, or 0 and 255.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    mask = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if mask is None:
        raise InputError(
            f'{path}: OpenCV cannot decode this mask ({len(data)} bytes); write it as PNG again'
        )
    check_mask(mask, size, str(path))
    return binary(mask, str(path))
