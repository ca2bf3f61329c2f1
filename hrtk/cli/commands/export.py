"""Writes stored results as files for other programs.

Example: hrtk export work_dirs/r18_wild --formats glb bvh amass
"""

from __future__ import annotations

import argparse

from hrtk.apis.look.exporting import DEFAULT, FORMATS, ROWS, export
from hrtk.cli.options import RESULTS_HELP
from hrtk.visualization.export import WORLDS

ON_INTERRUPT = 'files written so far are complete: run again for the rest'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('results', nargs='+', metavar='RESULTS_DIR', help=RESULTS_HELP)
    parser.add_argument(
        '--formats',
        nargs='+',
        default=DEFAULT,
        metavar='FORMAT',
        help=f'of {", ".join(FORMATS)} (default: {" ".join(DEFAULT)})',
    )
    parser.add_argument(
        '--row', default='after', help=f'{" or ".join(ROWS)} adaptation (%(default)s)'
    )
    parser.add_argument(
        '--sequences', default='*', metavar='PATTERN', help='only sequences whose name matches'
    )
    parser.add_argument(
        '--out', metavar='DIR', help='folder for the files (default: exports/ beside the results)'
    )
    parser.add_argument(
        '--world',
        metavar='AXES',
        help=f'axes for amass, bvh and obj: {", ".join(WORLDS)} (default: z-up for amass, else y-up)',
    )
    parser.add_argument(
        '--focal', type=float, metavar='PX', help='focal length of the images, if it is known'
    )


def run(args: argparse.Namespace) -> int:
    for path in export(**vars(args)):
        print(path)
    return 0
