"""Crops with foreground masks: frames of any data set that has masks, and labelled ones of the free stream."""

from __future__ import annotations

from typing import Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.open_stream.tracks import OpenTracks
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image
from hrtk.geometry.masks import crop_mask
from hrtk.losses.segmentation import IGNORED
from hrtk.registry import DATASETS
from hrtk.structures import Sequence


@DATASETS.register_module()
class ForegroundViews(Dataset):
    """Frames of sequences as single crops with masks, to train a segmenter or to validate it.

    An item is a dict: ``image`` (3, R, R) uint8 RGB and ``mask`` (R, R) uint8: 0, 1, or 255 all over where the mask
    cannot be used, see :func:`~hrtk.geometry.masks.check_mask`.

    Args:
        dataset: config of a data set of sequences with masks, e.g. one with
            :class:`~hrtk.datasets.transforms.WithMasks`.
        resolution: R, px.
        length: only so many frames, evenly spread; None is all.

    Raises:
        InputError: a sequence has no masks; a mask that is broken raises when it is read.
    """

    def __init__(self, dataset: dict, resolution: int = 112, length: Optional[int] = None) -> None:
        self.dataset, self.resolution = DATASETS.build(dataset), resolution
        self.sequences: list[Sequence] = [self.dataset[i] for i in range(len(self.dataset))]
        bare = [sequence.name for sequence in self.sequences if sequence.masks is None]
        if bare:
            raise InputError(
                f'ForegroundViews: {bare[0]!r} has no masks; add them by '
                f"dict(type='Transformed', dataset=..., transforms=[dict(type='WithMasks', source=...)])"
            )
        places = [(i, t) for i, sequence in enumerate(self.sequences) for t in range(len(sequence))]
        count = len(places) if length is None else min(length, len(places))
        self.places = [
            places[k] for k in np.linspace(0, len(places) - 1, count).round().astype(int)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        sequence, t = self.sequences[self.places[index][0]], self.places[index][1]
        return dict(
            image=_image(sequence, t, self.resolution), mask=_mask(sequence, t, self.resolution)
        )

    def fingerprint(self) -> dict[str, str]:
        """That of the data set."""
        return self.dataset.fingerprint()


@DATASETS.register_module()
class OpenForeground(OpenTracks):
    """Tracks of the free stream with exact masks.

    An item is that of :class:`~hrtk.datasets.open_stream.tracks.OpenTracks` and ``mask`` (T, R, R) uint8: 0, 1, or
    255 all over where a board hides the person or cuts it in two.

    Args:
        frames: T; few, and far apart by ``fps``, show more people and scenes.
        fps: frames per second.
        **tracks: of :class:`~hrtk.datasets.open_stream.tracks.OpenTracks`.
    """

    format = 'hrtk-foreground-1'

    def __init__(self, frames: int = 4, fps: float = 1.5, **tracks: object) -> None:
        super().__init__(frames=frames, fps=fps, **tracks)

    def _label(self, sequence: Sequence) -> dict[str, Tensor]:
        masks = [_mask(sequence, t, self.resolution) for t in range(len(sequence))]
        return dict(super()._label(sequence), mask=torch.stack(masks))


def _image(sequence: Sequence, t: int, resolution: int) -> Tensor:
    return crop_image(sequence.frames[t], sequence.boxes[t], resolution).round().to(torch.uint8)


def _mask(sequence: Sequence, t: int, resolution: int) -> Tensor:
    """(R, R) uint8 of 0 and 1, or of 255 alone where the mask cannot be used."""
    mask, _ = crop_mask(
        sequence.masks[t],
        sequence.frames[t].shape[:2],
        sequence.boxes[t],
        resolution,
        f'{sequence.name}, mask of frame {sequence.frame_ids[t]}',
    )
    return (
        torch.full((resolution, resolution), IGNORED, dtype=torch.uint8)
        if mask is None
        else mask.to(torch.uint8)
    )
