"""One run of a table, in this process or in another: ``python -m hrtk.apis.tables.runs`` with the run on stdin."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Optional

from hrtk.apis.adaptation import adapt
from hrtk.apis.scoring import evaluate_joints
from hrtk.apis.tables.memory import record_peak, restart_peak
from hrtk.apis.tables.network_rows import pretrained_weights, score_network
from hrtk.engine.store import canonical
from hrtk.files import write_text_atomically
from hrtk.reading import read_json

OUTCOME = 'outcome.json'
OUTPUT = 'output.txt'
ERROR = 'error.txt'


@dataclasses.dataclass(frozen=True)
class Run:
    """A row at one seed.

    Rows with equal configs and options, in one table or in several, share a ``folder`` and so their results.

    Attributes:
        label: of the row.
        config: path of its config.
        seed: of the run.
        options: replacements in the config, with the seed.
        folder: of all files of the run.
        joints: a folder of joints that are scored, see :class:`hrtk.apis.tables.table.Row`.
        weights: weights of a network that is tested.
        training: folder of a training, which is finished before its checkpoint is tested.
        checkpoint: of the training; None for the last.
        keep: checkpoints of the training that this row and others need.
        preparations: of the adapter, shared with rows that continue them, see
            :class:`hrtk.engine.preparation.SharedPreparations`.
        pretraining: the training before this training or adaptation: its ``config``, ``options``, ``folder``, the
            ``start`` option of the later stage, and a ``pretraining`` of its own, or None.
        cost: parts of the config's network that are counted.
    """

    label: str
    config: Path
    seed: int
    options: dict[str, Any]
    folder: Path
    joints: Optional[str] = None
    weights: Optional[str] = None
    training: Optional[Path] = None
    checkpoint: Optional[str] = None
    keep: tuple[str, ...] = ()
    preparations: Optional[dict[str, Any]] = None
    pretraining: Optional[dict[str, Any]] = None
    cost: tuple[str, ...] = ()

    @property
    def tests_network(self) -> bool:
        """Whether the run tests a network by a training config, see :mod:`hrtk.apis.tables.network_rows`."""
        return self.weights is not None or self.training is not None or bool(self.cost)

    @property
    def shares(self) -> Path:
        """The first folder that this run works in; runs with the same one must run one after the other."""
        stage = self.pretraining
        if stage is not None:
            while stage['pretraining'] is not None:
                stage = stage['pretraining']
            return Path(stage['folder'])
        if self.training is not None:
            return self.training
        if self.preparations is not None:
            return Path(self.preparations['folder'])
        return self.folder


def execute(run: Run) -> dict[str, Any]:
    """Runs one adaptation or training, reads its stored results, or scores joints; any error is part of the outcome.

    Returns:
        ``seconds``; ``computed``, whether anything was not stored yet; and either ``metrics`` of the adapted row,
        ``adapter``, ``fingerprint``, ``protocol``, ``frames`` (scored) and ``published_frames`` (those of the
        protocol's published numbers, or None), or those of :func:`~hrtk.apis.tables.network_rows.score_network`; or
        ``error``, whose traceback is written to ``error.txt``.
    """
    begin = time.perf_counter()
    stored = _modification_times(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / ERROR).unlink(missing_ok=True)
    counted = restart_peak()
    try:
        outcome = score_network(run) if run.tests_network else _score(run)
    except Exception as error:  # the other runs continue, and the table shows the error
        (run.folder / ERROR).write_text(traceback.format_exc())
        outcome = {'error': f'{type(error).__name__}: {error}'}
    gc.collect()  # runner and loop refer to each other, and their networks would pile up run by run
    computed = _modification_times(run.folder) != stored
    if counted and computed:  # a run that was stored before takes less
        record_peak(run.folder)
    return {
        'computed': computed,
        **outcome,
        'seconds': time.perf_counter() - begin,
    }


def _score(run: Run) -> dict[str, Any]:
    if run.joints is None:
        options = dict(run.options)
        if run.preparations is not None:
            options['preparations'] = run.preparations
        if run.pretraining is not None:
            options[run.pretraining['start']] = str(pretrained_weights(run))
        metrics = adapt(run.config, cfg_options=options, work_dir=run.folder)
    else:
        metrics = evaluate_joints(
            run.joints, run.config, cfg_options=run.options, work_dir=run.folder
        )
    adapter = [name.split('/')[0] for name in metrics if '/' in name][-1]
    report = read_json(run.folder / 'metrics.json', kind=dict)
    return {
        'adapter': adapter,
        'fingerprint': report['fingerprint'],
        'protocol': report['protocol']['name'],
        'frames': metrics['frames'] - metrics['unscored_frames'],
        'published_frames': report['protocol']['frames'],
        'metrics': {
            name.removeprefix(f'{adapter}/'): value
            for name, value in metrics.items()
            if name.startswith(f'{adapter}/')
        },
    }


def execute_in_process(run: Run, jobs: int) -> dict[str, Any]:
    """:func:`execute` in a process of its own, whose crash does not affect other runs.

    Args:
        run: the run.
        jobs: number of parallel processes, which share the cores.
    """
    begin = time.perf_counter()
    path = run.folder / OUTCOME
    run.folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {
        'OMP_NUM_THREADS': str(threads),
        **os.environ,
        'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
    }
    with open(run.folder / OUTPUT, 'w') as output:
        process = subprocess.run(
            [sys.executable, '-m', __name__],
            input=canonical(dataclasses.asdict(run)),
            text=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    if path.exists():
        return read_json(path, kind=dict)
    return {
        'error': f'the process ended with exit code {process.returncode}, see {run.folder / OUTPUT}',
        'seconds': time.perf_counter() - begin,
        'computed': True,
    }


def last_line(run: Run) -> str:
    """The last line that a run in another process has printed, without the logger's prefix; empty if there is none."""
    try:
        text = (run.folder / OUTPUT).read_text(errors='replace')
    except OSError:
        return ''
    for line in reversed(text.split('\n')):
        if line.strip():
            return line.split(' - INFO - ')[-1].strip()
    return ''


def _modification_times(folder: Path) -> dict[str, int]:
    """Modification time of every stored result of a run, by path."""
    return {str(path): path.stat().st_mtime_ns for path in folder.glob('results/*/*.npz')}


def main() -> None:
    """Executes the run that stdin describes as JSON and writes its outcome."""
    content = json.load(sys.stdin)
    paths = {key: Path(content[key]) for key in ('config', 'folder', 'training') if content[key]}
    run = Run(
        **{**content, **paths, 'keep': tuple(content['keep']), 'cost': tuple(content['cost'])}
    )
    write_text_atomically(run.folder / OUTCOME, json.dumps(execute(run)))


if __name__ == '__main__':
    main()
