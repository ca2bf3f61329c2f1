"""Serves the bodies of a run in an interactive 3D viewer, until Ctrl-C.

Example: hrtk view work_dirs/r18_wild --sequence wild_s0_003
"""

from __future__ import annotations

import argparse
import ipaddress
import sys
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


def is_local(host: str) -> bool:
    """Whether an address accepts connections of this computer only."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or empty for all addresses
        return False


def run(args: argparse.Namespace) -> int:
    """Runs until it is interrupted."""
    viewer = view(**vars(args))
    if not is_local(args.host):
        print(
            f'warning: {args.host} is open to other computers: everybody who reaches this one sees the footage and the '
            f'bodies, without a password. --host 127.0.0.1 is for this computer alone',
            file=sys.stderr,
            flush=True,
        )
    print(f'{viewer.url} (Ctrl-C to stop)', flush=True)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        viewer.stop()
    return 0
