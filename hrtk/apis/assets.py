"""The state of licensed files of other owners: which are present, which a config needs, and whether they are right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from mmengine.config import Config
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hrtk.apis.asset_configs import files_of_configs, strings_in
from hrtk.apis.asset_list import ASSETS
from hrtk.apis.console import output_console
from hrtk.datasets.base import Asset, SequenceDataset
from hrtk.errors import InputError
from hrtk.registry import DATASETS

ROOT = 'data'
PRESENT = 'present'
ABSENT = 'absent'
WRONG = 'wrong'
STYLES = {PRESENT: 'green', ABSENT: 'yellow', WRONG: 'red'}


def known_assets() -> list[Asset]:
    """:data:`~hrtk.apis.asset_list.ASSETS` and those that registered data sets declare, each path once."""
    assets = {asset.path: asset for asset in ASSETS}
    for name in DATASETS.names():
        dataset = DATASETS.get(name)
        if isinstance(dataset, type) and issubclass(dataset, SequenceDataset):
            for asset in dataset.assets:
                assets.setdefault(asset.path, asset)
    return list(assets.values())


def status(asset: Asset, root: str | Path = ROOT, verify: bool = True) -> tuple[str, str]:
    """Checks one asset.

    Args:
        asset: of :func:`known_assets`.
        root: the data folder.
        verify: also read the file.

    Returns:
        ``'present'``, ``'absent'`` or ``'wrong'``, and a summary of the content or the error.
    """
    path = Path(root) / asset.path
    if not path.exists():
        return ABSENT, ''
    if not verify:
        return PRESENT, ''
    try:
        return PRESENT, asset.check(path)
    except InputError as error:
        return WRONG, str(error)


def assets_of(cfg: Config | dict) -> list[Asset]:
    """The assets that a config names, each once, in the order of :func:`known_assets`.

    A folder that a config names (``data/3dpw``) stands for every asset below it, and a file or pattern
    (``data/boa/3dpw_vid/*.npz``) for the folder of an asset that contains it.
    """
    values = cfg.to_dict() if isinstance(cfg, Config) else cfg
    named = {Path(text) for text in strings_in(values)}
    containing = {folder for path in named for folder in path.parents}
    found = []
    for asset in known_assets():
        path = Path(ROOT) / asset.path
        folders: Sequence[Path] = ()
        if asset.by_folder:
            folders = path.parents[:-2]  # without the data folder itself
        if path in containing or not named.isdisjoint([path, *folders]):
            found.append(asset)
    return found


def files_of(cfg: Config | dict) -> list[str]:
    """The files and folders that a config names below the data folder: :func:`assets_of`, then others, each once."""
    values = cfg.to_dict() if isinstance(cfg, Config) else cfg
    known = [asset.path for asset in known_assets()]
    files = [asset.path for asset in assets_of(values)]
    for text in strings_in(values):
        name = text.removeprefix(f'{ROOT}/')
        if name != text and '{' not in name and not _is_listed(name, known):
            files.append(name)
    return list(dict.fromkeys(files))


def missing_files(cfg: Config | dict) -> list[str]:
    """Those of :func:`files_of` that are missing, with where to get each."""
    origins = {asset.path: f'{asset.instructions}: {asset.url}' for asset in known_assets()}
    texts = []
    for name in files_of(cfg):
        if not any(Path(ROOT).glob(name)):
            origin = origins.get(name, 'see the comments of the configs that name it')
            texts.append(f'{ROOT}/{name} ({origin})')
    return texts


def missing_assets(cfg: Config | dict) -> list[Asset]:
    """Those of :func:`assets_of` that are missing."""
    return [asset for asset in assets_of(cfg) if not (Path(ROOT) / asset.path).exists()]


def require_assets(cfg: Config | dict) -> None:
    """Checks that every licensed file of a config is present.

    Raises:
        InputError: lists all missing files, where to get each and where it must lie.
    """
    missing = missing_assets(cfg)
    if not missing:
        return
    count = 'a file or folder'
    if len(missing) > 1:
        count = f'{len(missing)} files or folders'
    lines = [f'this config needs {count} that hrtk may not ship, from their owners:']
    for asset in missing:
        lines.append(f'  {Path(ROOT) / asset.path}')
        lines.append(f'      {asset.instructions}: {asset.url}')
    lines.append(
        'tools/check_assets.py lists and checks all of them. The same method on free data '
        'and weights: the configs whose names end in _open.py or _wild.py.'
    )
    raise InputError('\n'.join(lines))


def print_assets(
    root: str | Path = ROOT, verify: bool = True, console: Optional[Console] = None
) -> bool:
    """Prints the table of all assets, and of all other files below the folder that bundled configs name.

    Returns:
        Whether every present asset passes its check.
    """
    if console is None:
        console = output_console()
    table = Table(title=f'in {root}', show_lines=True)
    for column in ('file', 'needed by', 'where to get it', 'state'):
        table.add_column(column, overflow='fold')  # addresses must not be cut
    wrong = []
    for asset in known_assets():
        state, summary = status(asset, root, verify)
        if state == WRONG:
            wrong.append(summary)
        table.add_row(
            asset.path,
            asset.needed_by,
            escape(f'{asset.url}\n{asset.instructions}'),
            f'[{STYLES[state]}]{state}[/]\n{escape(summary)}',
        )
    for name, configs in _other_files().items():
        state = PRESENT if any(Path(root).glob(name)) else ABSENT
        origin = 'see the comments of these configs and the pages of their methods'
        table.add_row(
            escape(name), ', '.join(configs), origin, f'[{STYLES[state]}]{state}[/]\nnot checked'
        )
    console.print(table)
    # Whole, because the table folds long names.
    for summary in wrong:
        console.print(f'[{STYLES[WRONG]}]{WRONG}[/]: {escape(summary)}', soft_wrap=True)
    return not wrong


def _other_files() -> dict[str, list[str]]:
    """The files that bundled configs name and :func:`known_assets` lacks, with these configs."""
    known = [asset.path for asset in known_assets()]
    return {
        name: configs
        for name, configs in files_of_configs(ROOT).items()
        if not _is_listed(name, known)
    }


def _is_listed(name: str, known: list[str]) -> bool:
    """Whether a path is one of the known ones, below one or above one."""
    path = Path(name)
    return any(
        asset == path or asset in path.parents or path in asset.parents
        for asset in map(Path, known)
    )
