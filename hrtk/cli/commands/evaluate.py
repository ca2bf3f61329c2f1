"""Scores stored results again, or joints of another program, without a network.

Example: hrtk evaluate work_dirs/r18_wild --protocol open
Joints are scored on the data set of a config: hrtk evaluate JOINTS_DIR --config CONFIG
"""

from __future__ import annotations

import argparse

from hrtk.cli.options import RESULTS_HELP, add_cfg_options

ON_INTERRUPT = 'nothing was changed'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'results',
        nargs='+',
        metavar='RESULTS_DIR',
        help=f'{RESULTS_HELP}; with --config a folder of joints, <sequence>.json',
    )
    parser.add_argument(
        '--protocol', metavar='NAME', help='evaluation protocol (default: the one of the config)'
    )
    parser.add_argument('--config', help='names the data set that the joints belong to')
    add_cfg_options(parser, ' in --config, e.g. dataset.stride=1')


def run(args: argparse.Namespace) -> int:
    from hrtk.apis import evaluate, evaluate_joints

    if args.config is None:
        evaluate(args.results, protocol=args.protocol)
        return 0
    options = dict(args.cfg_options)
    if args.protocol is not None:
        options['evaluator.protocol'] = args.protocol
    for folder in args.results:
        evaluate_joints(folder, args.config, cfg_options=options)
    return 0
