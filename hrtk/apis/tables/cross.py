"""Tables that cross methods, start models, sources of 2D keypoints and streams, expanded to ordinary rows.

Such a table has four keys in place of ``rows``. ``methods`` maps names, from the simplest method to the most complex
one, to configs, in whose paths ``{start}`` stands for the start model. ``starts`` lists the start models, or maps them
to mappings: with ``options``; with ``configs``, the start model whose configs are used, or a list of such, of which a
method takes the first that it has a config of; and with ``estimator``, a config whose estimator replaces theirs.
``sources`` maps the names of 2D keypoints to options, and ``streams`` the names of data to mappings with ``options``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import ConfigDict

from hrtk.apis.adaptation import load_config
from hrtk.errors import InputError, located, suggestion

AXES = ('methods', 'starts', 'sources', 'streams')
START_KEYS = ('configs', 'estimator', 'options')
METHOD_KEYS = ('config', 'options', 'starts')
STREAM_KEYS = ('options', 'starts', 'sources', 'methods', 'resample')


@dataclasses.dataclass(frozen=True)
class Cell:
    """The place of a row in a crossed table.

    Attributes:
        method: name of the method.
        rank: its place among the methods of the file, from 0 for the simplest one.
        start: the start model.
        source: the source of the 2D keypoints.
        stream: the data.
        resample: whether the stream has several independent sequences, so that intervals can be had by resampling them.
    """

    method: str
    rank: int
    start: str
    source: str
    stream: str
    resample: bool = True

    @property
    def group(self) -> tuple[str, str, str]:
        """What rows that are compared with each other share."""
        return self.stream, self.source, self.start

    def label(self, method: str) -> str:
        """The label of the row of a method in the same group."""
        return f'{self.stream}, 2D {self.source}, {self.start}: {method}'


class CrossedRow(NamedTuple):
    """An ordinary entry of ``rows``, with its place."""

    cell: Cell
    entry: dict[str, Any]


def is_crossed(content: Mapping[str, Any]) -> bool:
    """Whether the content of a table file has axes in place of rows."""
    return any(key in content for key in AXES)


def crossed_rows(content: Mapping[str, Any], file: Path) -> list[CrossedRow]:
    """The rows of a crossed table: streams outermost, then sources, start models and methods, as the file orders them.

    Args:
        content: of the table file.
        file: the table file.

    Raises:
        InputError: an axis is missing or of another form, a key or name is unknown, or a method lacks the config of a
            start model.
    """
    _check_axes(content, file)
    starts = _starts(content['starts'], file)
    sources = _options_by_name(content['sources'], ('options',), f'{file}: sources')
    methods = _methods(content['methods'], starts, file)
    _check_configs(starts, methods, file)
    baseline = content.get('baseline')
    if baseline is not None and baseline not in methods:
        raise InputError(
            f'{file}: baseline names no method, {baseline!r}. {suggestion(str(baseline), methods)}'
        )
    rows: list[CrossedRow] = []
    for stream, given in content['streams'].items():
        where = f'{file}: stream {stream!r}'
        kept = _mapping(given, STREAM_KEYS, where)
        chosen = {
            'starts': _chosen(kept, 'starts', starts, where),
            'sources': _chosen(kept, 'sources', sources, where),
            'methods': _chosen(kept, 'methods', methods, where),
        }
        for cell in _cells(stream, chosen, methods, kept.get('resample', True)):
            options = {
                **starts[cell.start]['options'],
                **(kept.get('options') or {}),
                **sources[cell.source],
                **(methods[cell.method].get('options') or {}),
            }
            configs = starts[cell.start]['configs']
            rows.append(CrossedRow(cell, _entry(cell, configs, methods, options, baseline, file)))
    return rows


def _check_axes(content: Mapping[str, Any], file: Path) -> None:
    if 'rows' in content:
        raise InputError(
            f'{file}: {", ".join(AXES)} stand in place of rows; keep either rows or these'
        )
    for key in AXES:
        kinds = (list, dict) if key == 'starts' else dict
        value = content.get(key)
        if not value or not isinstance(value, kinds) or not all(isinstance(k, str) for k in value):
            form = 'a mapping with names as keys'
            if key == 'starts':
                form = f'a list of names or {form}'
            raise InputError(
                f'{file}: {key} is {form}, not {str(value)[:60]!r}; see docs/en/tables.md'
            )


def _starts(given: Any, file: Path) -> dict[str, dict[str, Any]]:
    """The start models with ``configs`` and ``options``; a list has names alone."""
    entries = dict.fromkeys(given) if isinstance(given, list) else given
    starts = {}
    for name, entry in entries.items():
        where = f'{file}: start model {name!r}'
        start = _mapping(entry, START_KEYS, where)
        configs = start.get('configs', name)
        if isinstance(configs, str):
            configs = [configs]
        named = isinstance(configs, list) and all(isinstance(each, str) for each in configs)
        if not named or not all(configs) or not configs:
            raise InputError(
                f'{where}: configs is the start model whose configs are used, e.g. r18, or a list of them, not '
                f'{configs!r}'
            )
        options = dict(start.get('options') or {})
        if start.get('estimator') is not None:
            options = {'estimator': _estimator(start['estimator'], file, where), **options}
        starts[name] = {'configs': configs, 'options': options}
    return starts


def _check_configs(
    starts: Mapping[str, Mapping[str, Any]], methods: Mapping[str, Mapping[str, Any]], file: Path
) -> None:
    """Raises InputError for a start model in a list of ``configs`` that no method has a config of."""
    patterns = [method['config'] for method in methods.values() if '{start}' in method['config']]
    for name, start in starts.items():
        if len(start['configs']) == 1:
            continue  # the message about the method says more
        for given in start['configs']:
            paths = [file.parent / pattern.replace('{start}', given) for pattern in patterns]
            if not any(path.exists() for path in paths):
                raise InputError(
                    f'{file}: start model {name!r}: configs has {given!r}, and no method has a config of it, e.g. '
                    f'{paths[0] if paths else "a path with {start}"}'
                )


def _estimator(config: Any, file: Path, where: str) -> dict[str, Any]:
    """The estimator of a config, as an option that replaces another one as a whole."""
    if not isinstance(config, str):
        raise InputError(
            f'{where}: estimator is the path of a config that has one, e.g. ../mine.py, not {config!r}'
        )
    with located(where):
        estimator = load_config(str(file.parent / config)).get('estimator')
    if not isinstance(estimator, dict):
        raise InputError(f'{where}: the config {config} has no estimator')
    return {**ConfigDict(estimator).to_dict(), '_delete_': True}


def _methods(
    given: Mapping[str, Any], starts: Iterable[str], file: Path
) -> dict[str, dict[str, Any]]:
    """The methods with ``config``, ``options`` and ``starts``; a text alone is a config."""
    methods = {}
    for name, entry in given.items():
        where = f'{file}: method {name!r}'
        if isinstance(entry, str):
            entry = {'config': entry}
        method = _mapping(entry, METHOD_KEYS, where)
        if not isinstance(method.get('config'), str):
            raise InputError(f'{where}: config is the path of a config, e.g. ../{{start}}_wild.py')
        methods[name] = {**method, 'starts': _chosen(method, 'starts', starts, where)}
    return methods


def _options_by_name(
    given: Mapping[str, Any], keys: Iterable[str], source: str
) -> dict[str, dict[str, Any]]:
    options = {}
    for name, entry in given.items():
        options[name] = dict(_mapping(entry, keys, f'{source}.{name}').get('options') or {})
    return options


def _mapping(given: Any, keys: Iterable[str], source: str) -> dict[str, Any]:
    """The mapping of a name, empty for None, with known keys and options only."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InputError(f'{source}: expected a mapping with {", ".join(keys)}')
    for key in given:
        if key not in keys:
            raise InputError(f'{source}: unknown key {key!r}. {suggestion(str(key), keys)}')
    options = given.get('options') or {}
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise InputError(f'{source}: options is a mapping with names as keys')
    if not isinstance(given.get('resample', True), bool):
        raise InputError(f'{source}: resample is true or false, not {given["resample"]!r}')
    return given


def _chosen(given: Mapping[str, Any], key: str, known: Iterable[str], source: str) -> list[str]:
    """The names that a method or stream is limited to, in the order of the axis; all without a limit."""
    known = list(known)
    names = given.get(key, known)
    if not isinstance(names, list) or not names:
        raise InputError(f'{source}: {key} is a list of names, not {str(names)[:60]!r}')
    for name in names:
        if name not in known:
            raise InputError(f'{source}: {key} has {name!r}. {suggestion(str(name), known)}')
    return [name for name in known if name in names]


def _cells(
    stream: str,
    chosen: Mapping[str, list[str]],
    methods: Mapping[str, Mapping[str, Any]],
    resample: bool,
) -> Iterator[Cell]:
    ranks = {name: rank for rank, name in enumerate(methods)}
    for source in chosen['sources']:
        for start in chosen['starts']:
            for method in chosen['methods']:
                if start in methods[method]['starts']:
                    yield Cell(method, ranks[method], start, source, stream, resample)


def _entry(
    cell: Cell,
    starts: list[str],
    methods: Mapping[str, Mapping[str, Any]],
    options: dict[str, Any],
    baseline: Any,
    file: Path,
) -> dict[str, Any]:
    """The ordinary entry of a cell, with the config of the first start model that has one."""
    pattern = methods[cell.method]['config']
    configs = [pattern.replace('{start}', start) for start in starts]
    existing = [config for config in configs if (file.parent / config).exists()]
    if not existing:
        raise InputError(
            f'{file}: method {cell.method!r} has no config {" or ".join(configs)} for the start model '
            f'{cell.start!r}; name the start models that it has in its `starts`'
        )
    entry: dict[str, Any] = {
        'label': cell.label(cell.method),
        'config': existing[0],
        'options': options,
    }
    if baseline is not None and cell.start in methods[baseline]['starts']:
        entry['baseline'] = cell.label(baseline)
    return entry
