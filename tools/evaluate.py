"""Scores stored results again, without a network: ``python tools/evaluate.py RESULTS_DIR... [--protocol NAME]``."""

import argparse
import sys

from hrtk.apis import evaluate
from hrtk.cli.options import guarded


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Scores stored results, perhaps under another protocol'
    )
    parser.add_argument(
        'results',
        nargs='+',
        metavar='RESULTS_DIR',
        help='work dir of a run, or one of the folders in its results/',
    )
    parser.add_argument(
        '--protocol', metavar='NAME', help='evaluation protocol (default: the one of the config)'
    )
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(guarded(lambda: evaluate(**vars(parse())), 'nothing was changed'))
