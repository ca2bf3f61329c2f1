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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--source', type=Path, required=True, help='folder with the captured positions'
    )
    parser.add_argument('--body', default='open', help="body file, or 'open' for the bundled one")
    parser.add_argument('--output', type=Path, required=True, help='the .npz to write')
    parser.add_argument('--iterations', type=int, default=200)
    arguments = parser.parse_args()
    try:
        data = load_body_file(arguments.body)
        body = Skeleton(
            to_tensor(data.J_regressor @ data.v_template), tuple(int(p) for p in data.parents)
        )
        clips = fit_clips(
            body,
            float(data.v_template[:, 1].min()),
            read_clips(arguments.source),
            arguments.iterations,
            report=print,
        )
        np.savez_compressed(arguments.output, **pack_motion(clips, LICENCE))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f'{arguments.output}: {len(clips)} clips, {sum(map(len, clips))} frames, '
        f'{arguments.output.stat().st_size / 1e6:.2f} MB'
    )
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
