"""Algorithm 1 over the whole target: batches of random frames of random sequences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.parts.crop_reader import CropReader, FrameDraw
from hrtk.adapters.parts.preparing import LearningProcess
from hrtk.adapters.topology.learner import MaskLearner
from hrtk.adapters.topology.targets import SequenceTargets, join_batch


class WholeTargetProcess(LearningProcess):
    """Learns from the masks of all sequences.

    Args:
        mask_learner: performs one iteration on a batch.
        targets: supervision of every sequence.
        batch: frames per iteration.
        tracks: number of sequences per batch.
        seed: seed of frame sampling.
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

    def run(self, steps: range) -> Iterator[dict[str, Tensor]]:
        """Runs the iterations numbered ``steps``; yields the losses of each."""
        estimator = self.mask_learner.estimator
        sequences = [target.sequence for target in self.targets]
        # Flat, so that the reader can prefetch across iterations; each iteration has exactly self.tracks draws.
        draws = itertools.chain.from_iterable(map(self._draw, steps))
        drawn_crops = CropReader(estimator, sequences).read(draws)
        for iteration in steps:
            parts = []
            crops = []
            for draw, part_crops in itertools.islice(drawn_crops, self.tracks):
                parts.append(self.targets[draw.sequence].get(draw.frames))
                crops.append(part_crops)
            # CropReader returns grey levels; the network takes normalised crops.
            normalised_crops = estimator.normalise(torch.cat(crops))
            batch = join_batch(normalised_crops, parts, self.mask_learner.objectives)
            yield self.mask_learner.step(iteration, batch)

    def _draw(self, iteration: int) -> list[FrameDraw]:
        """Samples an iteration's frames.

        Each iteration has its own generator, because the reader prefetches and must not use the global one.
        """
        generator = torch.Generator().manual_seed(self.seed + iteration)
        order = torch.randperm(len(self.targets), generator=generator)
        chosen = order[: self.tracks].tolist()
        share, remainder = divmod(self.batch, len(chosen))
        draws = []
        for i, index in enumerate(chosen):
            count = share
            if i < remainder:
                count += 1
            # A batch with fewer frames than sequences still takes one frame of each.
            count = max(count, 1)
            length = len(self.targets[index].sequence)
            frames = torch.randperm(length, generator=generator)[:count].tolist()
            draws.append(FrameDraw(index, frames))
        return draws
