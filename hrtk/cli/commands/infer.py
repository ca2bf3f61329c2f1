"""Estimates the bodies of all people in a video, in images or in front of a webcam.

CLIP is a video, a folder of images, an image, or the index of a webcam.
Example: hrtk infer clip.mp4 --adapt boa/r18_wild --export glb
"""

from __future__ import annotations

import argparse
import sys

from hrtk.apis.infer import ALIASES, infer
from hrtk.apis.look.exporting import FORMATS, motion_lines
from hrtk.cli.camera_options import add_focal_arguments
from hrtk.cli.options import add_cfg_options

ON_INTERRUPT = 'everything finished is stored: run again to resume'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'footage', metavar='CLIP', help='video, folder of images, image, or index of a webcam'
    )
    parser.add_argument(
        '--keypoints',
        metavar='FILE',
        help='2D keypoints of COCO, OpenPose (file or folder), AlphaPose or rtmlib, or arrays in an npz '
        '(default: detected by --pose2d)',
    )
    parser.add_argument(
        '--adapt',
        metavar='CONFIG',
        help='adapt as in this config, e.g. configs/boa/r18_wild.py '
        '(default: the bundled start model without adaptation)',
    )
    parser.add_argument(
        '--model',
        metavar='NAME',
        help='an image network by name, e.g. hmr2, instead of that of --adapt or the start model; with --weights',
    )
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint of --model that you obtained, or open:NAME'
    )
    parser.add_argument(
        '--output', metavar='DIR', help='folder for all files (default: work_dirs/infer/<clip>)'
    )
    parser.add_argument(
        '--export',
        nargs='+',
        default=(),
        metavar='FORMAT',
        help=f'files for other programs: {", ".join([*FORMATS, *ALIASES])}',
    )
    parser.add_argument(
        '--max-people', type=int, metavar='N', help='only the N largest and longest tracks'
    )
    parser.add_argument(
        '--fps', type=float, metavar='N', help='the images are frames of a video, N per second'
    )
    add_focal_arguments(parser)
    parser.add_argument('--device', help='cpu, cuda, ... (default: a GPU if PyTorch finds one)')
    parser.add_argument(
        '--pose2d',
        default='blazepose',
        metavar='NAME[:OPTION]',
        help='2D detector: a registered name, e.g. blazepose:tiles=3 for small people or rtmlib:performance, or a '
        'mode of rtmlib (default: %(default)s)',
    )
    parser.add_argument(
        '--no-repair-sides',
        dest='repair_sides',
        action='store_false',
        help='keep left and right as detected, even where they are exchanged for some frames',
    )
    parser.add_argument(
        '--no-film',
        dest='film',
        action='store_false',
        help='draw nothing: no video of all people, no pictures and videos of each person',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        metavar='N',
        help='length of a webcam recording (default: until Ctrl-C)',
    )
    add_cfg_options(parser, ', e.g. dataset.max_gap=5 adapter.steps=2')


def run(args: argparse.Namespace) -> int:
    inference = infer(**vars(args))
    for path in (inference.results, inference.overlay, *inference.exports):
        if path is not None:
            print(path)
    for line in motion_lines(inference.exports):
        print(line, file=sys.stderr)
    return 0
