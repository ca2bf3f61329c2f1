"""Reads the crops of many frames: random ones in the background, while the network computes, or all at once."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence

READ_AHEAD = 3  # batches
AT_ONCE = 32  # crops in one call of the estimator


class FrameDraw(NamedTuple):
    """Frames of one sequence.

    Attributes:
        sequence: its index in the target.
        frames: indices of the frames.
    """

    sequence: int
    frames: list[int]


class CropReader:
    """Reads crops in a background thread, a few batches ahead, and caches crops up to a memory limit.

    Args:
        estimator: defines the crops.
        sequences: the target.
        memory: size limit of the cache, in bytes.
    """

    def __init__(
        self, estimator: Estimator, sequences: SequenceOf[Sequence], memory: int = 2**30
    ) -> None:
        self.estimator = estimator
        self.sequences = sequences
        self.memory = memory
        self._crops: dict[tuple[int, int], Tensor] = {}

    def read(self, draws: Iterable[FrameDraw]) -> Iterator[tuple[FrameDraw, Tensor]]:
        """Yields each draw with its crops (B, 3, R, R), grey levels in [0, 255].

        Raises:
            InputError: a frame cannot be read.
        """
        pending: collections.deque[tuple[FrameDraw, Future]] = collections.deque()
        with ThreadPoolExecutor(max_workers=1) as thread:
            try:
                for draw in draws:
                    pending.append((draw, thread.submit(self._read, draw)))
                    if len(pending) > READ_AHEAD:
                        yield _finished(pending)
                while pending:
                    yield _finished(pending)
            finally:
                for _, future in pending:
                    future.cancel()

    @torch.no_grad()  # the gradient mode is set per thread
    def _read(self, draw: FrameDraw) -> Tensor:
        fresh = self._read_new(draw)
        crops = []
        for frame in draw.frames:
            crop = fresh.get(frame)
            if crop is None:
                crop = self._crops[draw.sequence, frame]
            crops.append(crop)
        for frame, crop in fresh.items():
            self.memory -= crop.nbytes
            if self.memory >= 0:
                self._crops[draw.sequence, frame] = crop
        return torch.stack(crops)

    def _read_new(self, draw: FrameDraw) -> dict[int, Tensor]:
        """Reads the crops that are not cached; returns them by frame."""
        new = [frame for frame in draw.frames if (draw.sequence, frame) not in self._crops]
        if not new:
            return {}
        crops = self.estimator.crops(self.sequences[draw.sequence], new)
        return dict(zip(new, self.estimator.denormalise(crops)))


@torch.no_grad()
def read_crops(estimator: Estimator, sequence: Sequence, frames: SequenceOf[int]) -> Tensor:
    """Returns the network's inputs of B frames, (B, 3, R, R), on the estimator's device.

    Raises:
        InputError: a frame cannot be read.
    """
    chunks = []
    for start in range(0, len(frames), AT_ONCE):
        chunks.append(estimator.crops(sequence, frames[start : start + AT_ONCE]))
    return torch.cat(chunks)


def _finished(
    pending: collections.deque[tuple[FrameDraw, Future]],
) -> tuple[FrameDraw, Tensor]:
    draw, future = pending.popleft()
    return draw, future.result()
