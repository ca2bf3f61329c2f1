"""The evidence that a wrapped adapter never sees: some keypoints of every frame, and whole frames."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import SKELETON
from hrtk.body_models.skeletons import index_map
from hrtk.structures import Sequence

FEWEST_LEFT = 6  # visible keypoints that a frame keeps for the losses, so that a whole body is still determined


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Draws the keypoints that the losses do not see.

    Every frame has its own draw, which depends on the seed and on the names of the sequence and of the frame. So a part
    of a sequence, a preparation and a run that was interrupted all hide the same keypoints, and the joints change from
    frame to frame. No random number of the run is used up.

    Args:
        keypoint_share: share of the visible keypoints of a frame; it keeps :data:`FEWEST_LEFT` visible ones.
        frame_share: probability that all keypoints of a frame are held out.
        seed: of the draw.
    """

    keypoint_share: float
    frame_share: float
    seed: int

    def draw(self, sequence: Sequence) -> Tensor:
        """(F, K) bool, on the CPU: held-out keypoints, all of them visible and of use for the losses."""
        usable = usable_keypoints(sequence)
        held = torch.zeros_like(usable)
        for t, name in enumerate(sequence.frame_ids):
            generator = torch.Generator().manual_seed(
                zlib.crc32(f'{self.seed}/{sequence.name}/{name}'.encode())
            )
            visible = torch.nonzero(usable[t]).flatten()
            if float(torch.rand((), generator=generator)) < self.frame_share:
                held[t, visible] = True
                continue
            take = round(self.keypoint_share * len(visible))
            take = max(min(take, len(visible) - FEWEST_LEFT), 0)
            chosen = torch.randperm(len(visible), generator=generator)[:take]
            held[t, visible[chosen]] = True
        return held


class HiddenDataset:
    """A data set whose sequences lack the held-out keypoints and the ground truth; otherwise it is the data set.

    Args:
        dataset: has a length and gives sequences by index.
        held_out: draws the keypoints.
    """

    def __init__(self, dataset: Any, held_out: HeldOut) -> None:
        self._dataset = dataset
        self._held_out = held_out

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sequence:
        sequence = self._dataset[index]
        return without_held_out(sequence, self._held_out.draw(sequence))

    def __iter__(self) -> Iterator[Sequence]:
        for index in range(len(self)):
            yield self[index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == '_dataset':
            raise AttributeError(name)
        return getattr(self._dataset, name)


def usable_keypoints(sequence: Sequence) -> Tensor:
    """(F, K) bool, on the CPU: visible keypoints that a joint of the losses' skeleton is compared with."""
    keypoints = sequence.keypoints2d
    mapped = index_map(keypoints.skeleton, SKELETON, nearest=True)
    used = torch.zeros(keypoints.confidence.shape[1], dtype=torch.bool)
    used[[index for index in mapped if index >= 0]] = True
    return keypoints.visible().cpu() & used


def without_held_out(sequence: Sequence, held: Tensor) -> Sequence:
    """Returns the sequence with confidence 0 and no position at held-out keypoints, and without ground truth.

    Args:
        sequence: F frames with K keypoints.
        held: (F, K) bool.
    """
    return dataclasses.replace(_only(sequence, ~held), truth=None)


def only_held_out(sequence: Sequence, held: Tensor) -> Sequence:
    """Returns the sequence with the held-out keypoints alone: the evidence of the gate."""
    return dataclasses.replace(_only(sequence, held), truth=None)


def _only(sequence: Sequence, shown: Tensor) -> Sequence:
    keypoints = sequence.keypoints2d
    hidden = ~shown.to(keypoints.confidence.device)
    masked = dataclasses.replace(
        keypoints,
        xy=keypoints.xy.masked_fill(hidden[..., None], float('nan')),
        confidence=keypoints.confidence.masked_fill(hidden, 0.0),
    )
    return dataclasses.replace(sequence, keypoints2d=masked)
