"""A table in the terminal, and as ``table.md``, ``table.csv`` and ``table.json``."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from hrtk.apis.tables.content import ABSENT
from hrtk.apis.tables.cross_writing import csv_text, markdown_lines, print_crossed
from hrtk.errors import suggestion
from hrtk.evaluation.report import COLUMNS, SCALES
from hrtk.files import write_text_atomically

# The columns of every metric: key in a row's content -> heading.
KINDS = {'ours': 'ours', 'paper': 'paper', 'change': 'change', 'paper_change': 'paper change'}
SIGNS = {'change': '+', 'paper_change': '+'}  # kinds whose positive numbers have a sign
CSV_COLUMNS = (
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
)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        metric: key of the metric.
        kind: key of :data:`KINDS`.
    """

    metric: str
    kind: str

    def heading(self, line_break: str) -> str:
        """Name of the metric, with that of a part (``'mpjpe_mm/Walking'``) in a line of its own, and of the kind."""
        name, _, part = self.metric.partition('/')
        lines = [COLUMNS.get(name, name).replace('\n', ' '), part, KINDS[self.kind]]
        return line_break.join(filter(None, lines))


def write_table(content: dict[str, Any], folder: Path) -> None:
    """Writes the three files.

    Args:
        content: of :func:`hrtk.apis.tables.content.table_content`.
        folder: is created if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    as_json = json.dumps(content, indent=1, default=str) + '\n'
    write_text_atomically(folder / 'table.json', as_json)
    write_text_atomically(folder / 'table.md', as_markdown(content))
    write_text_atomically(folder / 'table.csv', as_csv(content))


def print_table(content: dict[str, Any], console: Console) -> None:
    """Prints the table, in several parts where it is wider than the terminal, and its remarks."""
    console.print(content['title'], highlight=False, markup=False)
    if content.get('crossed'):
        print_crossed(content['crossed'], console)
        for line in _remarks(content):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    for columns in _columns_that_fit(content, console.width):
        table = RichTable('')
        for column in columns:
            table.add_column(column.heading('\n'), justify='right', no_wrap=True)
        for row in content['rows']:
            table.add_row(*map(escape, _cells(row, columns)))
        console.print(table)
    for line in _remarks(content):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def as_markdown(content: dict[str, Any]) -> str:
    """The table with its remarks, the configs of its rows and the versions."""
    lines = [f'# {content["title"]}', '', f'`python tools/benchmark.py {content["table"]}`', '']
    if content.get('crossed'):
        lines += markdown_lines(content['crossed'])
    else:
        lines += _plain_table(content)
    lines.extend(f'* {line}' for line in _remarks(content))
    lines += ['', '| row | config | options |', '| --- | --- | --- |']
    for row in content['rows']:
        if 'crossed' in content and row['status'] == 'waiting':
            continue
        options = ', '.join(f'`{key}={value}`' for key, value in row['options'].items())
        lines.append(_markdown_row([row['label'], f'`{row["config"]}`', options]))
    versions = ', '.join(f'{name} {version}' for name, version in content['versions'].items())
    lines += ['', versions, '']
    return '\n'.join(lines)


def _plain_table(content: dict[str, Any]) -> list[str]:
    """The lines of a table that is not crossed."""
    columns = _columns(content)
    lines = []
    lines.append(_markdown_row(['', *(column.heading('<br>') for column in columns)]))
    lines.append(_markdown_row(['---', *['---:'] * len(columns)]))
    for row in content['rows']:
        lines.append(_markdown_row(_cells(row, columns)))
    lines.append('')
    return lines


def _markdown_row(cells: list[str]) -> str:
    # A label with a bar of its own would end the cell.
    return '| ' + ' | '.join(cell.replace(' | ', '<br>') for cell in cells) + ' |'


def as_csv(content: dict[str, Any]) -> str:
    """One line per row and metric, with unrounded numbers."""
    if content.get('crossed'):
        return csv_text(content['crossed'])
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator='\n')
    writer.writeheader()
    for row in content['rows']:
        for metric in content['metrics']:
            ours = row['ours'].get(metric, {})
            change = row['change'].get(metric, {})
            writer.writerow(
                {
                    'row': row['label'],
                    'metric': metric,
                    'status': row['status'],
                    'seeds': ours.get('seeds', 0),
                    'mean': ours.get('mean'),
                    'interval': ours.get('interval'),
                    'paper': row['paper'].get(metric),
                    'change': change.get('mean'),
                    'change_interval': change.get('interval'),
                    'paper_change': row['paper_change'].get(metric),
                    'config': row['config'],
                }
            )
    return text.getvalue()


def _columns(content: dict[str, Any]) -> list[Column]:
    """Our numbers of every metric, and the other columns that have a value in any row."""
    columns = []
    for metric in content['metrics']:
        for kind in KINDS:
            if kind == 'ours' or any(metric in row[kind] for row in content['rows']):
                columns.append(Column(metric, kind))
    return columns


def _columns_that_fit(content: dict[str, Any], width: int) -> Iterator[list[Column]]:
    """The columns, in groups that are not wider than a terminal; those of one metric stay together."""
    labels = [len(row['label']) for row in content['rows']]
    room = width - min(max(labels), width // 3) - 4
    group: list[Column] = []
    taken = 0
    for _, columns in itertools.groupby(_columns(content), key=lambda column: column.metric):
        of_metric = list(columns)
        needed = sum(_width(content, column) for column in of_metric)
        if group and taken + needed > room:
            yield group
            group = []
            taken = 0
        group += of_metric
        taken += needed
    yield group


def _width(content: dict[str, Any], column: Column) -> int:
    """Width of a printed column in characters, with its border and padding."""
    texts = column.heading('\n').split('\n')
    texts += [_cell(row, column) for row in content['rows']]
    return 3 + max(map(len, texts))


def _cells(row: dict[str, Any], columns: list[Column]) -> list[str]:
    """The texts of a row, its label first."""
    return [row['label'], *(_cell(row, column) for column in columns)]


def _cell(row: dict[str, Any], column: Column) -> str:
    value = row[column.kind].get(column.metric)
    if value is None:
        if column.kind == 'ours' and row['status'] != 'done':
            return row['status']
        return ''
    scale = SCALES.get(column.metric, 1)
    sign = SIGNS.get(column.kind, '')
    if not isinstance(value, dict):
        return f'{scale * value:{sign}.2f}'
    mean = f'{scale * value["mean"]:{sign}.1f}'
    if value['interval'] is None:
        return mean
    return f'{mean} ± {scale * value["interval"]:.1f}'


def _remarks(content: dict[str, Any]) -> list[str]:
    """The lines below the table."""
    lines = []
    if content['paper']:
        lines.append(f'paper: {content["paper"]}')
    if content['time']:
        lines.append(f'time of the whole table: {content["time"]}')
    crossed = 'crossed' in content  # these tables have rules and intervals of their own
    if not crossed:
        lines += _comparisons(content)
    lines += _protocols(content)
    absent = [row['label'] for row in content['rows'] if row['needed']]
    all_absent = len(absent) == len(content['rows'])
    if not all_absent and not crossed:
        lines.append(_seeds(content))
    lines += content['notes']
    if absent:
        labels = 'no row could be computed' if all_absent else '; '.join(absent)
        lines.append(f'{ABSENT} here: {labels}')
        lines += [f'needed: {reason}' for reason in _needed(content)]
    lines += _metrics_without_values(content)
    for row, run in _runs(content):
        if 'error' in run:
            lines.append(f'failed ({row["label"]}, seed {run["seed"]}): {run["error"]}')
    return lines


def _metrics_without_values(content: dict[str, Any]) -> list[str]:
    """Metrics that no finished run reports, such as misspelt ones, with those that the runs report."""
    reported: set[str] = set()
    for _, run in _runs(content):
        reported.update(run.get('metrics', ()))
    if not reported:
        return []
    return [
        f'no run reports the metric {metric!r}. {suggestion(metric, sorted(reported), count=3)}'
        for metric in content['metrics']
        if metric not in reported
    ]


def _comparisons(content: dict[str, Any]) -> list[str]:
    """The baseline of the table's rows in one line, then the rows with another baseline."""
    groups: dict[str, list[str]] = {}
    for row in content['rows']:
        if row['baseline'] not in (None, row['label']):
            groups.setdefault(row['baseline'], []).append(row['label'])
    lines = []
    for baseline, labels in groups.items():
        subject = 'change'
        if baseline != content['baseline']:
            subject = f'change of {"; ".join(labels)}'
        lines.append(f'{subject}: against {baseline}')
    return lines


def _protocols(content: dict[str, Any]) -> list[str]:
    """The protocol of our numbers, and whether they are over the frames of the published ones."""
    lines = []
    for _, run in _runs(content):
        if 'metrics' not in run:
            continue
        if 'items' in run:
            lines.append(f'{run["part"]} part: {run["protocol"]}, {run["items"]} items')
            continue
        line = f'protocol: {run["protocol"]}, {run["frames"]} frames'
        published = run['published_frames']
        if published not in (None, run['frames']):
            line += f'; published numbers are over {published}: not the same data'
        lines.append(line)
    return list(dict.fromkeys(lines))


def _seeds(content: dict[str, Any]) -> str:
    seeds = content['seeds']
    if len(seeds) == 1:
        return f'ours: seed {seeds[0]} alone'
    return f'ours: {content["interval"]}; seeds {", ".join(map(str, seeds))}'


def _needed(content: dict[str, Any]) -> list[str]:
    """All reasons why rows could not be computed, each once."""
    reasons: list[str] = []
    for row in content['rows']:
        reasons.extend(row['needed'])
    return list(dict.fromkeys(reasons))


def _runs(content: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every run with its row."""
    for row in content['rows']:
        for run in row['runs']:
            yield row, run
