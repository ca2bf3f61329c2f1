"""Serves the bodies of a run in an interactive 3D viewer, until Ctrl-C.

Example: hrtk view work_dirs/r18_wild --sequence wild_s0_003
"""

from __future__ import annotations

import argparse
import time

from hrtk.apis.look.view import view
from hrtk.cli.camera_options import add_focal_arguments, add_viewing_ray_argument
from hrtk.cli.options import RESULTS_HELP

ON_INTERRUPT = 'nothing was changed'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('work_dir', metavar='WORK_DIR', help=RESULTS_HELP)
    parser.add_argument('--sequence', metavar='NAME', help='default: the first sequence')
    parser.add_argument('--port', type=int, default=8080, help='first port to try (%(default)s)')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen on (%(default)s: this machine only)'
    )
    add_focal_arguments(parser)
    add_viewing_ray_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Runs until it is interrupted."""
    viewer = view(**vars(args))
    print(f'{viewer.url} (Ctrl-C to stop)', flush=True)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        viewer.stop()
    return 0
