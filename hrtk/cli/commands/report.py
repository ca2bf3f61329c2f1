"""Shows a run as one HTML page that works offline.

Example: hrtk report work_dirs/r18_wild --before work_dirs/other
"""

from __future__ import annotations

import argparse

from hrtk.cli.camera_options import add_focal_arguments, add_viewing_ray_argument
from hrtk.cli.options import RESULTS_HELP

ON_INTERRUPT = 'nothing was written'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('work_dir', metavar='WORK_DIR', help=RESULTS_HELP)
    parser.add_argument(
        '--before',
        metavar='OTHER_WORK_DIR',
        help='the run to compare with (default: the frozen start model of the run)',
    )
    parser.add_argument(
        '--output', metavar='HTML', help='the page (default: report.html in WORK_DIR)'
    )
    parser.add_argument(
        '--sequences', default='*', metavar='PATTERN', help='only sequences whose name matches'
    )
    parser.add_argument(
        '--most', type=int, default=4, help='number of sequences shown, the worst (%(default)s)'
    )
    parser.add_argument(
        '--frames', type=int, default=120, help='maximum number of frames per film (%(default)s)'
    )
    add_focal_arguments(parser)
    add_viewing_ray_argument(parser)


def run(args: argparse.Namespace) -> int:
    from hrtk.apis.look.report import report

    path = report(**vars(args))
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')
    return 0
