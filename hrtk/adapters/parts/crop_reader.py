"""Random crops of a target, read while the network computes."""

from __future__ import annotations

import collections
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Iterable, Iterator
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.geometry.boxes import denormalise
from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence

Batch = tuple[int, list[int]]  # which sequence, which of its frames
AHEAD = 3


class CropReader:
    """Reads batches of crops in a background thread, a few ahead, and remembers crops as far as memory allows.

    Args:
        estimator: says how a frame becomes a crop.
        sequences: the target.
        memory: bytes of crops that are kept for when a frame is drawn again.
    """

    def __init__(
        self, estimator: Estimator, sequences: SequenceOf[Sequence], memory: int = 2**30
    ) -> None:
        self.estimator, self.sequences, self.memory = estimator, sequences, memory
        self._known: dict[tuple[int, int], Tensor] = {}

    def read(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor]]:
        """Yields each batch with its crops (B, 3, R, R), grey levels in [0, 255].

        Raises:
            InputError: a frame cannot be read.
        """
        pending: collections.deque[tuple[Batch, Future]] = collections.deque()
        with ThreadPoolExecutor(max_workers=1) as reader:
            try:
                for batch in batches:
                    pending.append((batch, reader.submit(self._crops, *batch)))
                    if len(pending) > AHEAD:
                        yield pending[0][0], pending.popleft()[1].result()
                while pending:
                    yield pending[0][0], pending.popleft()[1].result()
            finally:
                for _, future in pending:
                    future.cancel()

    @torch.no_grad()  # a mode of each thread
    def _crops(self, which: int, frames: list[int]) -> Tensor:
        new = [t for t in frames if (which, t) not in self._known]
        fresh = (
            dict(zip(new, denormalise(self.estimator.crops(self.sequences[which], new))))
            if new
            else {}
        )
        crops = [fresh[t] if t in fresh else self._known[which, t] for t in frames]
        for t, crop in fresh.items():
            self.memory -= crop.nbytes
            if self.memory >= 0:
                self._known[which, t] = crop
        return torch.stack(crops)
