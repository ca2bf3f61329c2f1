"""The command line of ``tools/convert_blazepose.py``."""

from __future__ import annotations

import argparse
from pathlib import Path

from hrtk.apis.zoo.blazepose import VERSION, convert_blazepose
from hrtk.cli.options import guarded


def main() -> int:
    """Runs the command; 0 when done, 2 for bad input."""
    parser = argparse.ArgumentParser(
        description="Makes the weights of BlazePose from MediaPipe's wheel",
        epilog=f'`pip download --no-deps mediapipe=={VERSION}` fetches the wheel; no package is needed to read it',
    )
    parser.add_argument(
        'source', type=Path, help=f'the wheel of mediapipe {VERSION}, or a folder with its files'
    )
    parser.add_argument(
        '--output',
        type=Path,
        required=True,
        help='weights file to write; a .json with its record lands beside it',
    )
    args = parser.parse_args()
    return guarded(lambda: _convert(args.source, args.output), 'nothing was written')


def _convert(source: Path, output: Path) -> None:
    record = convert_blazepose(source, output)
    print(f'{output}: {record["parameters"]} parameters, {record["bytes"] / 2**20:.1f} MiB')
