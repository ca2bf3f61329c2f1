"""Comparison tables: rows of configs and options, the metrics in the columns, and a paper's values beside ours."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional

import yaml

from hrtk.apis.locations import find_config
from hrtk.errors import InputError


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: what the line says.
        config: path of its config.
        options: replacements in it by dotted key.
        paper: the paper's values by metric.
        baseline: label of the row that it is compared with, or None.
        joints: a folder of joints of another program, which are scored on the config's data set instead of running
            its adapter, see :func:`hrtk.apis.evaluate_joints`; None for a run.
    """

    label: str
    config: Path
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    paper: dict[str, float] = dataclasses.field(default_factory=dict)
    baseline: Optional[str] = None
    joints: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Table:
    """What a table file says.

    Attributes:
        file: where it was read from.
        title: one line.
        paper: whose values stand beside ours, with the number of its table; empty if nobody's.
        metrics: columns, keys of :data:`hrtk.evaluation.report.COLUMNS`.
        rows: with the table's ``options`` put before their own.
        seeds: every row is run once with each.
        seed_keys: which keys of a config take the seed.
        baseline: label of the row that those are compared with which name no other, or None.
        notes: what a reader must know, e.g. known errors of the paper's table.
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
ROW_KEYS = ('label', 'config', 'joints', 'options', 'vary', 'paper', 'baseline')


def load_table(file: str | Path) -> Table:
    """Reads a table file.

    A row has a ``label``, a ``config`` (path, relative to the file), ``options``, ``paper`` values and, where it is not
    the table's, a ``baseline``. With ``joints`` (a folder, relative to the current one, as the paths in configs) it is
    no run but the joints of another program. With ``vary``, lists of values by dotted key, it stands for one row per
    combination, the last key changing fastest: every ``{}`` of its label takes the next key's value, and its ``paper``
    values are lists with one number per combination.

    Raises:
        InputError: names the file, the row and what is wrong with it.
    """
    file = find_config(file, '.yaml') or Path(file)
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise InputError(f'there is no table {file}') from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f'{file}: cannot be read as yaml: {error}') from error
    if not isinstance(content, dict):
        raise InputError(f'{file}: a table is a mapping with {", ".join(KEYS)}')
    _check(content, KEYS, ('title', 'metrics', 'rows'), str(file))
    common = content.pop('options', None) or {}
    rows = tuple(
        row
        for number, row in enumerate(content.pop('rows'), 1)
        for row in _expand(
            {'baseline': content.get('baseline'), **row} if isinstance(row, dict) else row,
            common,
            file.parent,
            f'{file}: row {number}',
        )
    )
    labels = [row.label for row in rows]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InputError(f'{file}: more than one row is called {twice[0]!r}')
    table = Table(
        file,
        rows=rows,
        **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
        },
    )
    for baseline in dict.fromkeys([table.baseline, *(row.baseline for row in rows)]):
        if baseline is not None and baseline not in labels:
            near = difflib.get_close_matches(baseline, labels, n=1)
            raise InputError(
                f'{file}: baseline names no row, {baseline!r}; labels are {", ".join(near or labels)}'
            )
    unknown = sorted({key for row in rows for key in row.paper} - set(table.metrics))
    if unknown:
        raise InputError(
            f'{file}: paper values of {", ".join(unknown)}, which metrics does not list'
        )
    return table


def _expand(row: Any, common: Mapping[str, Any], folder: Path, where: str) -> Iterable[Row]:
    if not isinstance(row, dict):
        raise InputError(f'{where}: a row is a mapping with {", ".join(ROW_KEYS)}')
    _check(row, ROW_KEYS, ('label', 'config'), where)
    vary, paper = row.get('vary') or {}, row.get('paper') or {}
    combinations = list(itertools.product(*vary.values()))
    if row['label'].count('{}') != len(vary):
        raise InputError(
            f'{where}: the label {row["label"]!r} needs one {{}} for each of {list(vary)}'
        )
    for metric, values in paper.items():
        wanted = len(combinations) if vary else None
        if wanted != (len(values) if isinstance(values, list) else None):
            raise InputError(
                f'{where}: paper.{metric} must be {f"a list of {wanted} numbers" if vary else "a number"}'
            )
    for number, values in enumerate(combinations):
        shown = [f'{value:g}' if isinstance(value, float) else value for value in values]
        yield Row(
            row['label'].format(*shown),
            folder / row['config'],
            {**common, **(row.get('options') or {}), **dict(zip(vary, values))},
            {metric: float(value[number] if vary else value) for metric, value in paper.items()},
            row['baseline'],
            row.get('joints'),
        )


def _check(
    mapping: Mapping[str, Any], known: Iterable[str], required: Iterable[str], where: str
) -> None:
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise InputError(
                f'{where}: unknown key {key!r}; {"did you mean" if near else "known:"} '
                f'{", ".join(near or known)}'
            )
    for key in required:
        if not mapping.get(key):
            raise InputError(f'{where}: lacks {key!r}')
