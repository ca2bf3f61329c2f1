"""One run of a table, here or in a process of its own: ``python -m hrtk.apis.tables.runs`` with the run on stdin."""

from __future__ import annotations

import dataclasses
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
from hrtk.engine.store import canonical
from hrtk.files import write_atomically

OUTCOME, OUTPUT, ERROR = 'outcome.json', 'output.txt', 'error.txt'


@dataclasses.dataclass(frozen=True)
class Run:
    """A row at one seed.

    Rows that come to the same, in one table or in several, share a ``folder`` and so their results.
    """

    label: str
    config: Path
    seed: int
    options: dict[str, Any]
    folder: Path
    joints: Optional[str] = None


def work(run: Run) -> dict[str, Any]:
    """Runs one adaptation, or takes what is stored of it, or scores joints; whatever goes wrong is its outcome.

    Returns:
        ``seconds``; ``computed``, whether anything was not stored yet; and either ``metrics`` of the adapted row,
        ``adapter``, ``fingerprint``, ``protocol``, ``frames`` (scored) and ``published_frames`` (those of the
        protocol's published numbers, or None), or ``error``, whose traceback lies in ``error.txt``.
    """
    begin, before = time.perf_counter(), _results(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / ERROR).unlink(missing_ok=True)
    try:
        if run.joints is None:
            metrics = adapt(run.config, cfg_options=run.options, work_dir=run.folder)
        else:
            metrics = evaluate_joints(
                run.joints, run.config, cfg_options=run.options, work_dir=run.folder
            )
        adapter = [name.split('/')[0] for name in metrics if '/' in name][-1]
        report = json.loads((run.folder / 'metrics.json').read_text())
        outcome = dict(
            adapter=adapter,
            fingerprint=report['fingerprint'],
            protocol=report['protocol']['name'],
            frames=metrics['frames'] - metrics['unscored_frames'],
            published_frames=report['protocol']['frames'],
            metrics={
                name.removeprefix(f'{adapter}/'): value
                for name, value in metrics.items()
                if name.startswith(f'{adapter}/')
            },
        )
    except Exception as error:  # the other runs go on, and the table shows it
        (run.folder / ERROR).write_text(traceback.format_exc())
        outcome = dict(error=f'{type(error).__name__}: {error}')
    return dict(
        outcome, seconds=time.perf_counter() - begin, computed=_results(run.folder) != before
    )


def work_apart(run: Run, jobs: int) -> dict[str, Any]:
    """The same in a process of its own, one of so many, which may die without taking others along."""
    begin, path = time.perf_counter(), run.folder / OUTCOME
    run.folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {
        'OMP_NUM_THREADS': threads,
        **os.environ,
        'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
    }
    with open(run.folder / OUTPUT, 'w') as output:
        done = subprocess.run(
            [sys.executable, '-m', __name__],
            input=canonical(dataclasses.asdict(run)),
            text=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    if path.exists():
        return json.loads(path.read_text())
    return dict(
        error=f'the process ended with exit code {done.returncode}, see {run.folder / OUTPUT}',
        seconds=time.perf_counter() - begin,
        computed=True,
    )


def last_words(run: Run) -> str:
    """The last line that a run apart has printed, without the logger's prefix; empty as long as there is none."""
    try:
        lines = (run.folder / OUTPUT).read_text(errors='replace').split('\n')
    except OSError:
        return ''
    return next(
        (line.split(' - INFO - ')[-1].strip() for line in reversed(lines) if line.strip()), ''
    )


def _results(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob('results/*/*.npz')}


if __name__ == '__main__':
    given = json.load(sys.stdin)
    this = Run(**{**given, 'config': Path(given['config']), 'folder': Path(given['folder'])})
    outcome_of_this = json.dumps(work(this)).encode()
    write_atomically(this.folder / OUTCOME, lambda file: file.write(outcome_of_this))
