"""Base classes of preparations: an interrupted one resumes and gives bit-identical results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter, Preparation, PreparationStep
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.lora import merge_lora, merged_weights
from hrtk.adapters.run import copied_weights
from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence

PROGRESS = 'progress'


class LearningProcess:
    """The steps of one preparation.

    The random numbers of a step must depend only on the seed and the index of the step, so that a resumed run draws the
    same ones.

    Args:
        learner: the weights that the steps change, with their optimisers.
        total_steps: number of steps; None is the adapter's.
    """

    def __init__(self, learner: Learner, total_steps: Optional[int] = None) -> None:
        self.learner = learner
        self.total_steps = total_steps

    def run(self, steps: range) -> Iterator[dict[str, Any]]:
        """Runs the steps numbered ``steps``; yields the values to report after each, e.g. the loss."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparingAdapter(Adapter):
    """An adapter that learns from the whole target before anything is predicted.

    A subclass defines the number of steps and the :class:`LearningProcess` that runs them. States are stored between
    steps, an interrupted preparation resumes from the last one, and a finished one is not computed again.

    Args:
        save_every: steps between two stored states.
        reset: when a new session starts, see :class:`~hrtk.adapters.base.Adapter`.

    Attributes:
        length_option: the option that is the number of steps, if a longer preparation is the same as a shorter one that
            goes on: no step depends on the number of all steps. Runs that differ in it alone can share one preparation.
    """

    length_option: ClassVar[Optional[str]] = None
    save_every: int = 50

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole preparation; 0 leaves the weights unchanged."""
        raise NotImplementedError

    def begin(
        self,
        estimator: Estimator,
        sequences: SequenceOf[Sequence],
        preparation: Preparation,
        seed: int,
    ) -> LearningProcess:
        """Reads the supervision and returns the learning process.

        Args:
            estimator: network with the start weights.
            sequences: the whole target.
            preparation: stores additional states and reports progress.
            seed: seed of all random numbers.
        """
        raise NotImplementedError

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that :meth:`prepare` stores."""
        return (PROGRESS,)

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Preparation
    ) -> Optional[dict[str, Tensor]]:
        """Runs all steps and returns the adapted weights; None if there are no steps."""
        if self.total_steps == 0:
            return None
        finished = preparation.result()
        if finished is not None:
            return finished
        seed = torch.initial_seed()
        sequences = [dataset[index] for index in range(len(dataset))]
        process = self.begin(estimator, sequences, preparation, seed)
        total = process.total_steps
        if total is None:
            total = self.total_steps
        first = _resume(process.learner, preparation)
        steps = range(first, total)
        for step, numbers in zip(steps, process.run(steps)):
            done = step + 1
            if done == total or done % self.save_every == 0:
                _save(process.learner, done, preparation)
            if preparation.wants(done):
                preparation.keep(done, merged_weights(estimator))
            preparation.report(PreparationStep('adapt', done, total, numbers))
        merge_lora(estimator)
        estimator.requires_grad_(False).zero_grad(set_to_none=True)
        return copied_weights(estimator)


def _resume(learner: Learner, preparation: Preparation) -> int:
    """Loads the last stored state, if one exists, and returns the number of finished steps."""
    state = preparation.load(PROGRESS)
    if state is None:
        return 0
    learner.estimator.load_state_dict(state['estimator'])
    learner.load_state_dict(state['optimisers'])
    return state['steps']


def _save(learner: Learner, steps: int, preparation: Preparation) -> None:
    state = dict(
        steps=steps,
        estimator=learner.estimator.state_dict(),
        optimisers=learner.state_dict(),
    )
    preparation.save(PROGRESS, state)
