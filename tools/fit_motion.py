"""Fits captured joint positions to a body's skeleton and packs the result for :mod:`hrtk.datasets.motion`.

    python tools/fit_motion.py --source FOLDER --body open --output hrtk/datasets/assets/cmu_motion.npz

FOLDER holds ``cmu_h17_60fps.npz`` (17 positions per frame, metres, y up) and ``clips.json``. Takes some minutes on one
core; every number is deterministic.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from motion_fit.clips import read_clips
from motion_fit.pack import LICENCE, fit_clips
from motion_fit.skeleton import Skeleton, to_tensor

from hrtk.body_models.files import load_body_file
from hrtk.datasets.motion import pack_motion
from hrtk.errors import InputError


def main() -> int:
    """Returns 0 after success, 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--source', type=Path, required=True, help='folder with the captured positions'
    )
    parser.add_argument('--body', default='open', help="body file, or 'open' for the bundled one")
    parser.add_argument('--output', type=Path, required=True, help='the .npz to write')
    parser.add_argument('--iterations', type=int, default=200)
    args = parser.parse_args()
    try:
        data = load_body_file(args.body)
        joints = to_tensor(data.J_regressor @ data.v_template)
        skeleton = Skeleton(joints, tuple(int(parent) for parent in data.parents))
        sole = float(data.v_template[:, 1].min())
        captured = read_clips(args.source)
        clips = fit_clips(skeleton, sole, captured, args.iterations, report=print)
        np.savez_compressed(args.output, **pack_motion(clips, LICENCE))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    frames = sum(len(clip) for clip in clips)
    size = args.output.stat().st_size / 1e6
    print(f'{args.output}: {len(clips)} clips, {frames} frames, {size:.2f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
