"""A filled table in the terminal, and as ``table.md``, ``table.csv`` and ``table.json``."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional

from rich.console import Console
from rich.table import Table as RichTable
from scipy.special import stdtrit

from hrtk.apis.tables.table import Table
from hrtk.engine.versions import versions
from hrtk.evaluation.report import COLUMNS
from hrtk.files import write_atomically

ABSENT = 'not reproduced'
INTERVAL_RULE = (
    "mean over the seeds ± half the width of its 95 % interval (Student's t over the seeds' means; none "
    'for a single seed); differences are taken seed by seed'
)
PERCENT = ('worse_share',)
ALONE = ('ms_per_frame',)  # a difference of these says nothing


def mean_interval(values: Iterable[float]) -> tuple[float, Optional[float]]:
    """Mean, and half the width of its 95 % interval under Student's t; None for a single value."""
    values = list(values)
    mean, degrees = math.fsum(values) / len(values), len(values) - 1
    if not degrees:
        return mean, None
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / degrees)
    return mean, float(stdtrit(degrees, 0.975)) * deviation / math.sqrt(len(values))


def fill(
    table: Table, runs: Mapping[str, list[dict[str, Any]]], obstacles: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The content of ``table.json``.

    Args:
        table: what was asked for.
        runs: of every label, its finished runs: ``seed``, ``folder`` and what :func:`hrtk.apis.tables.runs.work`
            returned.
        obstacles: why a label cannot be computed here.
    """
    rows = []
    for row in table.rows:
        base = {
            run['seed']: run['metrics'] for run in runs.get(row.baseline, ()) if 'metrics' in run
        }
        base_paper = next((other.paper for other in table.rows if other.label == row.baseline), {})
        done = [run for run in runs.get(row.label, ()) if 'metrics' in run]
        ours, changes, paper_changes = {}, {}, {}
        for key in table.metrics:
            values = {run['seed']: run['metrics'][key] for run in done if key in run['metrics']}
            paired = [
                value - base[seed][key]
                for seed, value in values.items()
                if key in base.get(seed, {})
            ]
            ours.update({key: _numbers(values.values())} if values else {})
            if row.label != row.baseline and key not in ALONE:
                changes.update({key: _numbers(paired)} if paired else {})
                paper_changes.update(
                    {key: round(row.paper[key] - base_paper[key], 6)}
                    if key in row.paper and key in base_paper
                    else {}
                )
        rows.append(
            dict(
                label=row.label,
                status=_status(runs.get(row.label, ()), row.label in obstacles),
                config=os.path.relpath(row.config),
                options=row.options,
                ours=ours,
                paper=row.paper,
                baseline=row.baseline,
                change=changes,
                paper_change=paper_changes,
                needed=obstacles.get(row.label, []),
                runs=list(runs.get(row.label, ())),
            )
        )
    return dict(
        title=table.title,
        paper=table.paper,
        table=os.path.relpath(table.file),
        sha256=hashlib.sha256(table.file.read_bytes()).hexdigest(),
        metrics=list(table.metrics),
        seeds=list(table.seeds),
        seed_keys=list(table.seed_keys),
        baseline=table.baseline,
        interval=INTERVAL_RULE,
        notes=list(table.notes),
        versions=versions(),
        rows=rows,
    )


def _numbers(values: Iterable[float]) -> dict[str, Any]:
    values = list(values)
    mean, half = mean_interval(values)
    return dict(mean=mean, interval=half, seeds=len(values))


def _status(runs: Iterable[Mapping[str, Any]], absent: bool) -> str:
    errors = [run['error'] for run in runs if 'error' in run]
    if absent:
        return ABSENT
    return 'failed' if errors else 'done' if runs else 'waiting'


def write_table(content: dict[str, Any], folder: Path) -> None:
    """Writes the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ('table.json', json.dumps(content, indent=1, default=str) + '\n'),
        ('table.md', as_markdown(content)),
        ('table.csv', as_csv(content)),
    ):
        write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))


def print_filled(content: dict[str, Any], console: Console) -> None:
    """Prints the table, then what could not be computed and why."""
    header, rows = _cells(content)
    table = RichTable(header[0])
    for name in header[1:]:
        table.add_column(name.replace(' | ', '\n'), justify='right')
    for row in rows:
        table.add_row(*row)
    console.print(content['title'], highlight=False, markup=False)
    console.print(table)
    for line in _remarks(content):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def as_markdown(content: dict[str, Any]) -> str:
    """The table with its remarks, the configs of its rows and the versions."""
    header, rows = _cells(content)
    lines = [f'# {content["title"]}', '', f'`python tools/benchmark.py {content["table"]}`', '']
    for row in (header, ['---', *['---:'] * (len(header) - 1)], *rows):
        lines.append('| ' + ' | '.join(cell.replace(' | ', '<br>') for cell in row) + ' |')
    lines += [
        '',
        *(f'* {line}' for line in _remarks(content)),
        '',
        '| row | config | options |',
        '| --- | --- | --- |',
    ]
    lines += [
        f'| {row["label"]} | `{row["config"]}` | '
        f'{", ".join(f"`{key}={value}`" for key, value in row["options"].items())} |'
        for row in content['rows']
    ]
    return '\n'.join(
        [*lines, '', ', '.join(f'{k} {v}' for k, v in content['versions'].items()), '']
    )


def as_csv(content: dict[str, Any]) -> str:
    """One line per row and metric, all numbers in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(
        [
            'row',
            'metric',
            'status',
            'seeds',
            'mean',
            'interval',
            'paper',
            'change',
            'change_interval',
            'paper_change',
            'config',
        ]
    )
    for row in content['rows']:
        for key in content['metrics']:
            ours, change = row['ours'].get(key, {}), row['change'].get(key, {})
            writer.writerow(
                [
                    row['label'],
                    key,
                    row['status'],
                    ours.get('seeds', 0),
                    ours.get('mean'),
                    ours.get('interval'),
                    row['paper'].get(key),
                    change.get('mean'),
                    change.get('interval'),
                    row['paper_change'].get(key),
                    row['config'],
                ]
            )
    return text.getvalue()


def _cells(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows as text; columns that no row has something for are left out."""
    columns = []
    for key in content['metrics']:
        name = COLUMNS.get(key, key).replace('\n', ' ')
        columns += [
            (f'{name} | ours', key, 'ours'),
            (f'{name} | paper', key, 'paper'),
            (f'{name} | change', key, 'change'),
            (f'{name} | paper change', key, 'paper_change'),
        ]
    columns = [
        column
        for column in columns
        if column[2] == 'ours' or any(column[1] in row[column[2]] for row in content['rows'])
    ]
    return (
        ['', *(name for name, _, _ in columns)],
        [
            [row['label'], *(_cell(row, key, kind) for _, key, kind in columns)]
            for row in content['rows']
        ],
    )


def _cell(row: dict[str, Any], key: str, kind: str) -> str:
    value = row[kind].get(key)
    if value is None:
        return row['status'] if kind == 'ours' and row['status'] != 'done' else ''
    scale, sign = 100 if key in PERCENT else 1, '+' if 'change' in kind else ''
    if not isinstance(value, dict):
        return f'{scale * value:{sign}.2f}'
    half = '' if value['interval'] is None else f' ± {scale * value["interval"]:.1f}'
    return f'{scale * value["mean"]:{sign}.1f}{half}'


def _remarks(content: dict[str, Any]) -> list[str]:
    lines = [f'paper: {content["paper"]}'] if content['paper'] else []
    absent = [row['label'] for row in content['rows'] if row['needed']]
    seeds, everything = content['seeds'], len(absent) == len(content['rows'])
    lines += _comparisons(content) + _protocols(content)
    if not everything:
        lines.append(
            f'ours: {content["interval"]}; seeds {", ".join(map(str, seeds))}'
            if len(seeds) > 1
            else f'ours: seed {seeds[0]} alone'
        )
    lines += content['notes']
    if absent:
        lines.append(
            f'{ABSENT} here: {"no row could be computed" if everything else "; ".join(absent)}'
        )
        lines += [
            f'needed: {reason}'
            for reason in dict.fromkeys(x for row in content['rows'] for x in row['needed'])
        ]
    return lines + [
        f'failed ({row["label"]}, seed {run["seed"]}): {run["error"]}'
        for row in content['rows']
        for run in row['runs']
        if 'error' in run
    ]


def _comparisons(content: dict[str, Any]) -> list[str]:
    """What every change is against: the table's baseline in a line, then the rows with one of their own."""
    groups: dict[str, list[str]] = {}
    for row in content['rows']:
        if row['baseline'] not in (None, row['label']):
            groups.setdefault(row['baseline'], []).append(row['label'])
    return [
        f'change{"" if base == content["baseline"] else " of " + "; ".join(labels)}: against {base}'
        for base, labels in groups.items()
    ]


def _protocols(content: dict[str, Any]) -> list[str]:
    """How our numbers were scored, and whether over the frames of the published ones."""
    seen = [
        (run['protocol'], run['frames'], run['published_frames'])
        for row in content['rows']
        for run in row['runs']
        if 'metrics' in run
    ]
    other = '; published numbers are over {}: not the same data'
    return [
        f'protocol: {name}, {frames} frames{other.format(published) if published not in (None, frames) else ""}'
        for name, frames, published in dict.fromkeys(seen)
    ]
