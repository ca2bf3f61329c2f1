"""Makes a weights file to ship from a finished training: ``python tools/publish_model.py WORK_DIR OUTPUT.pt``."""

from __future__ import annotations

import argparse
import sys

from hrtk.apis.zoo.publish import publish
from hrtk.errors import InputError


def main() -> int:
    """Runs the command; 0 when done, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.partition(':')[0])
    parser.add_argument('work_dir', help='folder of a training by tools/train.py')
    parser.add_argument(
        'output', help='weights file to write; a .json with its record lands beside it'
    )
    parser.add_argument(
        '--without',
        nargs='+',
        default=(),
        metavar='PART',
        help='parts of the network that other files bring, e.g. backbone segmenter',
    )
    args = parser.parse_args()
    try:
        record = publish(args.work_dir, args.output, args.without)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(
        f'{args.output}: {record["bytes"] / 2**20:.1f} MiB, validation {record["validation"][-1:]}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
