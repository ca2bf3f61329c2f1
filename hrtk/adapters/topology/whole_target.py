"""Algorithm 1 over the whole target: batches of random frames of random sequences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.parts.crop_reader import CropReader, FrameDraw
from hrtk.adapters.parts.preparing import LearningProcess
from hrtk.adapters.topology.learner import MaskLearner
from hrtk.adapters.topology.targets import SequenceTargets, joined_batch
from hrtk.geometry.boxes import normalise


class WholeTarget(LearningProcess):
    """Learns from the masks of all sequences.

    Args:
        mask_learner: takes the iterations.
        targets: the masks of every sequence.
        batch: frames per iteration.
        tracks: over how many sequences a batch is spread.
        seed: of the drawn frames.
    """

    def __init__(
        self,
        mask_learner: MaskLearner,
        targets: SequenceOf[SequenceTargets],
        batch: int,
        tracks: int,
        seed: int,
    ) -> None:
        super().__init__(mask_learner.learner)
        self.mask_learner = mask_learner
        self.targets = targets
        self.batch = batch
        self.tracks = min(tracks, len(targets))
        self.seed = seed

    def run(self, steps: range) -> Iterator[dict[str, Tensor | Any]]:
        """Takes the iterations with these numbers; yields the losses of each."""
        estimator = self.mask_learner.estimator
        sequences = [target.sequence for target in self.targets]
        draws = itertools.chain.from_iterable(map(self._draw, steps))
        drawn_crops = CropReader(estimator, sequences).read(draws)
        for iteration in steps:
            parts = []
            crops = []
            for draw, part_crops in itertools.islice(drawn_crops, self.tracks):
                parts.append(self.targets[draw.sequence].get(draw.frames))
                crops.append(part_crops)
            batch = joined_batch(normalise(torch.cat(crops)), parts, self.mask_learner.objectives)
            yield self.mask_learner.step(iteration, batch)

    def _draw(self, iteration: int) -> list[FrameDraw]:
        """An iteration's frames, from a generator of its own: they are read ahead of time."""
        random = torch.Generator().manual_seed(self.seed + iteration)
        chosen = torch.randperm(len(self.targets), generator=random)[: self.tracks].tolist()
        draws = []
        for place, index in enumerate(chosen):
            count = self.batch // len(chosen) + (place < self.batch % len(chosen))
            length = len(self.targets[index].sequence)
            frames = torch.randperm(length, generator=random)[: max(count, 1)].tolist()
            draws.append(FrameDraw(index, frames))
        return draws
