"""Makes a page to look at from stored results: ``python tools/report.py WORK_DIR [--before OTHER_WORK_DIR]``."""

import argparse
import sys

from hrtk.apis.look.report import report
from hrtk.cli.camera_options import add_focal_arguments, add_viewing_ray_argument
from hrtk.cli.options import guarded


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Shows a run as one HTML page that needs no network'
    )
    parser.add_argument(
        'work_dir',
        metavar='WORK_DIR',
        help='work dir of a run, or one of the folders in its results/',
    )
    parser.add_argument(
        '--before',
        metavar='OTHER_WORK_DIR',
        help='the run to compare with (default: the frozen start model of the run)',
    )
    parser.add_argument(
        '--output', metavar='HTML', help='the page (default: report.html in WORK_DIR)'
    )
    parser.add_argument(
        '--sequences', default='*', metavar='PATTERN', help='show only sequences whose name fits'
    )
    parser.add_argument(
        '--most', type=int, default=4, help='show so many of them, the worst (%(default)s)'
    )
    parser.add_argument(
        '--frames', type=int, default=120, help='most frames of a film (%(default)s)'
    )
    add_focal_arguments(parser)
    add_viewing_ray_argument(parser)
    return parser.parse_args()


def main() -> int:
    """Runs the command and says how large the page is."""
    path = report(**vars(parse()))
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(guarded(main, 'nothing was written'))
