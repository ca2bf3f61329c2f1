"""``adapt``: one call from a config to metrics."""

from __future__ import annotations

import copy
import difflib
import os
import traceback
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.utils import import_modules_from_strings
from torch import distributed

from hrtk.apis.assets import require_assets
from hrtk.apis.locations import bundled_folder, bundled_name, find_config
from hrtk.engine import AdaptRunner
from hrtk.errors import InputError


def adapt(
    config: str | Path | dict | Config,
    *,
    cfg_options: Optional[dict[str, Any]] = None,
    **overrides: Any,
) -> dict[str, float]:
    """Adapts an estimator to a data set as a config says.

    Results, pictures and ``metrics.json`` land in the config's ``work_dir``. Sequences that are finished there already
    are not computed again. Under ``torchrun`` the sequences are shared out over the processes.

    Args:
        config: path of a config, name of a bundled one (``'boa/r18_wild'``), or the config itself.
        cfg_options: replacements by dotted key, e.g. ``{'adapter.steps': 2, 'dataset.sequences': 4}``.
        **overrides: top-level keys of the config, e.g. ``work_dir=...``, ``resume=False``, ``launcher='pytorch'``.

    Returns:
        ``'<row>/<metric>'`` numbers, see :class:`hrtk.evaluation.MeshEvaluator`.

    Raises:
        InputError: the config or a file that it names is wrong.
    """
    cfg = load_config(config, {**(cfg_options or {}), **overrides})
    require_assets({key: value for key, value in cfg.items() if not key.startswith('_')})
    joined = is_distributed()
    try:
        return AdaptRunner.from_cfg(cfg).adapt()
    finally:
        if is_distributed() and not joined:
            distributed.destroy_process_group()


def load_config(
    config: str | Path | dict | Config, options: Optional[dict[str, Any]] = None
) -> Config:
    """Reads a config and puts options into it.

    Args:
        config: path of a config, name of a bundled one (``'boa/r18_wild'``), or the config itself, which is left as it
            is.
        options: replacements by dotted key.

    Raises:
        InputError: there is no such file (near names are listed), it cannot be read (names file and line), or the
            options do not fit it.
    """
    cfg = _read_config(config)
    # A copy: merging takes `_delete_` out of dicts that belong to the caller.
    options = {
        key: str(value) if isinstance(value, Path) else copy.deepcopy(value)
        for key, value in (options or {}).items()
    }
    try:
        cfg.merge_from_dict(options)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f'the options {options} do not fit the config: {error}') from error
    if cfg.get('launcher', 'none') == 'none' and int(os.environ.get('WORLD_SIZE', 1)) > 1:
        cfg.launcher = 'pytorch'  # started by torchrun: separate runs would write over each other
    return cfg


def _read_config(config: str | Path | dict | Config) -> Config:
    if isinstance(config, Config):
        return Config(config.to_dict(), filename=config.filename)
    if isinstance(config, dict):
        if config.get('custom_imports'):
            import_modules_from_strings(**config['custom_imports'])
        return Config(config)
    path = find_config(config)
    if path is None:
        raise InputError(f'there is no config {config}. {_near(Path(config))}')
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is a program: whatever it raises is the config's fault
        text = error.msg if isinstance(error, SyntaxError) else error
        raise InputError(f'{_place(path, error)}: {type(error).__name__}: {text}') from error


def _near(path: Path) -> str:
    folder, bundled = path.parent, bundled_folder('configs')
    names = sorted(str(file.relative_to(folder)) for file in folder.glob('*.py'))
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if near:
        return f'In {folder}: {", ".join(near)}'
    known = [
        file.relative_to(bundled).with_suffix('').as_posix()
        for file in bundled.glob('[!_]*/**/*.py')
    ]
    wanted = bundled_name(path).with_suffix('').as_posix()
    near = (
        difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        or sorted(name for name in known if Path(name).name == wanted)[:5]
    )
    if near:
        return f'Bundled ones with such names: {", ".join(near)}'
    return (
        f'In {folder}: {", ".join(names[:10])}'
        if names
        else f'The folder {folder} holds no config.'
    )


def _place(path: Path, error: Exception) -> str:
    """File and line of the config, perhaps of a base, that raised."""
    place = str(path)
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == '<module>' and frame.f_code.co_filename.endswith('.py'):
            place = f'{frame.f_code.co_filename}:{line}'
        elif isinstance(
            error, SyntaxError
        ):  # mmengine parses without telling the parser the file's name
            name = frame.f_locals.get('filename')
            place = (
                f'{name}:{error.lineno}'
                if isinstance(name, str) and Path(name).is_file()
                else place
            )
    return place
