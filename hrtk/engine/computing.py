"""The result of one sequence: predictions of the frozen model and of the adapter, and the time of each."""

from __future__ import annotations

import copy
import dataclasses
import random
import time
import zlib
from collections.abc import Callable
from typing import Any, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch

from hrtk.adapters import Adapter
from hrtk.adapters.run import AdapterRun, copied_weights
from hrtk.datasets.ahead import read_ahead
from hrtk.engine.midway import Midway, MidwayStore
from hrtk.engine.preparation import SharedPreparations, StoredPreparation
from hrtk.engine.store import ResultStore
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator, predict_chunks
from hrtk.results import OPTIONAL, PARAMETERS, Result, keypoint_array
from hrtk.structures import Prediction, Sequence


class ResultComputer:
    """Prepares an adapter once, then computes the results of sequences.

    Random numbers are seeded from the run's seed and the name of the sequence, so neither the order, the number of
    processes nor an interruption changes any result.

    Args:
        runner: provides the estimator, the seed and the hooks.
        adapter: adapter to prepare and run.
        dataset: the whole target.
        store: its folder holds the states of the preparation.
        resume: whether stored states are used.
        shared: where the states of the preparation lie, if several runs share them.

    Attributes:
        midway: stores the state inside a sequence.
    """

    def __init__(
        self,
        runner: Any,
        adapter: Adapter,
        dataset: Any,
        store: ResultStore,
        resume: bool,
        shared: Optional[SharedPreparations] = None,
    ) -> None:
        self.runner = runner
        self.adapter = adapter
        self.dataset = dataset
        self.store = store
        self.resume = resume
        self.shared = shared
        self.estimator: Estimator = runner.model
        self.frozen = _frozen_copy(self.estimator)
        self.midway = MidwayStore(store.folder, runner.cfg.get('midway'), resume)
        self._adapter_run: Optional[AdapterRun] = None

    @property
    def is_prepared(self) -> bool:
        """Whether :meth:`prepare` has been called."""
        return self._adapter_run is not None

    def prepare(self, state: Optional[dict[str, Any]]) -> None:
        """Prepares the adapter; all processes call this together.

        Args:
            state: result of :meth:`state_dict` that an interrupted run with ``reset='never'`` stored after its last
                sequence, or None.
        """
        source_weights = copied_weights(self.estimator)
        preparation = StoredPreparation(
            self.store.folder, self.runner, self.adapter.states, self.resume, self.shared
        )
        seed_generators(self.runner.seed, 'prepare')
        weights = self.adapter.prepare(self.estimator, self.dataset, preparation)
        if weights is None:
            weights = source_weights
        else:
            preparation.finish(weights)
        self.runner.call_hook('after_prepare')
        # prepare() may have changed the weights, even if it returned None.
        self.estimator.load_state_dict(weights)
        self.estimator.eval()
        self._adapter_run = AdapterRun(self.adapter, self.estimator)
        if state is not None:
            self._adapter_run.resume(state['estimator'], state['adapter'])

    def compute(self, sequence: Sequence, finished: SequenceOf[str] = ()) -> Result:
        """Predicts a sequence with the frozen model and with the adapter.

        Args:
            sequence: the sequence; if its computation was interrupted, it continues behind the last stored frame.
            finished: names of the sequences that the session has adapted to before, with ``reset='never'``.
        """
        assert self._adapter_run is not None, 'prepare() comes first'
        seed_generators(self.runner.seed, sequence.name)
        progress = self.midway.start(sequence, list(finished))

        def store() -> None:
            self.midway.save(sequence, list(finished), progress)

        with read_ahead(sequence) as read:
            self._predict_frozen(read, progress, store)
            self._adapt(self._adapter_run, read, progress, store)
        before = Prediction.cat(progress.before)
        after = Prediction.cat(progress.after)
        name = type(self.adapter).__name__
        check_finite(before, sequence, 'the start model', 'its weights or the picture are damaged')
        check_finite(after, sequence, name, 'it diverged: lower its learning rate or its steps')
        to_ms_per_frame = 1000 / len(sequence)
        height, width = sequence.frames[0].shape[:2]
        times = None
        if sequence.times is not None:
            times = sequence.times.cpu().numpy()
        counts = dict(self._adapter_run.counts)
        state_bytes = self._adapter_run.state_bytes
        if state_bytes:
            counts['state_bytes'] = state_bytes
        return Result(
            name=sequence.name,
            before=before,
            after=after,
            boxes=sequence.boxes.cpu().numpy(),
            keypoints2d=keypoint_array(sequence),
            keypoints_source=sequence.keypoints2d.source,
            skeleton=sequence.keypoints2d.skeleton,
            frame_ids=tuple(sequence.frame_ids),
            image_size=(width, height),
            fps=float(sequence.fps),
            ms_per_frame=progress.seconds * to_ms_per_frame,
            before_ms_per_frame=progress.before_seconds * to_ms_per_frame,
            report={name: float(value) for name, value in counts.items()},
            focal=sequence.focal,
            times=times,
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns the state that the next sequence depends on with ``reset='never'``."""
        assert self._adapter_run is not None, 'prepare() comes first'
        return dict(estimator=self.estimator.state_dict(), adapter=self._adapter_run.state_dict())

    def _predict_frozen(
        self, sequence: Sequence, progress: Midway, store: Callable[[], None]
    ) -> None:
        """Adds the frozen model's predictions of the frames that it has not predicted yet."""
        start = _synchronised_time()
        for prediction in predict_chunks(self.frozen, sequence, first=progress.frames_before):
            progress.before.append(_stored_parameters(prediction))
            if self.midway.is_due(progress):
                progress.before_seconds += _synchronised_time() - start
                store()
                start = _synchronised_time()
        progress.before_seconds += _synchronised_time() - start

    def _adapt(
        self,
        adapter_run: AdapterRun,
        sequence: Sequence,
        progress: Midway,
        store: Callable[[], None],
    ) -> None:
        """Adds the adapter's predictions of the frames that it has not predicted yet."""
        name = type(self.adapter).__name__
        if progress.adaptation is None:
            predictions = adapter_run.run(sequence)
        else:
            predictions = adapter_run.run_from(sequence, progress.frames, progress.adaptation)
        pending: list[Prediction] = []  # on the device: moving each at once would wait for it
        start = _synchronised_time()
        for index, prediction in enumerate(predictions, progress.frames):
            if not torch.is_grad_enabled():
                raise RuntimeError(
                    f'{name} yields inside torch.no_grad(), which disables gradients for its caller'
                )
            pending.append(_parameters(prediction).detach())
            self.runner.call_hook('after_frame', sequence=sequence, index=index)
            if index + 1 < len(sequence) and self.midway.is_due(progress, len(pending)):
                state = adapter_run.midway_state(index + 1)
                if state is None:
                    continue
                progress.seconds += _synchronised_time() - start
                progress.adaptation = state
                _move(pending, progress.after)
                store()
                start = _synchronised_time()
        progress.seconds += _synchronised_time() - start
        _move(pending, progress.after)
        if progress.frames != len(sequence):
            raise RuntimeError(
                f'{name} gave {progress.frames} predictions for the {len(sequence)} frames of {sequence.name!r}; a '
                f'session yields one per frame'
            )


def seed_generators(seed: int, name: str) -> None:
    """Seeds all generators with the checksum of a run's seed and the name of a sequence."""
    checksum = zlib.crc32(f'{seed}/{name}'.encode())
    random.seed(checksum)
    np.random.seed(checksum)
    torch.manual_seed(checksum)


def _frozen_copy(estimator: Estimator) -> Estimator:
    """Returns a copy of an estimator in evaluation mode whose weights do not require gradients."""
    # The memo entry shares the body model instead of copying it.
    memo = {id(estimator.body): estimator.body}
    frozen = copy.deepcopy(estimator, memo)
    return frozen.eval().requires_grad_(False)


def check_finite(prediction: Prediction, sequence: Sequence, author: str, reason: str) -> None:
    """Refuses predictions that are not finite.

    Args:
        prediction: F predictions.
        sequence: F frames.
        author: of the predictions, for the message.
        reason: end of the message.

    Raises:
        InputError: names the sequence and its first frame with such a value.
    """
    finite = prediction.rotmat.flatten(1).isfinite().all(1)
    finite = finite & prediction.betas.isfinite().all(1) & prediction.camera.isfinite().all(1)
    if bool(finite.all()):
        return
    first = int(torch.nonzero(~finite)[0])
    raise InputError(
        f'{sequence.name}: frame {first} ({sequence.frame_ids[first]}): the prediction of {author} is not finite, and '
        f'those of {int((~finite).sum())} of {len(sequence)} frames are not; {reason}. The result is not stored'
    )


def _move(pending: list[Prediction], stored: list[Prediction]) -> None:
    """Moves predictions, joined to one, to a list of predictions in host memory."""
    if pending:
        stored.append(_stored_parameters(Prediction.cat(pending)))
    pending.clear()


def _synchronised_time() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _parameters(prediction: Prediction) -> Prediction:
    """Returns the body parameters and cameras, without features."""
    return dataclasses.replace(prediction, features=None, hidden=None)


def _stored_parameters(prediction: Prediction) -> Prediction:
    """Returns the parameters as float32 in host memory."""
    stored: dict[str, Any] = {}
    for name in (*PARAMETERS, *OPTIONAL):
        value = getattr(prediction, name)
        if value is not None:
            stored[name] = value.detach().float().cpu()
    return Prediction(**stored)
