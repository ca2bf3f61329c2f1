"""Makes BlazePose's weights from MediaPipe's wheel.

    pip download --no-deps mediapipe==0.10.21
    python tools/convert_blazepose.py mediapipe-0.10.21-*.whl --output hrtk/models/weights/blazepose.pt

A .json with the hashes of the files and the shape of the networks lands beside the weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrtk.apis.zoo.blazepose import VERSION, convert_blazepose
from hrtk.errors import InputError


def main() -> int:
    """Returns 0 after success, 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source', type=Path, help=f'the wheel of mediapipe {VERSION}, or a folder with its files'
    )
    parser.add_argument('--output', type=Path, required=True, help='the weights file to write')
    args = parser.parse_args()
    try:
        record = convert_blazepose(args.source, args.output)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{args.output}: {record["parameters"]} parameters, {record["bytes"] / 2**20:.1f} MiB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
