"""``benchmark``: one call from a table file to the finished table."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fnmatch
import hashlib
import os
import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from rich.console import Console
from rich.markup import escape

from hrtk.apis.adaptation import load_config
from hrtk.apis.config_check import PARTS, check_arguments, obstacles_of
from hrtk.apis.console import output_console
from hrtk.apis.tables.content import table_content
from hrtk.apis.tables.runs import Run, execute, execute_in_process, last_line
from hrtk.apis.tables.table import Row, Table, load_table
from hrtk.apis.tables.writing import print_table, write_table
from hrtk.engine.runner import check_keys
from hrtk.engine.store import canonical
from hrtk.errors import InputError

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
    ``<work_dir>/runs``.

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
        InputError: the table file or a config is wrong, or no row matches ``only``.
    """
    selection = _select(load_table(table), only, seeds)
    obstacles = _obstacles(selection)
    runs: list[Run] = []
    for row in selection.rows:
        if row.label not in obstacles:
            runs.extend(_runs(selection, row, Path(work_dir)))
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
    folder = Path(work_dir) / selection.file.stem
    write_table(content, folder)
    for run, outcome in _execute_all(runs, jobs, console):
        entry = {'seed': run.seed, 'folder': os.path.relpath(run.folder), **outcome}
        entries = [*finished.get(run.label, ()), entry]
        finished[run.label] = sorted(entries, key=lambda entry: entry['seed'])
        content = table_content(selection, finished, obstacles)
        write_table(content, folder)
    print_table(content, console)
    _print(console, f'written: {folder}/table.md, table.csv, table.json')
    _print_outputs(runs, finished, console)
    return content


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


def _select(table: Table, only: Optional[str], seeds: Optional[Sequence[int]]) -> Table:
    """The table with the rows and seeds to compute; baselines that are left out become None."""
    pattern = '*' if only is None else f'*{only}*'
    labels = [row.label for row in table.rows if fnmatch.fnmatch(row.label, pattern)]
    if not labels:
        known = ', '.join(row.label for row in table.rows)
        raise InputError(f'{table.file}: no label matches {only!r}; labels are {known}')
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


def _obstacles(table: Table) -> dict[str, list[str]]:
    """Why rows cannot be computed on this machine, by label.

    Raises:
        InputError: a config is wrong; all of them are checked before any part is built.
    """
    configs = {row.label: _read(table, row, table.seeds[0]) for row in table.rows}
    for label, cfg in configs.items():
        check_arguments(cfg, f'{table.file}, {label!r}')
    cache: dict[str, Optional[str]] = {}
    obstacles = {label: obstacles_of(cfg, cache) for label, cfg in configs.items()}
    return {label: reasons for label, reasons in obstacles.items() if reasons}


def _read(table: Table, row: Row, seed: int) -> Config:
    cfg = load_config(row.config, _options(table, row, seed))
    check_keys(cfg)
    return cfg


def _options(table: Table, row: Row, seed: int) -> dict[str, Any]:
    return {'outputs': None, **row.options, **dict.fromkeys(table.seed_keys, seed)}


def _runs(table: Table, row: Row, work_dir: Path) -> Iterator[Run]:
    """The runs of a row, one per seed; the folder's name is a hash of everything that decides the result."""
    for seed in table.seeds:
        cfg = _read(table, row, seed)
        parts = {key: cfg.get(key) for key in (*PARTS, 'randomness')}
        if row.joints is not None:
            parts['joints'] = row.joints
        digest = hashlib.sha256(canonical(parts).encode()).hexdigest()[:8]
        yield Run(
            label=row.label,
            config=row.config,
            seed=seed,
            options=_options(table, row, seed),
            folder=work_dir / 'runs' / f'{row.config.stem}-{digest}',
            joints=row.joints,
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
    try:
        futures = {pool.submit(execute_in_process, group[0], jobs): group for group in groups}
        with console.status('starting') as status:  # prints nothing unless stdout is a terminal
            while futures:
                for future in wait(futures, timeout=1, return_when=FIRST_COMPLETED).done:
                    yield futures.pop(future), future.result()
                running = [group[0] for future, group in futures.items() if future.running()]
                status.update('\n'.join(map(_progress, running)))
    finally:
        pool.shutdown(cancel_futures=True)


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
