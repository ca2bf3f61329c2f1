"""Computes a table: ``python tools/benchmark.py TABLE.yaml [--only PATTERN] [--seeds 0 1 2] [--jobs N] [--dry-run]``.

Finished runs are not computed again; rows whose files are not there keep the paper's values, ``not reproduced``.
"""

import argparse
import sys

from hrtk.apis import benchmark
from hrtk.cli.options import guarded


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Computes a table of configs beside the values of a paper'
    )
    parser.add_argument('table', help='path of a table file, e.g. configs/3dhrco/tables/open.yaml')
    parser.add_argument(
        '--only', metavar='PATTERN', help='only rows whose label holds this pattern of the shell'
    )
    parser.add_argument(
        '--work-dir', default='work_dirs/tables', help='folder for tables and runs (%(default)s)'
    )
    parser.add_argument('--seeds', nargs='+', type=int, help="instead of the table's")
    parser.add_argument('--jobs', type=int, default=1, help='runs at once (%(default)s)')
    parser.add_argument('--dry-run', action='store_true', help='print the plan, compute nothing')
    return parser.parse_args()


def main() -> int:
    """Returns 1 if a row failed, 0 if none did."""
    content = benchmark(**vars(parse()))
    return int(any(row['status'] == 'failed' for row in content['rows']))


if __name__ == '__main__':
    sys.exit(guarded(main, 'finished runs are stored: run again to go on'))
