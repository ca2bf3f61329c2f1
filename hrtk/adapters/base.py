"""The base classes of adapters: adapters hold options, which never change, and sessions hold all mutable state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Optional, get_args

import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.estimators import Estimator, predict_frames
from hrtk.options import check_options
from hrtk.structures import Prediction, Sequence

Reset = Literal['frame', 'sequence', 'never']
RESETS: tuple[str, ...] = get_args(Reset)

Stage = Literal['labels', 'masks', 'validation', 'adapt']


@dataclasses.dataclass(frozen=True)
class PreparationStep:
    """Progress of a preparation; hooks receive it as ``after_prepare_step(runner, step)``.

    Attributes:
        stage: ``'labels'`` while a teacher labels frames, ``'masks'`` while masks are read, ``'validation'``
            while videos are left out to choose an option, ``'adapt'`` while weights change.
        done: number of finished steps of this stage.
        total: number of all steps of this stage.
        numbers: values to show, e.g. the loss; a value may be a tensor of one element on the device.
    """

    stage: Stage
    done: int
    total: int
    numbers: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Preparation:
    """Stores the states of :meth:`Adapter.prepare` and reports its progress.

    This base class does neither. A run uses :class:`hrtk.engine.preparation.StoredPreparation`, which does both.
    """

    def result(self) -> Optional[dict[str, Tensor]]:
        """Returns the prepared weights of an earlier, finished run of the same configuration, or None."""
        return None

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """Returns the state that an earlier, interrupted run of the same configuration stored, or None."""
        return None

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Stores tensors and plain types under one of the names in :attr:`Adapter.states`."""

    def wants(self, steps: int) -> bool:
        """Whether the weights after this number of steps are the result of another run, see :meth:`keep`."""
        return False

    def keep(self, steps: int, weights: dict[str, Tensor]) -> None:
        """Stores the weights after a number of steps for the run that ends there."""

    def report(self, step: PreparationStep) -> None:
        """Reports the progress."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much a session does for one frame of a stream.

    Attributes:
        steps: number of steps, or the largest number where the method itself ends them; 0 predicts with the present
            weights.
        order: of a bilevel step, ``'first'`` or ``'second'``; empty where there is no choice.
    """

    steps: int
    order: str = ''


FROZEN = Effort(0)


class Session:
    """An estimator under adaptation, with the adapter's state, e.g. optimiser moments.

    A session begins with the weights that the estimator has at that moment. :attr:`Adapter.reset` defines how long a
    session lasts; a session never resets itself.

    Attributes:
        last_steps: number of steps that the last :meth:`push` took: fewer than asked where the method ends them itself,
            and 0 where nothing of the person was seen.
    """

    last_steps: int = 0

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields one prediction of batch size one per frame, in the order of the frames.

        The weights may change before each ``yield``. Never ``yield`` inside ``torch.no_grad()``: the caller would
        inherit it.
        """
        raise NotImplementedError

    @property
    def counts(self) -> Mapping[str, int | float]:
        """Counts of the last sequence, stored with its result.

        An int is a total, such as the number of skipped updates; a float is a mean over frames.
        """
        return {}

    @property
    def state_bytes(self) -> int:
        """Bytes that a user has to keep for each person under adaptation: weights that change, moments, teachers.

        What all sequences share is not counted: the other weights, labelled crops, caches. 0 where nothing changes.
        """
        return 0

    def state_dict(self) -> dict[str, Any]:
        """Returns the state that the next sequence depends on, without the estimator's weights (``reset='never'``)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """Returns the state inside a sequence, from which :meth:`run_from` continues.

        Called while :meth:`run` waits at a ``yield``.

        Args:
            done: number of frames of the sequence that are predicted.

        Returns:
            Tensors and plain types, without the estimator's weights and the random generators, which the run stores;
            None, the default, where the session cannot continue behind this frame: after a kill, the run goes back to
            an earlier frame, or to the start of the sequence.
        """
        return None

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Yields the predictions of the frames behind the first ``done``, as :meth:`run` would have done.

        The session began with the weights with which the interrupted one began, and the estimator has the weights of
        the interruption.

        Args:
            sequence: all its frames.
            done: number of frames that were predicted before the interruption.
            state: result of :meth:`midway_state`.
        """
        raise NotImplementedError

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """What :meth:`push` can do for a frame, that of the options first, the least last."""
        return (FROZEN,)

    def push(self, sequence: Sequence, effort: Optional[Effort] = None) -> Prediction:
        """Predicts the next frame of a stream whose later frames are not known yet.

        With the efforts of the options, the frames of a sequence give the digits of :meth:`run`.

        Args:
            sequence: its last frame is the new one; frames before it are for estimators that see a window of time.
            effort: one of :attr:`efforts`; None is the first of them.

        Raises:
            InputError: the method needs a whole sequence.
        """
        raise InputError(
            f'{type(self).__name__} needs a whole sequence and cannot follow a stream; use Bilevel (e.g. boa/r18_wild) '
            f'or no adaptation'
        )

    def stream_state(self) -> dict[str, Any]:
        """Returns the state between two calls of :meth:`push`, tensors and plain types, without the weights."""
        return {}

    def load_stream(self, state: Mapping[str, Any]) -> None:
        """Continues a stream; the estimator has the weights of the moment of :meth:`stream_state`."""


class FrozenSession(Session):
    """Predicts with unchanged weights.

    Args:
        estimator: network whose weights stay unchanged.
        batch_size: frames per forward pass.
    """

    def __init__(self, estimator: Estimator, batch_size: int = 32) -> None:
        self.estimator = estimator.eval()
        self.batch_size = batch_size

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the prediction of every frame."""
        return self.run_from(sequence, 0, {})

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """An empty state between two batches; None inside a batch, and for a subclass that replaces :meth:`run`."""
        if done % self.batch_size or type(self).run is not FrozenSession.run:
            return None
        return {}

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Yields the predictions of the frames behind the first ``done``."""
        return predict_frames(self.estimator, sequence, self.batch_size, done)

    def push(self, sequence: Sequence, effort: Optional[Effort] = None) -> Prediction:
        """Predicts the last frame of the sequence; a subclass that replaces :meth:`run` has no streams."""
        if type(self).run is not FrozenSession.run:
            return super().push(sequence, effort)
        return predict(self.estimator, self.estimator.crops(sequence, [len(sequence) - 1]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapter:
    """Options of a method that improves an estimator on its target.

    A subclass is also a frozen dataclass, whose fields are the options of its config. It implements :meth:`prepare`
    (adapts to the whole target before anything is predicted), :meth:`start` (adapts to each sequence while predicting
    it), or both.

    Args:
        reset: when a new session starts, from the start weights: ``'sequence'``, at every sequence; ``'frame'``, at
            every frame, for images that are not a video; ``'never'``, one session for all sequences (as in the code of
            BOA and DynaBOA), which makes results depend on the order of the sequences and requires one process.

    Attributes:
        uses_camera: whether predictions depend on the focal length of the sequence.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    uses_camera: ClassVar[bool] = False
    reset: Reset = 'sequence'

    def __init_subclass__(cls) -> None:
        if 'adapt' in vars(cls):
            raise TypeError(
                f'{cls.__name__}.adapt() is the interface of hrtk 0.1; since 0.2 an adapter implements '
                f'start(estimator) -> Session, see docs/en/moving_from_0_1.md'
            )

    def __post_init__(self) -> None:
        check_options(type(self), vars(self), type(self).__name__)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that :meth:`prepare` stores."""
        return ()

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Preparation
    ) -> Optional[dict[str, Tensor]]:
        """Adapts to the whole target before any sequence is predicted.

        Random numbers are seeded before the call, with the same seed in every process.

        Args:
            estimator: network to adapt; its weights may be changed in place.
            dataset: every sequence of the target.
            preparation: stores the states of long work and reports its progress.

        Returns:
            A state dict of the estimator that every session starts from, or None to restore the weights
            from before the call.
        """
        return None

    def start(self, estimator: Estimator) -> Session:
        """Starts a session with the estimator's present weights; by default the session leaves them unchanged."""
        return FrozenSession(estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the files that the results depend on besides the config."""
        return {}


@torch.no_grad()
def predict(estimator: Estimator, images: Tensor) -> Prediction:
    """Predicts without a graph; use this in a session's ``run`` in place of ``torch.no_grad()``."""
    return estimator(images)
