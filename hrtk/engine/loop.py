"""AdaptLoop: sequence by sequence through the adapter, resuming from what is stored."""

from __future__ import annotations

import copy
import random
import time
import zlib
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.runner import BaseLoop
from torch import nn

from hrtk.adapters import RESETS
from hrtk.engine.preparation import StoredPreparation
from hrtk.engine.store import ResultStore
from hrtk.engine.versions import versions
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS, LOOPS
from hrtk.results import Result, keypoint_array
from hrtk.structures import Prediction, Sequence
from hrtk.version import __version__


@torch.no_grad()
def predict_sequence(estimator: nn.Module, sequence: Sequence, batch_size: int = 32) -> Prediction:
    """Runs an estimator over all frames of a sequence, without gradients and in the mode it is in.

    Args:
        estimator: with ``crops`` and a forward that returns a :class:`Prediction`.
        sequence: F frames.
        batch_size: frames at once.

    Returns:
        F predictions on the estimator's device.
    """
    starts = range(0, len(sequence), batch_size)
    return Prediction.cat(
        [
            estimator(estimator.crops(sequence, range(t, min(t + batch_size, len(sequence)))))
            for t in starts
        ]
    )


@LOOPS.register_module()
class AdaptLoop(BaseLoop):
    """Adapts to every sequence of this rank's share, stores and scores the results.

    An adapter with ``reset='sequence'`` meets the same start weights at every sequence; with ``'never'`` it carries
    weights and state on, which are then stored after every sequence so that an interrupted run continues exactly.
    Random numbers are seeded from the run's seed and the name of the sequence, so neither the order, the number of
    processes nor an interruption changes a digit.

    Hooks may define, besides mmengine's points, ``after_prepare_step(runner, done, total, numbers)`` and
    ``after_prepare(runner)``, ``before_sequence(runner, sequence)``, ``after_frame(runner, sequence,
    index)``, ``after_sequence(runner, sequence, result)`` (also for results that were stored before) and
    ``after_sequences(runner)`` (also after a failure).

    Args:
        runner: the :class:`~hrtk.engine.runner.AdaptRunner`.
        dataloader: yields one :class:`Sequence` at a time.
        evaluator: config or list of configs of metrics that take one result per sequence.
        adapter: config of the adapter.
        resume: use results and state that are stored already.

    Raises:
        InputError: a continual adapter in more than one process, or an empty data set.
    """

    def __init__(
        self, runner: Any, dataloader: Any, evaluator: Any, adapter: dict, resume: bool = True
    ) -> None:
        super().__init__(runner, dataloader)
        self.dataset = self.dataloader.dataset
        self.estimator = runner.model
        self.adapter = ADAPTERS.build(adapter)
        self.resume = resume
        if len(self.dataset) == 0:
            raise InputError(
                f'the data set {type(self.dataset).__name__} holds no sequence; check its paths'
            )
        if self.adapter.reset not in RESETS:
            raise InputError(f'adapter.reset is one of {RESETS}, not {self.adapter.reset!r}')
        self.carries = self.adapter.reset == 'never'
        if self.carries and get_world_size() > 1:
            raise InputError(
                f"{type(self.adapter).__name__} with reset='never' carries its weights from sequence to "
                f'sequence and cannot be shared out over {get_world_size()} processes; run one process, '
                f"or set adapter.reset='sequence'"
            )
        self.store = self._open_store(adapter)
        self.frozen = copy.deepcopy(self.estimator, {id(self.estimator.body): self.estimator.body})
        self.frozen.eval().requires_grad_(False)
        self.evaluator = runner.build_evaluator(evaluator)
        self.evaluator.dataset_meta = dict(
            getattr(self.dataset, 'metainfo', None) or {},
            body=self.estimator.body,
            adapter=type(self.adapter).__name__,
            work_dir=runner.work_dir,
            config=runner.cfg.filename,
            fingerprint=self.store.fingerprint,
        )
        self._start: Optional[dict[str, torch.Tensor]] = None
        self._state: Optional[dict[str, Any]] = None
        self._seen: list[str] = []
        self._asked = False  # whether the other ranks know if this one has something to compute

    def run(self) -> dict[str, float]:
        """Works through the sequences and returns the metrics.

        Raises:
            InputError: a file turned out bad; everything finished before it is stored.
        """
        runner, problem = self.runner, None
        runner.call_hook('before_test')
        if self.carries and self.resume:
            self._state = self._usable_state()
        try:
            for part in (self._process_share, self._join_preparation):
                try:
                    part()
                except InputError as error:
                    problem = problem or error
        finally:
            runner.call_hook('after_sequences')
        self._raise_together(problem)
        metrics = self.evaluator.evaluate(len(self.dataset))
        runner.call_hook('after_test_epoch', metrics=metrics)
        runner.call_hook('after_test')
        return metrics

    def _process_share(self) -> None:
        for sequence in self.dataloader:
            self._process(sequence)

    def _process(self, sequence: Sequence) -> None:
        if sequence.name in self._seen:
            raise InputError(
                f'the data set holds more than one sequence called {sequence.name!r}; results are stored '
                f'by name, so names must be unique'
            )
        if len(sequence) == 0:
            raise InputError(f'the sequence {sequence.name!r} has no frames')
        self.runner.call_hook('before_sequence', sequence=sequence)
        result = self._stored(sequence)
        if result is None:
            result = self._compute(sequence)
            self.store.save(result)
            if self.carries:
                self.store.save_state(
                    dict(
                        finished=[*self._seen, sequence.name],
                        estimator=self.estimator.state_dict(),
                        adapter=self.adapter.state_dict(),
                    )
                )
        self.evaluator.process(data_samples=[result], data_batch=sequence)
        self._seen.append(sequence.name)
        self.runner.call_hook('after_sequence', sequence=sequence, result=result)

    def _stored(self, sequence: Sequence) -> Optional[Result]:
        if (
            not self.resume
            or self.carries
            and sequence.name not in (self._state or {'finished': ()})['finished']
        ):
            return None
        result = self.store.load(sequence.name)
        if result is None or result.matches(sequence):
            return result
        if self.carries:
            raise InputError(
                f'the data of the sequence {sequence.name!r} changed since its result in '
                f'{self.store.folder} was computed; run with --no-resume to start again'
            )
        self.runner.logger.warning(
            f'the data of the sequence {sequence.name!r} changed; it is computed again'
        )
        return None

    def _compute(self, sequence: Sequence) -> Result:
        estimator = self.estimator
        if self._start is None:
            self._begin()
        if not self.carries:
            estimator.load_state_dict(self._start)
            estimator.eval().zero_grad(set_to_none=True)
        self._seed(sequence.name)
        begin = self._now()
        before = predict_sequence(self.frozen, sequence)
        middle = self._now()
        after = self._adapt(sequence)
        end = self._now()
        keypoints = sequence.keypoints2d
        height, width = sequence.frames[0].shape[:2]
        per_frame = 1000 / len(sequence)
        keypoints = sequence.keypoints2d
        report = self.adapter.report()
        return Result(
            name=sequence.name,
            before=_to_store(before),
            after=_to_store(after),
            boxes=sequence.boxes.cpu().numpy(),
            keypoints2d=keypoint_array(sequence),
            keypoints_source=keypoints.source,
            skeleton=keypoints.skeleton,
            frame_ids=tuple(sequence.frame_ids),
            image_size=(width, height),
            fps=float(sequence.fps),
            ms_per_frame=(end - middle) * per_frame,
            before_ms_per_frame=(middle - begin) * per_frame,
            report={key: float(value) for key, value in report.items()},
        )

    def _adapt(self, sequence: Sequence) -> Prediction:
        name, predictions = type(self.adapter).__name__, []
        for index, prediction in enumerate(self.adapter.adapt(self.estimator, sequence)):
            if not torch.is_grad_enabled():
                raise RuntimeError(
                    f'{name} yields inside torch.no_grad(), which switches gradients off for its caller'
                )
            predictions.append(
                Prediction(prediction.rotmat, prediction.betas, prediction.camera).detach()
            )
            self.runner.call_hook('after_frame', sequence=sequence, index=index)
        count = sum(map(len, predictions))
        if count != len(sequence):
            raise RuntimeError(
                f'{name} gave {count} predictions for the {len(sequence)} frames of {sequence.name!r}; '
                f'an adapter yields one per frame'
            )
        return Prediction.cat(predictions)

    def _join_preparation(self) -> None:
        """Prepares with the other ranks, which wait for this one, if it had nothing to compute itself."""
        if not self._asked:
            self._asked = True
            if any(all_gather_object(False)):
                self._prepare()

    def _begin(self) -> None:
        """Prepares the adapter, just before the first sequence that is really computed."""
        self._asked = True
        all_gather_object(True)
        self._prepare()

    def _prepare(self) -> None:
        source = _clone(self.estimator)
        preparation = StoredPreparation(self.store.folder, self.runner, self.resume)
        self._seed('prepare')
        prepared = self.adapter.prepare(self.estimator, self.dataset, preparation)
        if prepared is not None:
            preparation.finish(prepared)
        self.runner.call_hook('after_prepare')
        self.estimator.load_state_dict(source if prepared is None else prepared)
        self.estimator.eval()
        self._start = _clone(self.estimator)
        if self._state is not None:
            if self._seen != self._state['finished']:
                raise InputError(
                    f'the sequences of the data set are not those that the state in {self.store.folder} '
                    f'has been through; run with --no-resume to start again'
                )
            self.estimator.load_state_dict(self._state['estimator'])
            self.adapter.load_state_dict(self._state['adapter'])

    def _usable_state(self) -> Optional[dict[str, Any]]:
        """The stored state, if every sequence that it has been through still has its result."""
        state = self.store.load_state()
        if state is not None and any(self.store.load(name) is None for name in state['finished']):
            self.runner.logger.warning(
                'a result that the stored state builds on is missing: starting from the first '
                'sequence'
            )
            return None
        return state

    def _raise_together(self, problem: Optional[InputError]) -> None:
        """Ends all ranks alike, once each has finished its share, if a file of any rank's sequences is bad."""
        told = all_gather_object((len(self._seen), None if problem is None else str(problem)))
        problems = [text for _, text in told if text is not None]
        if problems:
            finished = sum(count for count, _ in told)
            raise InputError(
                f'{problems[0]}\n{finished} of {len(self.dataset)} sequences are finished and stored in '
                f'{self.store.folder}; a re-run resumes after them'
            ) from problem

    def _open_store(self, adapter: dict) -> ResultStore:
        runner, cfg = self.runner, self.runner.cfg
        parts = dict(estimator=self.estimator, dataset=self.dataset, adapter=self.adapter)
        found = {
            name: part.fingerprint() for name, part in parts.items() if hasattr(part, 'fingerprint')
        }
        store = ResultStore(
            runner.work_dir,
            dict(
                hrtk=__version__,
                estimator=cfg.get('estimator'),
                adapter=adapter,
                dataset=cfg.get('dataset'),
                seed=runner.seed,
                found=found,
            ),
        )
        if is_main_process():
            store.write_run(
                dict(
                    versions=versions(),
                    seed=runner.seed,
                    fingerprints=found,
                    config_file=cfg.filename,
                    config=cfg.pretty_text,
                )
            )
        return store

    def _seed(self, name: str) -> None:
        seed = zlib.crc32(f'{self.runner.seed}/{name}'.encode())
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def _now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()


def _to_store(prediction: Prediction) -> Prediction:
    """The parameters alone, float32 in host memory."""
    rotmat = prediction.rotmat.float().cpu()
    betas = prediction.betas.float().cpu()
    camera = prediction.camera.float().cpu()
    return Prediction(rotmat, betas, camera)


def _clone(estimator: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in estimator.state_dict().items()}
