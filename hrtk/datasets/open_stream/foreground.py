"""Crops with foreground masks: frames of any data set that has masks, and labelled crops of the free stream."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.datasets.open_stream.tracks import OpenTracks
from hrtk.datasets.open_stream.video import Video
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image
from hrtk.losses.segmentation import IGNORED
from hrtk.registry import DATASETS
from hrtk.silhouettes.masks import crop_mask
from hrtk.structures import Frames, Sequence


@DATASETS.register_module()
class ForegroundViews(Dataset):
    """Frames of sequences as single crops with masks, to train or validate a segmentation network.

    An item is a dict: ``image`` (3, R, R) uint8 RGB and ``mask`` (R, R) uint8 of 0 and 1, or of 255 only if the mask
    cannot be used, see :func:`~hrtk.silhouettes.masks.check_mask`.

    Args:
        dataset: config of a data set of sequences with masks, e.g. one with
            :class:`~hrtk.datasets.transforms.WithMasks`.
        resolution: R, px.
        length: number of frames, evenly spread over the data set; None takes all.

    Raises:
        InputError: a sequence has no masks. A broken mask raises when it is read.
    """

    def __init__(self, dataset: dict, resolution: int = 112, length: Optional[int] = None) -> None:
        self.dataset = DATASETS.build(dataset)
        self.resolution = resolution
        self.sequences: list[Sequence] = [self.dataset[i] for i in range(len(self.dataset))]
        frames: list[tuple[Sequence, Frames, int]] = []
        for sequence in self.sequences:
            if sequence.masks is None:
                raise InputError(
                    f'ForegroundViews: {sequence.name!r} has no masks; add them by '
                    f"dict(type='Transformed', dataset=..., transforms=[dict(type='WithMasks', source=...)])"
                )
            frames += [(sequence, sequence.masks, t) for t in range(len(sequence))]
        if length is None:
            length = len(frames)
        positions = np.linspace(0, len(frames) - 1, min(length, len(frames)))
        self._frames = [frames[position] for position in positions.round().astype(int)]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        sequence, masks, t = self._frames[index]
        image = crop_image(sequence.frames[t], sequence.boxes[t], self.resolution)
        return dict(
            image=image.round().to(torch.uint8),
            mask=_crop_mask(sequence, masks[t], t, self.resolution),
        )

    def fingerprint(self) -> dict[str, str]:
        """The hashes of the data set."""
        return self.dataset.fingerprint()


@DATASETS.register_module()
class OpenForeground(OpenTracks):
    """Tracks of the free stream with exact masks.

    An item is that of :class:`~hrtk.datasets.open_stream.tracks.OpenTracks` and ``mask`` (T, R, R) uint8 of 0 and 1, or
    of 255 only if an occluder hides the person or cuts it in two.

    Args:
        frames: T; few frames, far apart by ``fps``, show more people and scenes.
        fps: frames per second.
        **tracks: arguments of :class:`~hrtk.datasets.open_stream.tracks.OpenTracks`.
    """

    format = 'hrtk-foreground-1'

    def __init__(self, frames: int = 4, fps: float = 1.5, **tracks: Any) -> None:
        super().__init__(frames=frames, fps=fps, **tracks)

    def _label(self, video: Video, sequence: Sequence) -> dict[str, Tensor]:
        item = super()._label(video, sequence)
        masks = [
            _crop_mask(sequence, mask, t, self.resolution) for t, mask in enumerate(video.masks)
        ]
        item['mask'] = torch.stack(masks)
        return item


def _crop_mask(sequence: Sequence, mask: np.ndarray, t: int, resolution: int) -> Tensor:
    """(R, R) uint8 of 0 and 1, or of ``IGNORED`` only if the mask of frame t cannot be used."""
    height, width = sequence.frames[t].shape[:2]
    label = f'{sequence.name}, mask of frame {sequence.frame_ids[t]}'
    cropped, _ = crop_mask(mask, (height, width), sequence.boxes[t], resolution, label)
    if cropped is None:
        return torch.full((resolution, resolution), IGNORED, dtype=torch.uint8)
    return cropped.to(torch.uint8)
