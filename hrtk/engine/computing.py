"""The result of one sequence: predictions of the frozen model and of the adapter, and the time of each."""

from __future__ import annotations

import copy
import dataclasses
import random
import time
import zlib
from typing import Any, Optional

import numpy as np
import torch

from hrtk.adapters import Adapter
from hrtk.adapters.run import AdapterRun, copied_weights
from hrtk.engine.preparation import SharedPreparations, StoredPreparation
from hrtk.engine.store import ResultStore
from hrtk.models.estimators import Estimator, predict_sequence
from hrtk.results import Result, keypoint_array
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
        self._seed('prepare')
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

    def compute(self, sequence: Sequence) -> Result:
        """Predicts a sequence with the frozen model and with the adapter."""
        assert self._adapter_run is not None, 'prepare() comes first'
        self._seed(sequence.name)
        start = _synchronised_time()
        before = predict_sequence(self.frozen, sequence)
        adaptation_start = _synchronised_time()
        after = self._adapt(self._adapter_run, sequence)
        end = _synchronised_time()
        to_ms_per_frame = 1000 / len(sequence)
        height, width = sequence.frames[0].shape[:2]
        counts = self._adapter_run.counts
        return Result(
            name=sequence.name,
            before=_stored_parameters(before),
            after=_stored_parameters(after),
            boxes=sequence.boxes.cpu().numpy(),
            keypoints2d=keypoint_array(sequence),
            keypoints_source=sequence.keypoints2d.source,
            skeleton=sequence.keypoints2d.skeleton,
            frame_ids=tuple(sequence.frame_ids),
            image_size=(width, height),
            fps=float(sequence.fps),
            ms_per_frame=(end - adaptation_start) * to_ms_per_frame,
            before_ms_per_frame=(adaptation_start - start) * to_ms_per_frame,
            report={name: float(value) for name, value in counts.items()},
            focal=sequence.focal,
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns the state that the next sequence depends on with ``reset='never'``."""
        assert self._adapter_run is not None, 'prepare() comes first'
        return dict(estimator=self.estimator.state_dict(), adapter=self._adapter_run.state_dict())

    def _adapt(self, adapter_run: AdapterRun, sequence: Sequence) -> Prediction:
        name = type(self.adapter).__name__
        predictions = []
        for index, prediction in enumerate(adapter_run.run(sequence)):
            if not torch.is_grad_enabled():
                raise RuntimeError(
                    f'{name} yields inside torch.no_grad(), which disables gradients for its caller'
                )
            predictions.append(_parameters(prediction).detach())
            self.runner.call_hook('after_frame', sequence=sequence, index=index)
        count = sum(map(len, predictions))
        if count != len(sequence):
            raise RuntimeError(
                f'{name} gave {count} predictions for the {len(sequence)} frames of {sequence.name!r}; a session '
                f'yields one per frame'
            )
        return Prediction.cat(predictions)

    def _seed(self, name: str) -> None:
        seed = zlib.crc32(f'{self.runner.seed}/{name}'.encode())
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def _frozen_copy(estimator: Estimator) -> Estimator:
    """Returns a copy of an estimator in evaluation mode whose weights do not require gradients."""
    # The memo entry shares the body model instead of copying it.
    memo = {id(estimator.body): estimator.body}
    frozen = copy.deepcopy(estimator, memo)
    return frozen.eval().requires_grad_(False)


def _synchronised_time() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _parameters(prediction: Prediction) -> Prediction:
    """Returns the body parameters and cameras, without features."""
    return dataclasses.replace(prediction, features=None, hidden=None)


def _stored_parameters(prediction: Prediction) -> Prediction:
    """Returns the parameters as float32 in host memory."""
    spread = prediction.joint_spread
    if spread is not None:
        spread = spread.detach().float().cpu()
    return Prediction(
        prediction.rotmat.float().cpu(),
        prediction.betas.float().cpu(),
        prediction.camera.float().cpu(),
        joint_spread=spread,
    )
