"""Lists the licensed files that hrtk can use, and checks those that are present.

The table says where to get each file. The exit code is 2 if a present file is wrong.
"""

from __future__ import annotations

import argparse

from hrtk.apis.assets import ROOT, print_assets

ON_INTERRUPT = 'nothing was changed'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--root', default=ROOT, help='the data folder (%(default)s)')
    parser.add_argument(
        '--quick',
        action='store_true',
        help='check only whether files are present, do not read them',
    )


def run(args: argparse.Namespace) -> int:
    correct = print_assets(args.root, verify=not args.quick)
    return 0 if correct else 2
