"""``adapt``: one call from a config to metrics."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.dist import is_distributed
from torch import distributed

from hrtk.apis.assets import require_assets
from hrtk.apis.config_files import check_imports, check_values, read_config
from hrtk.apis.locations import bundled_configs, bundled_name, find_config
from hrtk.errors import InputError, named_config, nearest
from hrtk.registry import check_names


def adapt(
    config: str | Path | dict | Config,
    *,
    cfg_options: Optional[dict[str, Any]] = None,
    **overrides: Any,
) -> dict[str, float]:
    """Adapts an estimator to a data set, as described by a config.

    Results, images and ``metrics.json`` are written to the config's ``work_dir``. Sequences that are finished there are
    not computed again. Under ``torchrun`` the sequences are shared out over the processes.

    Args:
        config: path of a config, name of a bundled one (``'boa/r18_wild'``), or the config itself.
        cfg_options: replacements by dotted key, e.g. ``{'adapter.steps': 2, 'dataset.sequences': 4}``.
        **overrides: top-level keys of the config, e.g. ``work_dir=...``, ``resume=False``, ``launcher='pytorch'``.

    Returns:
        ``'<row>/<metric>'`` numbers, see :class:`hrtk.evaluation.MeshEvaluator`.

    Raises:
        InputError: the config or a file that it names is wrong.
    """
    metrics, _ = adapt_and_keep_data(config, cfg_options=cfg_options, **overrides)
    return metrics


def adapt_and_keep_data(
    config: str | Path | dict | Config,
    *,
    cfg_options: Optional[dict[str, Any]] = None,
    **overrides: Any,
) -> tuple[dict[str, float], Any]:
    """As :func:`adapt`, and returns the data set of the run, too, for who would build the same one again."""
    cfg = load_config(config, {**(cfg_options or {}), **overrides})
    require_assets({key: value for key, value in cfg.items() if not key.startswith('_')})
    # Reading a config needs no runner, and mmengine's hooks take a second to import.
    from hrtk.engine import AdaptRunner

    distributed_before = is_distributed()
    try:
        with named_config(cfg.filename):
            runner = AdaptRunner.from_cfg(cfg)
        return runner.adapt(), runner.test_dataloader.dataset
    finally:
        if is_distributed() and not distributed_before:
            distributed.destroy_process_group()


def load_config(
    config: str | Path | dict | Config, options: Optional[dict[str, Any]] = None
) -> Config:
    """Reads a config and merges options into it.

    Args:
        config: path of a config, name of a bundled one (``'boa/r18_wild'``), or the config itself, which is not
            changed.
        options: replacements by dotted key.

    Raises:
        InputError: there is no such file (similar names are listed), the file cannot be read (file and line are
            named), the options do not fit the config, or a ``type`` is not the name of a registered class.
    """
    cfg = _read_config(config)
    # A copy: merging removes `_delete_` from dicts that belong to the caller.
    merged = {key: _option_value(value) for key, value in (options or {}).items()}
    for key in merged:
        _open_none(cfg, key)
    try:
        cfg.merge_from_dict(merged)
    except (AttributeError, KeyError, TypeError) as error:
        source = cfg.filename or 'the config'
        raise InputError(
            f'{source}: the options {merged} do not fit the config: {error}'
        ) from error
    check_imports(merged, 'the options')
    source = str(cfg.filename or 'the config')
    check_names(cfg.to_dict(), source)
    check_values(cfg, source)
    if cfg.get('launcher', 'none') == 'none' and int(os.environ.get('WORLD_SIZE', 1)) > 1:
        # Started by torchrun: separate runs would overwrite each other's files.
        cfg.launcher = 'pytorch'
    return cfg


def _open_none(cfg: Config, key: str) -> None:
    """Replaces a None on the way to a dotted key by an empty dict; mmengine merges nothing into None."""
    part: Any = cfg
    for name in key.split('.')[:-1]:
        if not isinstance(part, (Config, dict)):
            return
        if part.get(name, {}) is None:
            part[name] = {}
        part = part.get(name)


def _option_value(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else copy.deepcopy(value)


def _read_config(config: str | Path | dict | Config) -> Config:
    if isinstance(config, Config):
        return Config(config.to_dict(), filename=config.filename)
    if isinstance(config, dict):
        check_imports(config, 'the config')
        return Config(config)
    if not Path(config).name:  # '' and '.'
        raise InputError(
            f'there is no config {str(config)!r}; give the path of a config, or the name of a bundled one such as '
            f'boa/r18_wild'
        )
    path = find_config(config)
    if path is None:
        raise InputError(f'there is no config {config}. {_similar_configs(Path(config))}')
    return read_config(path)


def _similar_configs(path: Path) -> str:
    """The sentence that ends a message about a missing config."""
    folder = path.parent
    siblings = sorted(str(file.relative_to(folder)) for file in folder.glob('*.py'))
    similar = nearest(path.name, siblings, count=3)
    if similar:
        return f'In {folder}: {", ".join(similar)}'
    similar = _similar_bundled(bundled_name(path).with_suffix('').as_posix())
    if similar:
        return f'Bundled configs with similar names: {", ".join(similar)}'
    if siblings:
        return f'In {folder}: {", ".join(siblings[:10])}'
    return f'The folder {folder} contains no config.'


def _similar_bundled(name: str) -> list[str]:
    """Bundled configs with a similar name, else those with the same file name in any folder."""
    root = bundled_configs()
    files = root.glob('[!_]*/**/*.py')
    bundled = [file.relative_to(root).with_suffix('').as_posix() for file in files]
    similar = nearest(name, bundled, count=3)
    if similar:
        return similar
    return sorted(other for other in bundled if Path(other).name == name)[:5]
