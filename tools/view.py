"""Opens stored results in an interactive 3D viewer: ``python tools/view.py WORK_DIR [--sequence NAME]``."""

import argparse
import sys
import time

from hrtk.apis.look.view import view
from hrtk.cli.camera_options import add_focal_arguments, add_viewing_ray_argument
from hrtk.cli.options import guarded


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Serves the bodies of a run as an interactive page, until Ctrl-C'
    )
    parser.add_argument(
        'work_dir',
        metavar='WORK_DIR',
        help='work dir of a run, or one of the folders in its results/',
    )
    parser.add_argument('--sequence', metavar='NAME', help='which sequence (default: the first)')
    parser.add_argument('--port', type=int, default=8080, help='first port to try (%(default)s)')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen on (%(default)s: this machine alone)'
    )
    add_focal_arguments(parser)
    add_viewing_ray_argument(parser)
    return parser.parse_args()


def main() -> int:
    """Runs until it is interrupted."""
    viewer = view(**vars(parse()))
    print(f'{viewer.url} (Ctrl-C ends it)', flush=True)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        viewer.stop()
    return 0


if __name__ == '__main__':
    sys.exit(guarded(main, 'nothing was changed'))
