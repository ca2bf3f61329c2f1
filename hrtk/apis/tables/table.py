"""Comparison tables: rows of configs and options, metrics as columns, and a paper's values beside our own."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from hrtk.apis.adaptation import load_config
from hrtk.apis.locations import find_config
from hrtk.apis.tables.cross import AXES, Cell, crossed_rows, is_crossed
from hrtk.apis.tables.settings import settings_of
from hrtk.errors import InputError, suggestion
from hrtk.reading import read_yaml

# The options that receive the checkpoint of a pretraining, of a later training and of an adaptation.
START = 'model.network.pretrained'
ADAPTED = 'estimator.weights'
STAGE = 'pretraining.'  # begins the keys of `vary` that belong to the pretraining


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
        train: whether the config is one of a training, which is trained and then tested on its test part.
        checkpoint: of that training: ``'epoch_<n>'``, ``'iter_<n>'``, or ``'best'`` for the one that mmengine's
            ``CheckpointHook`` with ``save_best`` wrote; None for the last.
        weights: tests these weights on the test part of a training config instead, see :func:`hrtk.apis.test`.
        pretraining: a training that is run first; its last checkpoint becomes the option ``start``.
        start: of a pretraining, the dotted key in the config of the later stage.
        cost: counts the parameters and operations of these parts of the config's network instead.
        cell: its place in a crossed table, see :mod:`hrtk.apis.tables.cross`; None in other tables.
    """

    label: str
    config: Path
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    paper: dict[str, float] = dataclasses.field(default_factory=dict)
    baseline: Optional[str] = None
    joints: Optional[str] = None
    train: bool = False
    checkpoint: Optional[str] = None
    weights: Optional[str] = None
    pretraining: Optional[Row] = None
    start: str = START
    cost: tuple[str, ...] = ()
    cell: Optional[Cell] = None

    @property
    def tests_network(self) -> bool:
        """Whether the config is one of a training, whose network gives the row's numbers."""
        return self.train or self.weights is not None or bool(self.cost)

    @functools.cached_property  # a table is written after every run, with all its rows
    def settings(self) -> dict[str, str]:
        """Reset policy and order of the derivatives of its adapter, see :func:`settings_of`."""
        return settings_of(load_config(self.config, self.options))


@dataclasses.dataclass(frozen=True)
class Table:
    """The content of a table file.

    Attributes:
        file: path of the table file.
        title: one line.
        metrics: columns, keys of :data:`hrtk.evaluation.report.COLUMNS`.
        rows: with the table's ``options`` merged below their own.
        paper: the paper of the values beside ours, with the number of its table; empty if there are none.
        time: how long the whole table takes and on what, with the source of the estimate; empty if unknown.
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
    time: str = ''
    seeds: tuple[int, ...] = (0,)
    seed_keys: tuple[str, ...] = ('randomness.seed',)
    baseline: Optional[str] = None
    notes: tuple[str, ...] = ()


TEXTS = ('title', 'paper', 'time', 'baseline')
KEYS = (*TEXTS, 'metrics', 'seeds', 'seed_keys', 'notes', 'options', 'rows', *AXES)
LISTS = ('metrics', 'seeds', 'seed_keys', 'notes', 'rows')
ROW_KEYS = (
    'label',
    'config',
    'joints',
    'train',
    'checkpoint',
    'weights',
    'cost',
    'pretraining',
    'options',
    'vary',
    'paper',
    'baseline',
)
KINDS = ('joints', 'train', 'weights', 'cost')  # a row has one of them, or is an adaptation
# What the values of keys are, by key: of a table, of a row and of a pretraining.
VALUES: dict[str, type] = {
    **dict.fromkeys(('title', 'time', 'baseline', 'label', 'config', 'joints', 'weights'), str),
    **dict.fromkeys(('options', 'vary'), dict),
    'start': str,
}
MEMBERS: dict[str, type] = {'metrics': str, 'seeds': int, 'seed_keys': str, 'notes': str}
LARGEST_SEED = 2**32 - 1  # that numpy takes
WORDS = {str: 'a text', int: 'a whole number', dict: 'a mapping with names as keys'}
STAGE_KEYS = ('config', 'options', 'start', 'pretraining')
CHECKPOINT = re.compile(r'(epoch|iter)_[1-9][0-9]*|best')


def load_table(file: str | Path) -> Table:
    """Reads a table file.

    A row has a ``label``, a ``config`` (path, relative to the file), ``options``, ``paper`` values and, where it is not
    the table's, a ``baseline``. With ``joints`` (a folder, relative to the current one, as the paths in configs) it is
    no run but the joints of another program. With ``train: true`` its config is one of a training, which is run and
    then tested, by its last checkpoint or the one that ``checkpoint`` names; with ``weights`` these are tested. With
    ``vary``, lists of values by dotted key, it stands for one row per combination, the last key varying fastest: every
    ``{}`` in its label takes the next key's value, and its ``paper`` values are lists with one number per combination.
    The key ``checkpoint`` can vary too, and options of a pretraining as ``pretraining.<key>``.

    ``pretraining`` is a training before that of a row, or before its adaptation: its ``config``, ``options``, and
    ``start``, the option of the row's config that receives its last checkpoint. ``cost``, a list of parts of the
    network, counts instead of training.

    With ``methods``, ``starts``, ``sources`` and ``streams`` in place of ``rows`` there is a row for each of their
    combinations, see :mod:`hrtk.apis.tables.cross`; ``baseline`` is then the name of a method.

    Raises:
        InputError: names the file, the row and what is wrong with it.
    """
    file = find_config(file, '.yaml') or Path(file)
    content = _read(file)
    rows: list[Row] = []
    if is_crossed(content):
        crossed = crossed_rows(content, file)
        content.pop('baseline', None)
        for number, (cell, entry) in enumerate(crossed, 1):
            for row in _expand(entry, content, file, number):
                rows.append(dataclasses.replace(row, cell=cell))
    for number, entry in enumerate(content.get('rows', ()), 1):
        rows.extend(_expand(entry, content, file, number))
    fields: dict[str, Any] = {key: tuple(content[key]) for key in LISTS if key in content}
    fields.update({key: content[key] for key in TEXTS if key in content})
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
    required = ['title', 'metrics']
    if not is_crossed(content):
        required.append('rows')
    _check_keys(content, KEYS, required, str(file))
    _check_value(content.get('paper'), str, 'paper', str(file))
    for key in LISTS:
        if key in content and not isinstance(content[key], list):
            raise InputError(f'{file}: {key} must be a list, not {content[key]!r}')
    for key, kind in MEMBERS.items():
        for member in content.get(key, ()):
            _check_value(member, kind, f'each of {key}', str(file))
    for seed in content.get('seeds', ()):
        if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
            raise InputError(f'{file}: each of seeds is from 0 to 2**32 - 1, not {seed}')
    return content


def _check_value(value: Any, kind: type, key: str, source: str) -> None:
    """Raises InputError for a value of another kind; None is any kind."""
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if kind is dict and fits:
        fits = all(isinstance(name, str) for name in value)
    if value is not None and not fits:
        raise InputError(f'{source}: {key} is {WORDS[kind]}, not {str(value)[:60]!r}')


def _numbers(values: Any, source: str) -> dict[str, list[float]]:
    """The values of a paper by metric, as lists.

    Raises:
        InputError: one is no number.
    """
    _check_value(values, dict, 'paper', source)
    numbers = {}
    for metric, given in (values or {}).items():
        members = given if isinstance(given, list) else [given]
        if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in members):
            raise InputError(f'{source}: paper.{metric} must be numbers, not {str(given)[:60]!r}')
        numbers[metric] = [float(member) for member in members]
    return numbers


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
    _check_kind(entry, source)
    label = entry['label']
    vary = entry.get('vary') or {}
    for key, values in vary.items():
        if not isinstance(values, list):
            raise InputError(f'{source}: vary.{key} is a list of values, not {str(values)[:60]!r}')
    paper = entry.get('paper') or {}
    numbers = _numbers(paper, source)
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
        values_of_row = dict(zip(vary, combination))
        checkpoint = values_of_row.pop('checkpoint', entry.get('checkpoint'))
        _check_checkpoint(entry, checkpoint, source)
        own_options, stage_options = _split_options(values_of_row)
        yield Row(
            label=_filled(label, combination),
            config=file.parent / entry['config'],
            options={**options, **own_options},
            paper={metric: values[index] for metric, values in numbers.items()},
            baseline=baseline,
            joints=entry.get('joints'),
            train=bool(entry.get('train', False)),
            checkpoint=checkpoint,
            weights=entry.get('weights'),
            pretraining=_stage(entry, stage_options, file, source, bool(entry.get('train'))),
            cost=tuple(entry.get('cost') or ()),
        )


def _split_options(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of ``vary``: those of the row's config and those of its pretraining."""
    own: dict[str, Any] = {}
    stage: dict[str, Any] = {}
    for key, value in values.items():
        if key.startswith(STAGE):
            stage[key.removeprefix(STAGE)] = value
        else:
            own[key] = value
    return own, stage


def _stage(
    later: Mapping[str, Any], options: Mapping[str, Any], file: Path, source: str, trains: bool
) -> Optional[Row]:
    """The row of a pretraining, or None.

    Args:
        later: the entry of the later stage.
        options: further options, from ``vary``.
        file: the table file.
        source: for messages.
        trains: whether the later stage is a training; else it is an adaptation.
    """
    entry = later.get('pretraining')
    if entry is None:
        if options:
            raise InputError(f'{source}: vary has keys of a pretraining, but the row has none')
        return None
    source = f'{source}, pretraining'
    if not isinstance(entry, dict):
        raise InputError(f'{source}: expected a mapping with {", ".join(STAGE_KEYS)}')
    _check_keys(entry, STAGE_KEYS, ('config',), source)
    own_options, earlier_options = _split_options(options)
    return Row(
        label=entry['config'],
        config=file.parent / entry['config'],
        options={**(entry.get('options') or {}), **own_options},
        train=True,
        pretraining=_stage(entry, earlier_options, file, source, True),
        start=entry.get('start', START if trains else ADAPTED),
    )


def _filled(label: str, values: Iterable[Any]) -> str:
    """A label with values in place of each ``{}``."""
    text, *rest = label.split('{}')
    for value, part in zip(values, rest):
        shown = f'{value:g}' if isinstance(value, float) else str(value)
        text = f'{text}{shown}{part}'
    return text


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


def _check_kind(entry: Mapping[str, Any], source: str) -> None:
    """Checks the keys that say what a row is."""
    kinds = [key for key in KINDS if entry.get(key)]
    if len(kinds) > 1:
        raise InputError(f'{source}: {" and ".join(kinds)} exclude each other; keep one of them')
    if entry.get('pretraining') and kinds not in ([], ['train']):
        raise InputError(
            f'{source}: pretraining comes before an adaptation or a row with `train: true`, not before {kinds[0]}'
        )
    cost = entry.get('cost') or []
    if not isinstance(cost, list) or not all(isinstance(part, str) for part in cost):
        raise InputError(
            f"{source}: cost is a list of names of the network's parts, e.g. [encoder2d], or [network] for all of it"
        )
    if not isinstance(entry.get('train', False), bool):
        raise InputError(f'{source}: train is true or false, not {entry["train"]!r}')


def _check_checkpoint(entry: Mapping[str, Any], checkpoint: Any, source: str) -> None:
    if checkpoint is None:
        return
    if not entry.get('train'):
        raise InputError(f'{source}: checkpoint is one of a training; add `train: true`')
    if not CHECKPOINT.fullmatch(str(checkpoint)):
        raise InputError(
            f'{source}: checkpoint is epoch_<n>, iter_<n> or best, e.g. epoch_1, not {checkpoint!r}'
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
    for key, kind in VALUES.items():
        _check_value(mapping.get(key), kind, key, source)
