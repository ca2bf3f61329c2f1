"""Self-adaptation from foreground masks alone, by aligning silhouettes and their topology.

Rakesh, Kundu, Jampani, Venkatesh Babu, "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery", NeurIPS
2021: Algorithm 1 with its losses L_S and L_T (Eq. 5), the baselines of its Table 4, and fitting alone.
"""

from __future__ import annotations

import itertools
from typing import Any, Iterator, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter, Preparation
from hrtk.adapters.parts.crop_reader import Batch, CropReader
from hrtk.adapters.parts.posed import SKELETON
from hrtk.adapters.parts.progress import Progress
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.topology.learner import MaskLearner, Schedule
from hrtk.adapters.topology.objectives import MaskBatch, MaskObjectives
from hrtk.adapters.topology.pose_space import PoseSpace
from hrtk.adapters.topology.targets import MaskTargets
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.losses.topology import silhouette_target
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.models.priors import PoseAutoEncoder
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction, Sequence

MODES = ('set', 'online', 'fit')


@ADAPTERS.register_module()
class TopologyAdapter(Adapter):
    """Learns from masks, without labels; 2D keypoints can be added.

    Of ``every`` iterations all but one move the network's weights down L_S, and then, after another forward pass, down
    L_T, with an Adam each. The remaining one fits the batch's bodies to their masks from where the network puts them,
    keeps for each the best that was passed, and moves the weights, by a third Adam, towards those that got better.
    Frames whose mask is empty, full or shows two people are left out and counted.

    Args:
        mode: ``'set'``: Algorithm 1 over the whole target before anything is predicted, as the paper; ``'online'``:
            over ``batch`` frames of a sequence at a time, in order; ``'fit'``: the weights stay, the fitted bodies are
            the predictions.
        iterations: of Algorithm 1: in all, or for every batch of the mode ``'online'``. 0 shows what the prior alone
            does to the predictions.
        batch: frames per iteration; 16 in the paper.
        tracks: over how many tracks a batch of the mode ``'set'`` is spread.
        every: K of Algorithm 1, 4; 0 never fits.
        fitting_steps: 10 in the paper; the mode ``'fit'`` wants more.
        fitting_rate: of Adam on the bodies. The paper's one rate, 1e-6, cannot be meant: ten steps would move nothing.
        lr: of the network's Adams; 1e-6 in the paper (ResNet-50).
        adam_betas: Adam's, torch's defaults; the paper is silent.
        silhouette: the loss on silhouettes: ``'chamfer'``, L_S; ``'l2'``, B1 of Table 4; None.
        topology: the loss on skeletons: ``'chamfer'``, L_T; ``'l2'``, B3; None.
        weights: factors that differ from ``silhouette`` 1, ``topology`` 1, ``betas`` 1e-3 (pull to the mean shape, as
            SPIN), ``fit`` 1 (of L_Theta), and ``keypoints2d`` 0, of the squared reprojection error of 2D keypoints:
            alone A1 of Table 5, with L_S A2.
        grad: of :func:`~hrtk.losses.topology_loss`.
        prior: weights of the :class:`~hrtk.models.priors.PoseAutoEncoder` through which every pose goes, ``'open'``, a
            file, or None: poses are free.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        reset: of :class:`~hrtk.adapters.base.Adapter`.
        save_every: iterations between states that an interrupted run of the mode ``'set'`` continues from.

    Raises:
        InputError: an option has another value, or there is no loss.
    """

    def __init__(
        self,
        mode: str = 'set',
        iterations: int = 400,
        batch: int = 16,
        tracks: int = 4,
        every: int = 4,
        fitting_steps: int = 10,
        fitting_rate: float = 1e-2,
        lr: float = 1e-6,
        adam_betas: tuple[float, float] = (0.9, 0.999),
        silhouette: Optional[str] = 'chamfer',
        topology: Optional[str] = 'chamfer',
        weights: Optional[dict[str, float]] = None,
        grad: str = 'material',
        prior: Optional[str] = 'open',
        parameters: str = 'all',
        reset: str = 'sequence',
        save_every: int = 50,
    ) -> None:
        super().__init__(reset)
        if mode not in MODES:
            raise InputError(f'TopologyAdapter: mode is one of {MODES}, not {mode!r}')
        if min(batch, tracks) < 1 or min(iterations, every, fitting_steps) < 0:
            raise InputError(
                f'TopologyAdapter: batch and tracks are at least 1, iterations, every and fitting_steps '
                f'0; not {batch}, {tracks}, {iterations}, {every} and {fitting_steps}'
            )
        self.objectives = MaskObjectives(silhouette, topology, weights, grad)
        self.space = PoseSpace(PoseAutoEncoder(weights=prior) if prior is not None else None)
        self.schedule = Schedule(
            every, fitting_steps, fitting_rate, lr, tuple(adam_betas), parameters
        )
        self.pointed = 'keypoints2d' in self.objectives.names
        self.mode, self.iterations, self.save_every = mode, iterations, save_every
        self.batch, self.tracks = batch, tracks
        self._learner: Optional[MaskLearner] = None
        self._report: dict[str, float] = {}
        self._restored: Optional[dict[str, Any]] = None

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Optional[Preparation] = None
    ) -> Optional[dict[str, Tensor]]:
        """Adapts to the whole target, in the mode ``'set'``, and returns the weights."""
        if self.mode != 'set' or self.iterations == 0:
            return None
        preparation = preparation or Preparation()
        finished = preparation.result()
        if finished is not None:
            return finished
        seed = torch.initial_seed()
        sequences = [dataset[i] for i in range(len(dataset))]
        masks = self._masks(estimator, sequences, preparation)
        points = (
            [self._points(estimator, sequence) for sequence in sequences] if self.pointed else []
        )
        learner = self._begin(estimator)
        progress = Progress(preparation, learner, self.iterations, self.save_every)
        draws = (draw for iteration in progress for draw in self._draw(sequences, seed + iteration))
        reader = CropReader(estimator, sequences).read(draws)
        for iteration in progress:
            parts = list(itertools.islice(reader, min(self.tracks, len(sequences))))
            crops = normalise(torch.cat([crops for _, crops in parts]))
            found, usable = zip(*(masks[which].get(frames) for (which, frames), _ in parts))
            seen = (
                tuple(
                    torch.cat(part)
                    for part in zip(
                        *(
                            [values[frames] for values in points[which]]
                            for (which, frames), _ in parts
                            if points
                        )
                    )
                )
                or None
            )
            batch = self._batch(crops, torch.cat(found), torch.cat(usable), seen)
            losses = learner.step(iteration, batch)
            progress.finish(iteration, **losses)
        return progress.weights()

    def adapt(self, estimator: Estimator, sequence: Sequence) -> Iterator[Prediction]:
        """Yields predictions through the prior, after what the mode does with the frames."""
        estimator.eval()
        self._place(estimator)
        if self.mode != 'set' and (self._learner is None or self.reset != 'never'):
            self._begin(estimator).resume(self._restored)
            self._restored = None
        learner, masks = (
            self._learner,
            MaskTargets(sequence, estimator.resolution, estimator.device),
        )
        points = self._points(estimator, sequence) if self.pointed and self.mode != 'set' else ()
        improved = []
        for start in range(0, len(sequence), self.batch):
            chunk = range(start, min(start + self.batch, len(sequence)))
            crops = estimator.crops(sequence, chunk)
            if self.mode != 'set':
                found, usable = masks.get(chunk)
                seen = tuple(part[chunk.start : chunk.stop] for part in points) or None
                batch = self._batch(crops, found, usable, seen)
                if self.reset == 'frame':
                    learner.restart()
            for iteration in range(self.iterations if self.mode == 'online' else 0):
                learner.step(iteration, batch)
            with torch.no_grad():
                theta = self.space.theta(estimator(crops))
            if self.mode == 'fit':
                theta, better = learner.fit(theta, batch)
                improved.append(better)
            with torch.no_grad():
                prediction = self.space.prediction(theta)
            for i in range(len(chunk)):
                yield prediction[i : i + 1]
        self._report = {'skipped_masks': float(sum(masks.skipped.values()))}
        if learner is not None:
            self._report['skipped_updates'] = float(learner.skipped)
        if improved:
            self._report['improved_by_fitting'] = float(torch.cat(improved).float().mean())

    def report(self) -> dict[str, float]:
        """Of the last sequence: ``skipped_masks``, frames whose mask was not usable; ``skipped_updates``, steps that
        were not finite; and in the mode ``'fit'`` ``improved_by_fitting``, the share of frames."""
        return self._report

    def state_dict(self) -> dict[str, Any]:
        """The Adams' moments, for ``reset='never'``."""
        return self._learner.state_dict(0) if self._learner is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the state back; used when the next sequence begins."""
        self._restored = state or None

    def fingerprint(self) -> dict[str, str]:
        """A hash of the prior's weights."""
        return (
            {}
            if self.space.prior is None
            else {'pose_prior': hash_tensors(self.space.prior.state_dict())}
        )

    def _begin(self, estimator: Estimator) -> MaskLearner:
        self._place(estimator)
        self._learner = MaskLearner(estimator, self.space, self.objectives, self.schedule)
        return self._learner

    def _place(self, estimator: Estimator) -> None:
        if self.space.prior is not None:
            self.space.prior.to(estimator.device)

    def _batch(
        self, crops: Tensor, masks: Tensor, usable: Tensor, points: Optional[tuple]
    ) -> MaskBatch:
        target = silhouette_target(masks) if self.objectives.masked else None
        return MaskBatch(crops, target, usable, points)

    @staticmethod
    def _points(estimator: Estimator, sequence: Sequence) -> tuple[Tensor, Tensor]:
        return crop_targets(sequence, SKELETON, device=estimator.device)

    @staticmethod
    def _masks(
        estimator: Estimator, sequences: list[Sequence], preparation: Preparation
    ) -> list[MaskTargets]:
        """Every mask, read before the background thread has the frames for itself."""
        masks = [
            MaskTargets(sequence, estimator.resolution, estimator.device) for sequence in sequences
        ]
        usable = 0
        for number, of_track in enumerate(masks, 1):
            usable += sum(int(of_track.get([t])[1]) for t in range(len(of_track.sequence)))
            preparation.step(number, len(masks), usable_masks=usable)
        if not usable:
            raise InputError(
                'TopologyAdapter: no frame of the target has a usable mask: '
                + ', '.join(f'{of_track.sequence.name} {of_track.skipped}' for of_track in masks)
            )
        return masks

    def _draw(self, sequences: list[Sequence], seed: int) -> Iterator[Batch]:
        """An iteration's frames; from a generator of its own, since it is asked ahead of time."""
        random = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(sequences), generator=random)[: self.tracks].tolist()
        for place, which in enumerate(chosen):
            count = self.batch // len(chosen) + (place < self.batch % len(chosen))
            yield (
                which,
                torch.randperm(len(sequences[which]), generator=random)[: max(count, 1)].tolist(),
            )
