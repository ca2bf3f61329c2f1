"""Writes a bank of labelled crops and their network features for DynamicBilevel.

CONFIG is an adapt config: its `estimator` computes the features, its `adapter.exemplars.dataset`
(or `adapter.online.exemplars.dataset`) provides the crops.

Example: hrtk build-retrieval-bank dynaboa/r18_wild data/banks/studio --clusters 32
To use the bank, set exemplars=dict(folder='FOLDER') in an adapter.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hrtk.adapters.bilevel.bank_files import build_bank, read_meta
from hrtk.apis import load_config
from hrtk.cli.options import add_cfg_options
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError, named_config
from hrtk.registry import DATASETS, ESTIMATORS

ON_INTERRUPT = 'nothing was written'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='path of an adapt config')
    parser.add_argument('folder', type=Path, help='the folder to write')
    parser.add_argument(
        '--count', type=int, help='number of crops, evenly spread over the data set; default all'
    )
    parser.add_argument(
        '--clusters', type=int, default=0, help="clusters for mode='cluster'; default none"
    )
    parser.add_argument(
        '--dtype', choices=('float16', 'float32'), default='float16', help='of the stored features'
    )
    parser.add_argument('--device', default='cpu', help='device of the network (%(default)s)')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    config = load_config(args.config, args.cfg_options)
    check_keys(config, required=('estimator',))
    with named_config(args.config):
        dataset = DATASETS.build(exemplar_dataset(config, args.config))
        estimator = ESTIMATORS.build(config.estimator).to(args.device)
    build_bank(estimator, dataset, args.folder, args.count, args.clusters, args.dtype)
    count = read_meta(args.folder)['count']
    size = sum(file.stat().st_size for file in args.folder.iterdir())
    print(f'{args.folder}: {count} crops, {size / 1e6:.1f} MB')
    return 0


def exemplar_dataset(config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The data set of labelled crops that a config names for its exemplars.

    Raises:
        InputError: the config names none.
    """
    adapter = config.get('adapter') or {}
    for part in (adapter, adapter.get('online') or {}):
        exemplars = part.get('exemplars') or {}
        if exemplars.get('dataset') is not None:
            return exemplars['dataset']
    raise InputError(
        f'{file}: no adapter.exemplars.dataset, the data set of labelled crops (items as of OpenViews); '
        f'add one, e.g. --cfg-options adapter.exemplars.dataset.type=OpenViews '
        f'adapter.exemplars.dataset.resolution=224'
    )
