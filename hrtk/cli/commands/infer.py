"""Estimates the bodies of all people in a video, in images or in front of a webcam.

CLIP is a video, a folder of images, an image, or the index of a webcam.
Example: hrtk infer clip.mp4 --adapt boa/r18_wild --export glb
Live: hrtk infer 0 --live --adapt boa/lifter_wild --budget 200
"""

from __future__ import annotations

import argparse
import inspect
import sys
from typing import Any

from hrtk.apis.infer import ALIASES, camera_index, infer
from hrtk.apis.live.playing import SHOWS, live
from hrtk.apis.look.exporting import FORMATS, motion_lines
from hrtk.cli.camera_options import add_focal_arguments
from hrtk.cli.options import add_cfg_options
from hrtk.datasets.own.keypoint_readers import READERS
from hrtk.errors import InputError
from hrtk.models.estimators.hmr import PRECISIONS

PROGRAMS = '; '.join(reader.program for reader in READERS)
LIVE_OPTIONS = ('budget', 'show', 'record', 'state')
OPTION_NAMES = {'begin': 'from', 'end': 'to', 'repair_sides': 'no_repair_sides', 'film': 'no_film'}
ON_INTERRUPT = 'everything finished is stored: run again to resume'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'footage', metavar='CLIP', help='video, folder of images, image, or index of a webcam'
    )
    _add_input_arguments(parser)
    _add_model_arguments(parser)
    _add_output_arguments(parser)
    _add_selection_arguments(parser)
    _add_live_arguments(parser)
    add_cfg_options(parser, ', e.g. dataset.max_gap=5 adapter.steps=2')


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """What the bodies are found in: footage and 2D keypoints."""
    parser.add_argument(
        '--keypoints',
        metavar='FILE',
        help=f'2D keypoints, a file or a folder of one of: {PROGRAMS} (default: detected by --pose2d)',
    )
    parser.add_argument(
        '--first-frame',
        type=int,
        metavar='N',
        help='number of the first frame of the video in the keypoint file (default: 0 or 1, found by itself and said '
        'where it matters)',
    )
    parser.add_argument(
        '--pose2d',
        default='blazepose',
        metavar='NAME[:OPTION]',
        help='2D detector: a registered name, e.g. blazepose:tiles=4 for small people or rtmlib:performance, or a '
        'mode of rtmlib (default: %(default)s)',
    )
    parser.add_argument(
        '--no-repair-sides',
        dest='repair_sides',
        action='store_false',
        help='keep left and right as detected, even where they are exchanged for some frames',
    )
    parser.add_argument(
        '--fps', type=float, metavar='N', help='the images are frames of a video, N per second'
    )
    add_focal_arguments(parser)
    parser.add_argument(
        '--seconds',
        type=float,
        metavar='N',
        help='length of a webcam recording (default: until Ctrl-C)',
    )


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The network, its adaptation, and where it computes."""
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
    parser.add_argument('--device', help='cpu, cuda, ... (default: a GPU if PyTorch finds one)')
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        help='of convolutions: bfloat16 is faster on GPUs and processors with bfloat16 units, and less exact '
        "(default: the config's, usually float32)",
    )


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """What is written."""
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
        '--no-film',
        dest='film',
        action='store_false',
        help='draw nothing: no video of all people, no pictures and videos of each person',
    )


def _add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """The people and the frames that count."""
    parser.add_argument(
        '--max-people', type=int, metavar='N', help='only the N largest and longest tracks'
    )
    parser.add_argument(
        '--person',
        metavar='N|largest',
        help='only this person: the number in the names of results, e.g. 1 for clip_person1, or largest',
    )
    parser.add_argument(
        '--from',
        dest='begin',
        metavar='TIME',
        help='begin at this time: seconds (3.5), [hours:]minutes:seconds (00:01:03.5), or a frame (f105)',
    )
    parser.add_argument(
        '--to', dest='end', metavar='TIME', help='end before this time or frame, written likewise'
    )


def _add_live_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('live')
    group.add_argument(
        '--live',
        action='store_true',
        help='show the bodies while the camera runs; a video is played at its own rate',
    )
    group.add_argument(
        '--budget',
        type=float,
        metavar='MS',
        help='milliseconds from a frame to its bodies, which choose the steps of each frame (default: no limit)',
    )
    group.add_argument(
        '--show',
        choices=SHOWS,
        help='a window, a page of viser in the browser, or none (default: a window)',
    )
    group.add_argument('--record', metavar='FILE', help='write what is shown as a video, .mp4')
    group.add_argument(
        '--state',
        metavar='FILE',
        help='continue with the adapted weights of this file if it exists, and store them there at the end',
    )


def _footage(text: str) -> str | int:
    """The index of a webcam, or the path as it is."""
    camera = camera_index(text)
    if camera is None:
        return text
    return camera


def _run_live(options: dict[str, Any]) -> int:
    """Runs live with the options that it has.

    Raises:
        InputError: an option is for finished footage.
    """
    parameters = inspect.signature(live).parameters
    defaults = inspect.signature(infer).parameters
    for name, value in options.items():
        if name not in parameters and value != defaults[name].default:
            raise InputError(
                f'--{OPTION_NAMES.get(name, name).replace("_", "-")} is for finished footage; leave it out with '
                f'--live, or record first'
            )
    known = {name: value for name, value in options.items() if name in parameters}
    known['footage'] = _footage(known['footage'])
    known['show'] = known['show'] or 'auto'
    live(**known)
    return 0


def run(args: argparse.Namespace) -> int:
    options = vars(args)
    if options.pop('live'):
        return _run_live(options)
    for name in LIVE_OPTIONS:
        if options.pop(name) is not None:
            raise InputError(f'--{name} belongs to --live')
    inference = infer(**options)
    for path in (inference.results, inference.overlay, *inference.exports):
        if path is not None:
            print(path)
    for line in motion_lines(inference.exports):
        print(line, file=sys.stderr)
    return 0
