"""Scores stored results again, without a network.

Example: hrtk evaluate work_dirs/r18_wild --protocol open
"""

from __future__ import annotations

import argparse

from hrtk.apis import evaluate
from hrtk.cli.options import RESULTS_HELP

ON_INTERRUPT = 'nothing was changed'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('results', nargs='+', metavar='RESULTS_DIR', help=RESULTS_HELP)
    parser.add_argument(
        '--protocol', metavar='NAME', help='evaluation protocol (default: the one of the config)'
    )


def run(args: argparse.Namespace) -> int:
    evaluate(args.results, protocol=args.protocol)
    return 0
