"""Computes a table of configs beside the values of a paper.

Example: hrtk benchmark 3dhrco/tables/open --seeds 0 1 2 --jobs 2
Finished runs are not computed again. Rows whose files are missing keep the paper's values and are
marked "not reproduced". The exit code is 1 if a row failed.
"""

from __future__ import annotations

import argparse

ON_INTERRUPT = 'finished runs are stored: run again to resume'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('table', help='path of a table file, e.g. configs/3dhrco/tables/open.yaml')
    parser.add_argument(
        '--only', metavar='PATTERN', help='only rows whose label contains this shell pattern'
    )
    parser.add_argument(
        '--work-dir', default='work_dirs/tables', help='folder for tables and runs (%(default)s)'
    )
    parser.add_argument('--seeds', nargs='+', type=int, help="default: the table's seeds")
    parser.add_argument('--jobs', type=int, default=1, help='number of parallel runs (%(default)s)')
    parser.add_argument('--dry-run', action='store_true', help='print the plan, compute nothing')


def run(args: argparse.Namespace) -> int:
    from hrtk.apis import benchmark

    content = benchmark(**vars(args))
    failed = [row for row in content['rows'] if row['status'] == 'failed']
    return 1 if failed else 0
