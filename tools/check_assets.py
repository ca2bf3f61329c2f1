"""Lists the licensed files that hrtk can use, where to get each, and checks those that are there.

``python tools/check_assets.py [--root data] [--quick]``; exit code 2 if a file that is there is not what it should be.
"""

from __future__ import annotations

import argparse
import sys

from hrtk.apis.assets import ROOT, print_assets


def main() -> int:
    """Runs the command; 0 if every file that is there is right, else 2."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--root', default=ROOT, help='the data folder')
    parser.add_argument(
        '--quick', action='store_true', help='only look whether files are there, do not read them'
    )
    args = parser.parse_args()
    return 0 if print_assets(args.root, verify=not args.quick) else 2


if __name__ == '__main__':
    sys.exit(main())
