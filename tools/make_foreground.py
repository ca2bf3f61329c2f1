"""Writes foreground masks from two detectors and the limbs between keypoints: (A and B) or limbs.

    python tools/make_foreground.py CONFIG FIRST SECOND OUTPUT [--pattern '{id}.png'] [--cfg-options KEY=VALUE ...]

CONFIG is any config with a `dataset` of sequences; FIRST and SECOND hold one PNG per frame, masks or probabilities.
"""

from __future__ import annotations

import argparse
import sys

from hrtk.apis import load_config
from hrtk.apis.foreground import RADIUS, THRESHOLD, make_foreground
from hrtk.cli.options import Options, guarded
from hrtk.errors import InputError
from hrtk.registry import DATASETS


def main() -> int:
    """Runs the command; 0 when done, 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of a config with a data set of sequences')
    parser.add_argument('first', help="folder of the first detector's pictures")
    parser.add_argument('second', help="folder of the second detector's pictures")
    parser.add_argument('output', help='folder to write')
    parser.add_argument(
        '--pattern', default='{id}.png', help='of files in all folders: {id}, {name}, {index}'
    )
    parser.add_argument(
        '--radius', type=float, default=RADIUS, help="of limbs, as a share of the torso's length"
    )
    parser.add_argument(
        '--threshold', type=float, default=THRESHOLD, help='probabilities below it count as 0'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        metavar='KEY=VALUE',
        help='replacements by dotted key',
    )
    args = parser.parse_args()
    return guarded(lambda: run(args), 'masks written so far stay')


def run(args: argparse.Namespace) -> None:
    """Makes the masks and says what came out."""
    config = load_config(args.config, args.cfg_options)
    if 'dataset' not in config:
        raise InputError(
            f'{args.config}: has no `dataset`; give a config with a data set of sequences'
        )
    dataset = DATASETS.build(config.dataset)
    made = make_foreground(
        (dataset[i] for i in range(len(dataset))),
        args.first,
        args.second,
        args.output,
        args.pattern,
        args.radius,
        args.threshold,
    )
    print(
        f'{args.output}: {made.frames} masks, {made.empty} of them empty; {made.agreed:.0%} of the foreground was '
        f'seen by both detectors'
    )


if __name__ == '__main__':
    sys.exit(main())
