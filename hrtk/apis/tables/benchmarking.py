"""``benchmark``: one call from a table file to the finished table."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fnmatch
import os
import re
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Optional

from rich.console import Console
from rich.markup import escape

from hrtk.apis.console import output_console
from hrtk.apis.tables.content import table_content
from hrtk.apis.tables.cross_plots import write_pictures
from hrtk.apis.tables.planning import obstacles_of_rows, planned_runs
from hrtk.apis.tables.runs import Run, execute, execute_in_process, last_line
from hrtk.apis.tables.table import Table, load_table
from hrtk.apis.tables.writing import print_table, write_table
from hrtk.errors import InputError, nearest

FEW_LABELS = 20  # which a message lists
Outcome = dict[str, Any]


def benchmark(
    table: str | Path,
    *,
    only: Optional[str] = None,
    work_dir: str | Path = 'work_dirs/tables',
    seeds: Optional[Sequence[int]] = None,
    jobs: int = 1,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Computes and prints a table; finished runs are not computed again.

    A row whose config cannot be built on this machine, because a licensed file is missing, keeps the paper's values and
    is marked ``not reproduced``, with the reason. An error in one row does not stop the others. After every run
    ``table.md``, ``table.csv`` and ``table.json`` are written to ``<work_dir>/<name of the table>``; the runs lie in
    ``<work_dir>/runs``, the trainings of rows in ``<work_dir>/trainings``, and preparations that rows share in
    ``<work_dir>/preparations``. A crossed table has pictures too, which are drawn at the end.

    Args:
        table: path of a table file, see :func:`hrtk.apis.tables.load_table`.
        only: shell pattern; only rows whose label contains it.
        work_dir: folder for tables and runs.
        seeds: replaces the table's.
        jobs: number of parallel runs, each in a process of its own.
        dry_run: prints the plan and the paper's values; nothing is run or written.

    Returns:
        The content of ``table.json``.

    Raises:
        InputError: the table file or a config is wrong, no row matches ``only``, or ``jobs`` is below 1.
    """
    if jobs < 1:
        raise InputError(f'jobs is a number of parallel runs, at least 1, not {jobs}')
    selection = _select(load_table(table), only, seeds)
    obstacles = obstacles_of_rows(selection)
    rows = [row for row in selection.rows if row.label not in obstacles]
    runs = planned_runs(selection, rows, Path(work_dir))
    console = output_console()
    _print(
        console,
        f'{len(selection.rows)} rows, {len(runs)} runs; {len(obstacles)} rows lack files',
    )
    finished: dict[str, list[dict[str, Any]]] = {}
    content = table_content(selection, finished, obstacles)
    if dry_run:
        print_table(content, console)
        return content
    folder = Path(work_dir) / table_name(selection.file)
    write_table(content, folder)
    for run, outcome in _execute_all(runs, jobs, console):
        entry = {'seed': run.seed, 'folder': os.path.relpath(run.folder), **outcome}
        entries = [*finished.get(run.label, ()), entry]
        finished[run.label] = sorted(entries, key=lambda entry: entry['seed'])
        content = table_content(selection, finished, obstacles)
        write_table(content, folder)
    print_table(content, console)
    _print(console, f'written: {folder}/table.md, table.csv, table.json')
    if content.get('crossed'):
        names = ', '.join(write_pictures(content['crossed'], folder))
        _print(console, f'written: {folder}/{names}')
    _print_outputs(runs, finished, console)
    return content


def table_name(file: Path) -> str:
    """Name of the folder of a table: ``<method>_<stem>`` for configs/<method>/tables/<stem>.yaml, else its stem."""
    if file.parent.name == 'tables':
        return f'{file.absolute().parent.parent.name}_{file.stem}'
    return file.stem


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _print_outputs(
    runs: list[Run], finished: dict[str, list[dict[str, Any]]], console: Console
) -> None:
    """Prints the folders of runs that wrote images or videos."""
    for run in runs:
        failed = any(
            entry['seed'] == run.seed and 'error' in entry for entry in finished[run.label]
        )
        if run.options.get('outputs') and not failed:
            folder = os.path.relpath(run.folder)
            _print(console, f'images and videos of {run.label!r}, seed {run.seed}: {folder}')


def _parts_of_labels(table: Table) -> list[str]:
    """The labels, and what stands before and behind their separators, each once."""
    parts: dict[str, None] = {}
    for row in table.rows:
        parts[row.label] = None
        for separator in re.finditer(', 2D |, |: ', row.label):
            parts[row.label[: separator.start()]] = None
            parts[row.label[separator.end() :]] = None
    return list(parts)


def _select(table: Table, only: Optional[str], seeds: Optional[Sequence[int]]) -> Table:
    """The table with the rows and seeds to compute; baselines that are left out become None."""
    pattern = '*' if only is None else f'*{only}*'
    labels = [row.label for row in table.rows if fnmatch.fnmatch(row.label, pattern)]
    if not labels:
        parts = {part.lower(): part for part in _parts_of_labels(table)}
        similar = nearest(str(only).lower(), parts)
        hint = f' Did you mean {parts[similar[0]]!r}?' if similar else ''
        known = '--dry-run prints all labels'
        if len(table.rows) <= FEW_LABELS:
            known = f'Labels: {", ".join(row.label for row in table.rows)}'
        raise InputError(f'{table.file}: no label matches {only!r}.{hint} {known}')
    baselines: dict[Optional[str], str] = {label: label for label in labels}
    rows = [
        dataclasses.replace(row, baseline=baselines.get(row.baseline))
        for row in table.rows
        if row.label in labels
    ]
    return dataclasses.replace(
        table,
        rows=tuple(rows),
        seeds=tuple(seeds or table.seeds),
        baseline=baselines.get(table.baseline),
    )


def _execute_all(runs: list[Run], jobs: int, console: Console) -> Iterator[tuple[Run, Outcome]]:
    """Yields every run with its outcome, as they finish; prints progress and the estimated remaining time."""
    folders: dict[Path, list[Run]] = {}
    for run in runs:
        folders.setdefault(run.folder, []).append(run)
    groups = list(folders.values())
    outcomes = _one_by_one(groups) if jobs == 1 else _in_parallel(groups, jobs, console)
    seconds = []  # of the runs that were computed
    with contextlib.closing(outcomes):
        for done, (group, outcome) in enumerate(outcomes, 1):
            if outcome['computed']:
                seconds.append(outcome['seconds'])
            remaining = ''
            if seconds and done < len(groups):
                mean = sum(seconds) / len(seconds)
                remaining = f', about {_clock(mean * (len(groups) - done) / jobs)} left'
            for run in group:
                _print(
                    console,
                    f'[{done}/{len(groups)}] {run.label}, seed {run.seed}: {_headline(outcome)}, '
                    f'{_clock(outcome["seconds"])}{remaining}',
                )
                yield run, outcome


# Runs that share a folder form a group: the first is executed, and its outcome is that of all.
GroupOutcomes = Generator[tuple[list[Run], Outcome], None, None]


def _one_by_one(groups: list[list[Run]]) -> GroupOutcomes:
    for group in groups:
        yield group, execute(group[0])


def _in_parallel(groups: list[list[Run]], jobs: int, console: Console) -> GroupOutcomes:
    pool = ThreadPoolExecutor(jobs)
    queues = _queues(groups)
    futures = {}

    def submit(queue: deque[list[Run]]) -> None:
        group = queue.popleft()
        futures[pool.submit(execute_in_process, group[0], jobs)] = (group, queue)

    try:
        for queue in queues:
            submit(queue)
        with console.status('starting') as status:  # prints nothing unless stdout is a terminal
            while futures:
                for future in wait(futures, timeout=1, return_when=FIRST_COMPLETED).done:
                    group, queue = futures.pop(future)
                    if queue:
                        submit(queue)
                    yield group, future.result()
                running = [group[0] for future, (group, _) in futures.items() if future.running()]
                status.update('\n'.join(map(_progress, running)))
    finally:
        pool.shutdown(cancel_futures=True)


def _queues(groups: list[list[Run]]) -> list[deque[list[Run]]]:
    """Groups that run one after the other, since they work in the same folder."""
    queues: dict[Path, deque[list[Run]]] = {}
    for group in groups:
        queues.setdefault(group[0].shares, deque()).append(group)
    return list(queues.values())


def _progress(run: Run) -> str:
    return escape(f'{run.label}, seed {run.seed}: {last_line(run)}')


def _headline(outcome: Outcome) -> str:
    """The first metric of a run, or its error."""
    if 'error' in outcome:
        return f'failed, {outcome["error"]}'
    metric, value = next(iter(outcome['metrics'].items()))
    name = re.sub('_.*', '', metric).upper()
    source = '' if outcome['computed'] else ', stored before'
    return f'{name} {value:.1f}{source}'


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
