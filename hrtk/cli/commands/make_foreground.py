"""Writes foreground masks from two detectors and the limbs between keypoints.

A pixel is foreground if both detectors mark it, or if it lies on a limb. CONFIG is any config with
a `dataset` of sequences; FIRST and SECOND hold one PNG per frame, masks or probabilities.
Example: hrtk make-foreground my_config.py detector_a detector_b masks --pattern '{name}/{id}.png'
"""

from __future__ import annotations

import argparse

from hrtk.apis import load_config
from hrtk.apis.foreground import RADIUS, THRESHOLD, make_foreground
from hrtk.cli.options import add_cfg_options
from hrtk.errors import InputError, named_config
from hrtk.registry import DATASETS

ON_INTERRUPT = 'masks written so far are complete'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='path of a config with a data set of sequences')
    parser.add_argument('first', help="folder of the first detector's masks")
    parser.add_argument('second', help="folder of the second detector's masks")
    parser.add_argument('output', help='folder to write')
    parser.add_argument(
        '--pattern', default='{id}.png', help='of files in all folders: {id}, {name}, {index}'
    )
    parser.add_argument(
        '--radius', type=float, default=RADIUS, help="of limbs, relative to the torso's length"
    )
    parser.add_argument(
        '--threshold', type=float, default=THRESHOLD, help='probabilities below it count as 0'
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    config = load_config(args.config, args.cfg_options)
    if 'dataset' not in config:
        raise InputError(
            f'{args.config}: has no `dataset`; pass a config with a data set of sequences'
        )
    with named_config(args.config):
        dataset = DATASETS.build(config.dataset)
    summary = make_foreground(
        (dataset[i] for i in range(len(dataset))),
        args.first,
        args.second,
        args.output,
        args.pattern,
        args.radius,
        args.threshold,
    )
    print(
        f'{args.output}: {summary.frames} masks, {summary.empty} of them empty; '
        f'{summary.agreed:.0%} of the foreground was detected by both detectors'
    )
    return 0
