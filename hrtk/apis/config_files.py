"""Config files: a ``.py`` config is code and is executed, ``.yaml`` and ``.json`` configs are data and are not.

A data config holds plain values. ``_base_`` names other data configs, or configs that ship with hrtk, which are the
only code that it can lead to. ``type`` names registered classes, and ``custom_imports`` is refused.
"""

from __future__ import annotations

import ast
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from hrtk.apis.locations import bundled_configs, find_config
from hrtk.errors import InputError
from hrtk.reading import read_json, read_yaml
from hrtk.reading.regular import regular_file, utf8_name
from hrtk.registry import check_names

DATA = ('.yaml', '.yml', '.json')
BASES = '_base_'
IMPORTS = 'custom_imports'
PLAIN = (str, bool, int, float, list, tuple)
# What the values of top-level keys are, in configs of adaptations and of trainings.
MAPPINGS = (
    'adapter',
    'dataset',
    'default_hooks',
    'env_cfg',
    'estimator',
    'log_processor',
    'midway',
    'model',
    'optim_wrapper',
    'outputs',
    'preparations',
    'randomness',
    'test_cfg',
    'test_dataloader',
    'train_cfg',
    'train_dataloader',
    'val_cfg',
    'val_dataloader',
    'visualizer',
)
LISTS = ('custom_hooks', 'evaluator', 'param_scheduler', 'test_evaluator', 'val_evaluator')
TEXTS = ('default_scope', 'device', 'launcher', 'load_from', 'work_dir')


def read_config(path: Path) -> Config:
    """Reads a config.

    Args:
        path: of a ``.py`` config, which is executed, or of a ``.yaml`` or ``.json`` config, which is not.

    Raises:
        InputError: the file cannot be read, raises an error or calls ``exit`` (file and line are named), or a data
            config needs something executed.
    """
    regular_file(path, noun='config')
    utf8_name(path)
    if path.suffix.lower() not in DATA:
        return _execute(path)
    content = _read_data(path, ())
    check_names(content, str(path))
    try:
        return Config(content, filename=path)
    except (
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:  # a name that mmengine reserves
        raise InputError(f'{path}: cannot be used as a config ({error})') from error


def check_values(content: Mapping[str, Any], source: str) -> None:
    """Refuses values of another kind than a top-level key of a config has; None, and objects, stand for anything.

    Args:
        content: a config.
        source: file, for messages.

    Raises:
        InputError: names the key.
    """
    for key, value in content.items():
        if value is None:
            continue
        if key in MAPPINGS and isinstance(value, PLAIN):
            raise _wrong_kind(source, key, 'a mapping', value)
        if key in TEXTS and not isinstance(value, (str, Path)):
            raise _wrong_kind(source, key, 'a text', value)
        if key in LISTS:
            members = value if isinstance(value, (list, tuple)) else [value]
            if any(isinstance(member, PLAIN) for member in members):
                raise _wrong_kind(source, key, 'a mapping or a list of mappings', value)
        if key == 'resume' and not isinstance(value, bool):
            raise _wrong_kind(source, key, 'true or false', value)


def _wrong_kind(source: str, key: str, kind: str, value: Any) -> InputError:
    return InputError(f'{source}: {key} is {kind}, not {str(value)[:60]!r}')


def check_imports(content: Mapping[str, Any], source: str) -> None:
    """Refuses options that set ``custom_imports``, and a dict that names modules which are not imported.

    Args:
        content: a config, or options by dotted key.
        source: for messages.

    Raises:
        InputError: there is such a key.
    """
    for key, value in content.items():
        if str(key).split('.')[0] == IMPORTS and value and not _are_imported(value):
            raise _refusal(source)


def _are_imported(value: Any) -> bool:
    """Whether all modules of ``custom_imports`` are imported already, as in a config that was read before."""
    names = value.get('imports') if isinstance(value, Mapping) else None
    return isinstance(names, list) and all(str(name) in sys.modules for name in names)


def _refusal(source: str) -> InputError:
    return InputError(
        f'{source}: {IMPORTS} stands in a .py config only, because it executes modules; install the package '
        f'as a plugin (entry point hrtk.plugins), or import it in your own program'
    )


def _execute(path: Path) -> Config:
    """Runs a config in Python."""
    _refuse_circles(path, ())
    try:
        cfg = Config.fromfile(path)
        _import_classes(cfg._cfg_dict)
    except SystemExit as error:
        raise InputError(
            f'{_error_location(path, error)}: the config calls exit ({error.code}); a config assigns values'
        ) from error
    except Exception as error:  # a config is a program, so it can raise anything
        message = error.msg if isinstance(error, SyntaxError) else error
        raise InputError(
            f'{_error_location(path, error)}: {type(error).__name__}: {message}'
        ) from error
    return cfg


def _check_circle(path: Path, readers: tuple[Path, ...]) -> None:
    """Raises InputError if a config is one of its readers, the configs that name it as their base."""
    if path.resolve() in readers:
        raise InputError(f'{path}: is its own {BASES}, through {readers[-1]}; remove one of them')


def _refuse_circles(path: Path, readers: tuple[Path, ...]) -> None:
    """Refuses a config that is its own base, directly or through others, before anything of it is executed.

    Args:
        path: of the config.
        readers: the configs that name it as their base.
    """
    _check_circle(path, readers)
    for base in _literal_bases(path):
        file = path.parent / base
        if file.suffix == '.py' and file.is_file():
            _refuse_circles(file, (*readers, path.resolve()))


def _literal_bases(path: Path) -> list[str]:
    """The paths that a Python config names as ``_base_``; none if it computes them, or is not readable."""
    try:
        tree = ast.parse(path.read_text(encoding='utf-8'))
    except (OSError, SyntaxError, ValueError):  # reported when the config is executed
        return []
    for statement in tree.body:
        if not isinstance(statement, ast.Assign):
            continue
        if any(isinstance(target, ast.Name) and target.id == BASES for target in statement.targets):
            try:
                bases = ast.literal_eval(statement.value)
            except ValueError:
                return []
            if isinstance(bases, str):
                bases = [bases]
            return [base for base in bases if isinstance(base, str)]
    return []


def _import_classes(value: Any) -> None:
    """Imports the classes of a pure-Python config, which mmengine leaves for later, so that they are registered."""
    if isinstance(value, ConfigDict):
        for member in value.values():
            _import_classes(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _import_classes(member)


def _read_data(path: Path, readers: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a data config, its bases merged.

    Args:
        path: of the config.
        readers: the configs that name it as their base.
    """
    _check_circle(path, readers)
    read = read_json if path.suffix.lower() == '.json' else read_yaml
    content = read(path, 'see "Configs" in docs/en/files.md')
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f'{path}: a config is a mapping with names as keys')
    if IMPORTS in content:
        raise _refusal(str(path))
    bases = content.pop(BASES, [])
    if isinstance(bases, str):
        bases = [bases]
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise InputError(f'{path}: {BASES} is a path or a list of paths, not {bases!r}')
    merged: dict[str, Any] = {}
    for base in bases:
        file = path.parent / base
        if not os.path.exists(file):  # False, too, for a name that is too long
            file = find_config(base) or file
        values = _read_base(file, path, (*readers, path.resolve()))
        repeated = sorted(set(values) & set(merged))
        if repeated:
            raise InputError(f'{path}: {repeated[0]!r} stands in more than one {BASES}; keep one')
        merged.update(values)
    try:
        return Config._merge_a_into_b(content, merged)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise InputError(f'{path}: does not fit its {BASES} ({error})') from error


def _read_base(path: Path, reader: Path, readers: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a base: data, or a config that ships with hrtk."""
    if not os.path.isfile(path):
        raise InputError(f'{path}: there is no such config; {reader} names it as {BASES}')
    if path.suffix.lower() in DATA:
        return _read_data(path, readers)
    if not path.resolve().is_relative_to(bundled_configs().resolve()):
        raise InputError(
            f'{reader}: its {BASES} {path} is code, which a .yaml or .json config does not execute, unless '
            f'it ships with hrtk; write this config as .py, too'
        )
    return _execute(path).to_dict()


def _error_location(path: Path, error: BaseException) -> str:
    """File and line that raised, in the config or in one of its bases."""
    location = str(path)
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if code.co_name == '<module>' and code.co_filename.endswith('.py'):
            location = f'{code.co_filename}:{line}'
        elif isinstance(error, SyntaxError):
            # mmengine parses without passing the file's name on, so it is read from mmengine's own frame.
            name = frame.f_locals.get('filename')
            if isinstance(name, str) and Path(name).is_file():
                location = f'{name}:{error.lineno}'
    return location
