"""``benchmark``: one call from a table file to the whole table."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fnmatch
import hashlib
import os
import re
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Iterator, Optional
from typing import Sequence as SequenceOf

from mmengine.config import Config
from rich.console import Console
from rich.markup import escape

from hrtk.apis.adaptation import load_config
from hrtk.apis.config_check import PARTS, check_arguments, obstacles_of
from hrtk.apis.tables.runs import Run, last_words, work, work_apart
from hrtk.apis.tables.table import Row, Table, load_table
from hrtk.apis.tables.writing import fill, print_filled, write_table
from hrtk.engine.runner import check_keys
from hrtk.engine.store import canonical
from hrtk.errors import InputError


def benchmark(
    table: str | Path,
    *,
    only: Optional[str] = None,
    work_dir: str | Path = 'work_dirs/tables',
    seeds: Optional[SequenceOf[int]] = None,
    jobs: int = 1,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Computes and prints a table; what is finished is not computed again.

    A row whose config cannot be built on this machine, since a licensed file is not there, keeps the paper's values and
    is marked ``not reproduced``, with the reason. An error in one row does not stop the others. After every run
    ``table.md``, ``table.csv`` and ``table.json`` are written to ``<work_dir>/<name of the table>``; the runs lie in
    ``<work_dir>/runs``.

    Args:
        table: path of a table file, see :func:`hrtk.apis.tables.load_table`.
        only: rows whose label holds this pattern of the shell.
        work_dir: folder for tables and runs.
        seeds: replaces the table's.
        jobs: runs at once, each in a process of its own.
        dry_run: prints the plan and the paper's values; nothing is run or written.

    Returns:
        What ``table.json`` holds.

    Raises:
        InputError: the table file or a config is wrong, or no row matches ``only``.
    """
    table = _choose(load_table(table), only, seeds)
    configs = {row.label: _read(table, row, table.seeds[0]) for row in table.rows}
    for label, cfg in configs.items():
        check_arguments(cfg, f'{table.file}, {label!r}')
    memory: dict[str, Optional[str]] = {}
    obstacles = {
        label: reasons for label, cfg in configs.items() if (reasons := obstacles_of(cfg, memory))
    }
    runs = [
        run
        for row in table.rows
        if row.label not in obstacles
        for run in _runs(table, row, Path(work_dir))
    ]
    console = Console(width=None if sys.stdout.isatty() else 160)
    folder = Path(work_dir) / table.file.stem
    finished: dict[str, list[dict[str, Any]]] = {}
    console.print(
        f'{len(table.rows)} rows, {len(runs)} runs; {len(obstacles)} rows lack files',
        highlight=False,
    )
    if not dry_run:
        write_table(fill(table, finished, obstacles), folder)
        for run, outcome in _execute(runs, jobs, console):
            entry = dict(seed=run.seed, folder=os.path.relpath(run.folder), **outcome)
            finished[run.label] = sorted(
                [*finished.get(run.label, ()), entry], key=lambda entry: entry['seed']
            )
            write_table(fill(table, finished, obstacles), folder)
    content = fill(table, finished, obstacles)
    print_filled(content, console)
    if not dry_run:
        console.print(f'written: {folder}/table.md, table.csv, table.json', highlight=False)
        for run in (
            run
            for run in runs
            if run.options.get('outputs') and 'error' not in _last(finished, run)
        ):
            console.print(
                f'pictures and films of {run.label!r}, seed {run.seed}: {os.path.relpath(run.folder)}',
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    return content


def _last(finished: dict[str, list[dict[str, Any]]], run: Run) -> dict[str, Any]:
    return next(entry for entry in finished[run.label] if entry['seed'] == run.seed)


def _choose(table: Table, only: Optional[str], seeds: Optional[SequenceOf[int]]) -> Table:
    rows = tuple(
        row for row in table.rows if only is None or fnmatch.fnmatch(row.label, f'*{only}*')
    )
    if not rows:
        raise InputError(
            f'{table.file}: no label matches {only!r}; labels are '
            f'{", ".join(row.label for row in table.rows)}'
        )
    labels = [row.label for row in rows]
    rows = tuple(
        dataclasses.replace(row, baseline=row.baseline if row.baseline in labels else None)
        for row in rows
    )
    return dataclasses.replace(
        table,
        rows=rows,
        seeds=tuple(seeds or table.seeds),
        baseline=table.baseline if table.baseline in labels else None,
    )


def _read(table: Table, row: Row, seed: int) -> Config:
    cfg = load_config(row.config, _options(table, row, seed))
    check_keys(cfg)
    return cfg


def _options(table: Table, row: Row, seed: int) -> dict[str, Any]:
    return {'outputs': None, **row.options, **dict.fromkeys(table.seed_keys, seed)}


def _runs(table: Table, row: Row, work_dir: Path) -> Iterator[Run]:
    for seed in table.seeds:
        cfg = _read(table, row, seed)
        what = {key: cfg.get(key) for key in (*PARTS, 'randomness')}
        if row.joints is not None:
            what = dict(what, joints=row.joints)
        digest = hashlib.sha256(canonical(what).encode()).hexdigest()[:8]
        yield Run(
            row.label,
            row.config,
            seed,
            _options(table, row, seed),
            work_dir / 'runs' / f'{row.config.stem}-{digest}',
            row.joints,
        )


def _execute(runs: list[Run], jobs: int, console: Console) -> Iterator[tuple[Run, dict[str, Any]]]:
    """Yields every run with its outcome, as they finish; says how long the rest may take."""
    folders: dict[Path, list[Run]] = {}
    for run in runs:
        folders.setdefault(run.folder, []).append(run)
    spent, done = [], 0
    groups = list(folders.values())
    one_by_one = ((same, work(same[0])) for same in groups)
    with contextlib.closing(
        one_by_one if jobs == 1 else _side_by_side(groups, jobs, console)
    ) as outcomes:
        for same, outcome in outcomes:
            done += 1
            spent += [outcome['seconds']] if outcome['computed'] else []
            left = len(folders) - done
            rest = (
                f', about {_clock(sum(spent) / len(spent) * left / jobs)} left'
                if spent and left
                else ''
            )
            for run in same:
                console.print(
                    f'[{done}/{len(folders)}] {run.label}, seed {run.seed}: {_headline(outcome)}, '
                    f'{_clock(outcome["seconds"])}{rest}',
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )
                yield run, outcome


def _side_by_side(
    groups: list[list[Run]], jobs: int, console: Console
) -> Iterator[tuple[list[Run], dict[str, Any]]]:
    pool = ThreadPoolExecutor(jobs)
    try:
        futures = {pool.submit(work_apart, same[0], jobs): same for same in groups}
        with console.status('starting') as status:  # silent where nobody watches
            while futures:
                for future in wait(futures, timeout=1, return_when=FIRST_COMPLETED).done:
                    yield futures.pop(future), future.result()
                status.update(
                    '\n'.join(
                        escape(f'{same[0].label}, seed {same[0].seed}: {last_words(same[0])}')
                        for future, same in futures.items()
                        if future.running()
                    )
                )
    finally:
        pool.shutdown(cancel_futures=True)


def _headline(outcome: dict[str, Any]) -> str:
    if 'error' in outcome:
        return f'failed, {outcome["error"]}'
    key = next(iter(outcome['metrics']))
    known = '' if outcome['computed'] else ', stored before'
    return f'{re.sub("_.*", "", key).upper()} {outcome["metrics"][key]:.1f}{known}'


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
