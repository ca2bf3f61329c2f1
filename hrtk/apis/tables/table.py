"""Comparison tables: rows of configs and options, metrics as columns, and a paper's values beside our own."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from hrtk.apis.locations import find_config
from hrtk.errors import InputError, suggestion
from hrtk.reading import read_yaml


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        label: the text of its first column.
        config: path of its config.
        options: replacements in the config by dotted key.
        paper: the paper's values by metric.
        baseline: label of the row that it is compared with, or None.
        joints: a folder of joints of another program, which are scored on the data set of the config instead of
            running its adapter, see :func:`hrtk.apis.evaluate_joints`; None for a run.
    """

    label: str
    config: Path
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    paper: dict[str, float] = dataclasses.field(default_factory=dict)
    baseline: Optional[str] = None
    joints: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Table:
    """The content of a table file.

    Attributes:
        file: path of the table file.
        title: one line.
        metrics: columns, keys of :data:`hrtk.evaluation.report.COLUMNS`.
        rows: with the table's ``options`` merged below their own.
        paper: the paper of the values beside ours, with the number of its table; empty if there are none.
        seeds: every row is run once with each.
        seed_keys: dotted keys of a config that receive the seed.
        baseline: label of the row that is the baseline of all rows without their own, or None.
        notes: remarks for the reader, e.g. known errors of the paper's table.
    """

    file: Path
    title: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    paper: str = ''
    seeds: tuple[int, ...] = (0,)
    seed_keys: tuple[str, ...] = ('randomness.seed',)
    baseline: Optional[str] = None
    notes: tuple[str, ...] = ()


KEYS = ('title', 'paper', 'metrics', 'seeds', 'seed_keys', 'baseline', 'notes', 'options', 'rows')
LISTS = ('metrics', 'seeds', 'seed_keys', 'notes', 'rows')
ROW_KEYS = ('label', 'config', 'joints', 'options', 'vary', 'paper', 'baseline')


def load_table(file: str | Path) -> Table:
    """Reads a table file.

    A row has a ``label``, a ``config`` (path, relative to the file), ``options``, ``paper`` values and, where it is not
    the table's, a ``baseline``. With ``joints`` (a folder, relative to the current one, as the paths in configs) it is
    no run but the joints of another program. With ``vary``, lists of values by dotted key, it stands for one row per
    combination, the last key varying fastest: every ``{}`` in its label takes the next key's value, and its ``paper``
    values are lists with one number per combination.

    Raises:
        InputError: names the file, the row and what is wrong with it.
    """
    file = find_config(file, '.yaml') or Path(file)
    content = _read(file)
    rows: list[Row] = []
    for number, entry in enumerate(content['rows'], 1):
        rows.extend(_expand(entry, content, file, number))
    fields: dict[str, Any] = {key: tuple(content[key]) for key in LISTS if key in content}
    fields.update({key: content[key] for key in ('title', 'paper', 'baseline') if key in content})
    fields['rows'] = tuple(rows)
    table = Table(file=file, **fields)
    _check_rows(table)
    return table


def _read(file: Path) -> dict[str, Any]:
    """The content of a table file with known keys and lists only."""
    if not file.exists():
        raise InputError(f'there is no table {file}')
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise InputError(f'{file}: a table is a mapping with {", ".join(KEYS)}')
    _check_keys(content, KEYS, ('title', 'metrics', 'rows'), str(file))
    for key in LISTS:
        if key in content and not isinstance(content[key], list):
            raise InputError(f'{file}: {key} must be a list, not {content[key]!r}')
    for metric in content['metrics']:
        if not isinstance(metric, str):
            raise InputError(f'{file}: metrics are names, not {metric!r}')
    return content


def _expand(entry: Any, content: Mapping[str, Any], file: Path, number: int) -> Iterator[Row]:
    """The rows that one entry of ``rows`` stands for: one, or with ``vary`` one per combination of values.

    Args:
        entry: the entry.
        content: the table file's.
        file: the table file.
        number: the entry's, from 1, for messages.
    """
    source = f'{file}: row {number}'
    if not isinstance(entry, dict):
        raise InputError(f'{source}: a row is a mapping with {", ".join(ROW_KEYS)}')
    _check_keys(entry, ROW_KEYS, ('label', 'config'), source)
    label = entry['label']
    vary = entry.get('vary') or {}
    paper = entry.get('paper') or {}
    combinations = list(itertools.product(*vary.values()))
    if label.count('{}') != len(vary):
        raise InputError(f'{source}: the label {label!r} needs one {{}} for each of {list(vary)}')
    for metric, values in paper.items():
        if vary and not (isinstance(values, list) and len(values) == len(combinations)):
            raise InputError(
                f'{source}: paper.{metric} must be a list of {len(combinations)} numbers'
            )
        if not vary and isinstance(values, list):
            raise InputError(f'{source}: paper.{metric} must be a number')
    options = {**(content.get('options') or {}), **(entry.get('options') or {})}
    baseline = entry.get('baseline', content.get('baseline'))
    for index, combination in enumerate(combinations):
        if vary:
            paper_values = {metric: float(values[index]) for metric, values in paper.items()}
        else:
            paper_values = {metric: float(value) for metric, value in paper.items()}
        yield Row(
            label=label.format(*map(_label_text, combination)),
            config=file.parent / entry['config'],
            options={**options, **dict(zip(vary, combination))},
            paper=paper_values,
            baseline=baseline,
            joints=entry.get('joints'),
        )


def _label_text(value: Any) -> Any:
    return f'{value:g}' if isinstance(value, float) else value


def _check_rows(table: Table) -> None:
    """Checks what concerns several rows: labels, baselines and the metrics of paper values."""
    labels = [row.label for row in table.rows]
    duplicates = sorted({label for label in labels if labels.count(label) > 1})
    if duplicates:
        raise InputError(f'{table.file}: more than one row is called {duplicates[0]!r}')
    for baseline in (table.baseline, *(row.baseline for row in table.rows)):
        if baseline is not None and baseline not in labels:
            hint = suggestion(baseline, labels)
            raise InputError(f'{table.file}: baseline names no row, {baseline!r}. {hint}')
    paper_metrics: set[str] = set()
    for row in table.rows:
        paper_metrics.update(row.paper)
    unknown = sorted(paper_metrics - set(table.metrics))
    if unknown:
        raise InputError(
            f'{table.file}: paper values of {", ".join(unknown)}, which metrics does not list'
        )


def _check_keys(
    mapping: Mapping[str, Any], known: Iterable[str], required: Iterable[str], source: str
) -> None:
    for key in mapping:
        if key not in known:
            raise InputError(f'{source}: unknown key {key!r}. {suggestion(str(key), known)}')
    for key in required:
        if not mapping.get(key):
            raise InputError(f'{source}: {key!r} is missing')
