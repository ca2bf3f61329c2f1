"""AdaptLoop: runs the adapter on one sequence after the other and resumes from stored results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Optional

from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.runner import BaseLoop

from hrtk.engine.computing import ResultComputer
from hrtk.engine.preparation import SharedPreparations
from hrtk.engine.store import ResultStore, fingerprint, plain_config
from hrtk.engine.versions import computing, versions
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS, LOOPS
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.version import __version__


@LOOPS.register_module()
class AdaptLoop(BaseLoop):
    """Computes, stores and scores the result of every sequence in this process's share.

    An :class:`~hrtk.adapters.run.AdapterRun` starts sessions as :attr:`Adapter.reset` defines; with ``reset='never'``
    the loop stores the state of the persistent session after every sequence, so that an interrupted run resumes and
    gives bit-identical results.

    Besides mmengine's hook methods, hooks may define ``after_prepare_step(runner, step)`` with a
    :class:`~hrtk.adapters.PreparationStep`, ``after_prepare(runner)``, ``before_sequence(runner, sequence)``,
    ``after_frame(runner, sequence, index)``, ``after_sequence(runner, sequence, result)`` (also for results that were
    stored before) and ``after_sequences(runner)`` (also after a failure).

    Args:
        runner: the :class:`~hrtk.engine.runner.AdaptRunner`.
        dataloader: yields one :class:`Sequence` at a time.
        evaluator: config or list of configs of metrics that take one result per sequence.
        adapter: config of the adapter.
        resume: whether stored results and the stored state are used.

    Raises:
        InputError: an adapter with ``reset='never'`` in more than one process, or an empty data set.
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
        self._check_processes()
        self.store, determinants = self._open_store(adapter)
        self.computer = ResultComputer(
            runner,
            self.adapter,
            self.dataset,
            self.store,
            resume,
            self._shared_preparations(determinants),
        )
        self.evaluator = runner.build_evaluator(evaluator)
        self.evaluator.dataset_meta = self._evaluator_meta()
        self._state: Optional[dict[str, Any]] = None
        self._finished: list[str] = []
        # Whether the other processes know if this one has something to compute.
        self._work_announced = False

    def run(self) -> dict[str, float]:
        """Processes the sequences and returns the metrics.

        Raises:
            InputError: a file is bad; all results that were finished before are stored.
        """
        runner = self.runner
        runner.call_hook('before_test')
        if self._keeps_session and self.resume:
            self._state = self._usable_state()
        try:
            # Join even after an error: the others wait in a collective call.
            problem = _first_problem([self._process_share, self._join_preparation])
        finally:
            runner.call_hook('after_sequences')
        self._raise_together(problem)
        metrics = self.evaluator.evaluate(len(self.dataset))
        runner.call_hook('after_test_epoch', metrics=metrics)
        runner.call_hook('after_test')
        return metrics

    @property
    def _keeps_session(self) -> bool:
        """Whether one session adapts to all sequences."""
        return self.adapter.reset == 'never'

    def _process_share(self) -> None:
        for sequence in self.dataloader:
            self._process(sequence)

    def _process(self, sequence: Sequence) -> None:
        if sequence.name in self._finished:
            raise InputError(
                f'the data set holds more than one sequence called {sequence.name!r}; results are stored by name, '
                f'so names must be unique'
            )
        if len(sequence) == 0:
            raise InputError(f'the sequence {sequence.name!r} has no frames')
        self.runner.call_hook('before_sequence', sequence=sequence)
        result = self._stored_result(sequence)
        if result is None:
            result = self._compute(sequence)
        self.evaluator.process(data_samples=[result], data_batch=sequence)
        self._finished.append(sequence.name)
        self.runner.call_hook('after_sequence', sequence=sequence, result=result)

    def _compute(self, sequence: Sequence) -> Result:
        if not self.computer.is_prepared:
            self._announce_work()
            self._prepare()
        before = self._finished if self._keeps_session else []
        result = self.computer.compute(sequence, before)
        self.store.save(result)
        if self._keeps_session:
            finished = [*self._finished, sequence.name]
            self.store.save_state(dict(finished=finished, **self.computer.state_dict()))
        self.computer.midway.remove(sequence.name)
        return result

    def _stored_result(self, sequence: Sequence) -> Optional[Result]:
        """Returns the result of an earlier run if it is valid, or None."""
        if not self.resume:
            return None
        if self._keeps_session and not self._state_includes(sequence.name):
            return None
        result = self.store.load(sequence.name)
        if result is None:
            return None
        if result.matches(sequence):
            return self._with_focal(result, sequence)
        if self._keeps_session:
            raise InputError(
                f'the data of the sequence {sequence.name!r} changed since its result in {self.store.folder} was '
                f'computed; run with --no-resume to start again'
            )
        self.runner.logger.warning(
            f'the data of the sequence {sequence.name!r} changed; it is computed again'
        )
        return None

    def _with_focal(self, result: Result, sequence: Sequence) -> Result:
        """A stored result with the focal length of the sequence, on which no prediction depends."""
        if result.focal == sequence.focal:
            return result
        result = dataclasses.replace(result, focal=sequence.focal)
        self.store.save(result)
        return result

    def _state_includes(self, name: str) -> bool:
        return self._state is not None and name in self._state['finished']

    def _usable_state(self) -> Optional[dict[str, Any]]:
        """Returns the stored state if every sequence that it covers still has its result, or None."""
        state = self.store.load_state()
        if state is None:
            return None
        if any(self.store.load(name) is None for name in state['finished']):
            self.runner.logger.warning(
                'a result that the stored state depends on is missing: starting from the first sequence'
            )
            return None
        return state

    def _announce_work(self) -> None:
        """Announces to the other processes that this one computes a result, so that they prepare as well.

        The gather here pairs with the one in :meth:`_join_preparation`: each process calls one of the two, once.
        """
        self._work_announced = True
        all_gather_object(True)

    def _join_preparation(self) -> None:
        """If this process had nothing to compute, takes part in the others' preparation.

        That preparation waits for all processes.
        """
        if self._work_announced:
            return
        self._work_announced = True
        if any(all_gather_object(False)):
            self._prepare()

    def _prepare(self) -> None:
        if self._state is not None:
            self._check_state_order(self._state)
        self.computer.prepare(self._state)

    def _check_state_order(self, state: dict[str, Any]) -> None:
        """Raises InputError unless the state covers exactly the sequences finished so far, in the same order."""
        if self._finished != state['finished']:
            raise InputError(
                f'the sequences of the data set are not those that the state in {self.store.folder} has been through; '
                f'run with --no-resume to start again'
            )

    def _raise_together(self, problem: Optional[InputError]) -> None:
        """If any process met a bad file, raises on all of them after all shares are finished."""
        message = None
        if problem is not None:
            message = str(problem)
        reports = all_gather_object((len(self._finished), message))
        messages = [text for _, text in reports if text is not None]
        if messages:
            finished = sum(count for count, _ in reports)
            raise InputError(
                f'{messages[0]}\n{finished} of {len(self.dataset)} sequences are finished and stored in '
                f'{self.store.folder}; a re-run resumes after them'
            ) from problem

    def _check_processes(self) -> None:
        processes = get_world_size()
        if self._keeps_session and processes > 1:
            raise InputError(
                f"{type(self.adapter).__name__} with reset='never' carries its weights from sequence to sequence and "
                f'cannot be shared out over {processes} processes; run one process, or set '
                f"adapter.reset='sequence'"
            )

    def _shared_preparations(self, determinants: dict[str, Any]) -> Optional[SharedPreparations]:
        """The preparations that the config shares with other runs, under a hash of all but their length."""
        options = self.runner.cfg.get('preparations')
        if not options:
            return None
        option = getattr(self.adapter, 'length_option', None)
        if option is None or option != options['option']:
            raise InputError(
                f'preparations: {type(self.adapter).__name__} cannot share its preparation by '
                f'{options["option"]!r}; leave this key out'
            )
        adapter = {key: value for key, value in determinants['adapter'].items() if key != option}
        digest = fingerprint({**determinants, 'adapter': adapter})
        return SharedPreparations(
            Path(options['folder']) / digest, getattr(self.adapter, option), tuple(options['keep'])
        )

    def _open_store(self, adapter: dict) -> tuple[ResultStore, dict[str, Any]]:
        """The store, and everything that determines its results."""
        runner = self.runner
        cfg = runner.cfg
        fingerprints = {}
        parts = dict(estimator=self.estimator, dataset=self.dataset, adapter=self.adapter)
        for name, part in parts.items():
            if hasattr(part, 'fingerprint'):
                fingerprints[name] = part.fingerprint()
        determinants = dict(
            hrtk=__version__,
            estimator=cfg.get('estimator'),
            adapter=adapter,
            dataset=self._dataset_determinants(),
            seed=runner.seed,
            found=fingerprints,  # this key is part of the fingerprints of stored results, so it must not change
        )
        store = ResultStore(runner.work_dir, determinants)
        if is_main_process():
            store.write_run(
                dict(
                    versions=versions(),
                    computing=computing(self.estimator),
                    seed=runner.seed,
                    fingerprints=fingerprints,
                    config_file=cfg.filename,
                    config=plain_config(cfg.to_dict()),
                )
            )
        return store, determinants

    def _dataset_determinants(self) -> Any:
        """The config of the data set without the options that the predictions do not depend on."""
        config = self.runner.cfg.get('dataset')
        free = getattr(self.dataset, 'free_options', ())
        if not free or self.adapter.uses_camera:
            return config
        return {key: value for key, value in config.items() if key not in free}

    def _evaluator_meta(self) -> dict[str, Any]:
        meta = dict(getattr(self.dataset, 'metainfo', None) or {})
        meta.update(
            body=self.estimator.body,
            adapter=type(self.adapter).__name__,
            work_dir=self.runner.work_dir,
            config=self.runner.cfg.filename,
            fingerprint=self.store.fingerprint,
            caveat=getattr(self.estimator, 'caveat', None),
        )
        return meta


def _first_problem(phases: Iterable[Callable[[], None]]) -> Optional[InputError]:
    """Runs all phases, even after an InputError, and returns the first InputError or None."""
    first_problem = None
    for phase in phases:
        try:
            phase()
        except InputError as error:
            if first_problem is None:
                first_problem = error
    return first_problem
