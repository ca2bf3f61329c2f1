"""Writes stored results as files for other programs.

Example: hrtk export work_dirs/r18_wild --formats glb bvh amass
"""

from __future__ import annotations

import argparse
import sys

from hrtk.apis.look.exporting import DEFAULT, FORMATS, ROWS, export, motion_lines
from hrtk.cli.camera_options import add_focal_arguments, add_viewing_ray_argument
from hrtk.cli.options import RESULTS_HELP
from hrtk.visualization.export import SMOOTH_SECONDS, WORLDS

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
    add_focal_arguments(parser)
    add_viewing_ray_argument(parser)
    parser.add_argument(
        '--smooth',
        type=float,
        default=SMOOTH_SECONDS,
        metavar='SECONDS',
        help='window of the filter over time, 0 for none (%(default)s)',
    )
    parser.add_argument(
        '--no-floor',
        dest='floor',
        action='store_false',
        help='do not estimate gravity and the floor: the vertical is that of the image',
    )
    parser.add_argument(
        '--no-foot-lock',
        dest='lock_feet',
        action='store_false',
        help='let standing feet slide on the floor as the network saw them',
    )


def run(args: argparse.Namespace) -> int:
    written = export(**vars(args))
    for path in written:
        print(path)
    for line in motion_lines(written):
        print(line, file=sys.stderr)
    return 0
