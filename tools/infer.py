"""Bodies from a video: ``python tools/infer.py CLIP [--keypoints FILE] [--adapt CONFIG] [--export glb bvh npz]``.

CLIP is a video, a folder of pictures, a picture, or the index of a webcam.
"""

import argparse
import sys

from hrtk.apis.infer import ALIASES, infer
from hrtk.apis.look.exporting import FORMATS, motion_lines
from hrtk.cli.camera_options import add_focal_arguments
from hrtk.cli.options import Options, guarded


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Bodies of everybody in a video, in pictures or before a webcam'
    )
    parser.add_argument(
        'footage', metavar='CLIP', help='video, folder of pictures, picture, or index of a webcam'
    )
    parser.add_argument(
        '--keypoints',
        metavar='FILE',
        help='2D keypoints of COCO, OpenPose (file or folder), '
        'AlphaPose or rtmlib, or arrays in an npz (default: found by rtmlib, if it is installed)',
    )
    parser.add_argument(
        '--adapt',
        metavar='CONFIG',
        help='adapt as this config does, e.g. configs/boa/r18_wild.py '
        '(default: the bundled start model as it is)',
    )
    parser.add_argument(
        '--output', metavar='DIR', help='folder of everything (default: work_dirs/infer/<clip>)'
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
        '--fps', type=float, metavar='N', help='the pictures are frames of a film, N per second'
    )
    add_focal_arguments(parser)
    parser.add_argument('--device', help='cpu, cuda, ... (default: a GPU if PyTorch sees one)')
    parser.add_argument(
        '--pose2d',
        default='balanced',
        metavar='NAME[:OPTION]',
        help='2D detector: a registered name, e.g. rtmlib:performance, or a mode of rtmlib (%(default)s)',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        metavar='N',
        help='how long to record a webcam (default: until Ctrl-C)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        metavar='KEY=VALUE',
        help='replacements by dotted key, e.g. dataset.max_gap=5 adapter.steps=2',
    )
    return parser.parse_args()


def main() -> int:
    """Runs the command and names what it wrote."""
    made = infer(**vars(parse()))
    for path in (made.results, made.overlay, *made.exports):
        print(path)
    for line in motion_lines(made.exports):
        print(line, file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(guarded(main, 'everything finished is stored: run again to resume'))
