"""Writes a bank of labelled crops for DynamicBilevel, with the features of the network that will look for them.

    python tools/build_retrieval_bank.py CONFIG FOLDER [--clusters K] [--cfg-options KEY=VALUE ...]

CONFIG is an adapt config: its ``estimator`` makes the features, its ``adapter.exemplars.dataset`` (or
``adapter.online.exemplars.dataset``) holds the crops. Then set ``exemplars=dict(folder='FOLDER')``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from hrtk.adapters.bilevel.bank_files import build_bank
from hrtk.apis import load_config
from hrtk.cli.options import Options, guarded
from hrtk.errors import InputError
from hrtk.registry import DATASETS, ESTIMATORS


def main() -> int:
    """Runs the command; 0 when done, 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of an adapt config')
    parser.add_argument('folder', type=Path, help='the folder to write')
    parser.add_argument('--count', type=int, help='only so many crops, from the first on')
    parser.add_argument(
        '--clusters', type=int, default=0, help="clusters for mode='cluster'; default none"
    )
    parser.add_argument(
        '--dtype', choices=('float16', 'float32'), default='float16', help='of the stored features'
    )
    parser.add_argument('--device', default='cpu', help='where the network runs')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        metavar='KEY=VALUE',
        help='replacements by dotted key',
    )
    args = parser.parse_args()
    return guarded(lambda: build(args), 'nothing was written')


def build(args: argparse.Namespace) -> None:
    """Writes the bank that the arguments describe and says how large it is."""
    config = load_config(args.config, args.cfg_options)
    dataset = DATASETS.build(views_of(config, args.config))
    estimator = ESTIMATORS.build(config.estimator).to(args.device)
    build_bank(estimator, dataset, args.folder, args.count, args.clusters, args.dtype)
    size = sum(file.stat().st_size for file in args.folder.iterdir())
    print(
        f'{args.folder}: {min(args.count or len(dataset), len(dataset))} crops, {size / 1e6:.1f} MB'
    )


def views_of(config: Any, name: str) -> dict:
    """The data set of labelled crops that a config names for its exemplars.

    Raises:
        InputError: it names none.
    """
    adapter = config.get('adapter') or {}
    for part in (adapter, adapter.get('online') or {}):
        found = (part.get('exemplars') or {}).get('dataset')
        if found is not None:
            return found
    raise InputError(
        f'{name}: no adapter.exemplars.dataset, the data set of labelled crops (items as of OpenViews); '
        f'add one, e.g. --cfg-options adapter.exemplars.dataset.type=OpenViews '
        f'adapter.exemplars.dataset.resolution=224'
    )


if __name__ == '__main__':
    sys.exit(main())
