"""Scores the network of a training config with given weights.

Example: hrtk test mpm/stage2_open --weights work_dirs/stage2_open/epoch_6.pth
Lifters, segmenters, pose priors, temporal teachers and video models; official checkpoints and open:NAME too.
"""

from __future__ import annotations

import argparse

from hrtk.apis.console import output_console
from hrtk.cli.options import add_cfg_options, add_place_arguments, run_overrides

ON_INTERRUPT = 'nothing was written'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='path of a training config, or name of a bundled one')
    parser.add_argument(
        '--weights',
        metavar='FILE',
        help='weights of the network: a checkpoint, or open:NAME (default: those in the config)',
    )
    add_place_arguments(parser)
    add_cfg_options(parser, ', e.g. test_dataloader.batch_size=8')


def run(args: argparse.Namespace) -> int:
    from hrtk.apis import test

    metrics = test(args.config, args.weights, cfg_options=args.cfg_options, **run_overrides(args))
    console = output_console()
    for name, value in metrics.items():
        console.print(f'{name} {value:.2f}', highlight=False, markup=False)
    return 0
