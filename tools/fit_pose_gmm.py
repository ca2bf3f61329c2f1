"""Fits the bundled pose prior: a mixture of eight Gaussians over body poses of captured motion.

    python tools/fit_pose_gmm.py --output hrtk/models/priors/assets/pose_gmm.npz

Uses the train split of :mod:`hrtk.datasets.motion` and its mirror image. Deterministic; about a minute.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from motion_fit.mixture import fit_symmetric_mixture, standard_deviation_floor

from hrtk.datasets.motion import ASSET, load_motion
from hrtk.errors import InputError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--motion', type=Path, default=ASSET, help='clips in the format of hrtk.datasets.motion'
    )
    parser.add_argument('--output', type=Path, required=True, help='the .npz to write')
    parser.add_argument('--pairs', type=int, default=4, help='components and their mirror images')
    arguments = parser.parse_args()
    try:
        clips = load_motion('train', arguments.motion)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    counts = {clip.action: sum(len(c) for c in clips if c.action == clip.action) for clip in clips}
    # Every third frame: neighbours at 30 fps say the same. The root of the action's length keeps ten minutes of dance
    # from drowning one minute of running.
    poses = np.concatenate([clip.body_pose[::3].reshape(-1, 69) for clip in clips]).astype(
        np.float64
    )
    importance = np.concatenate(
        [np.full(len(clip.body_pose[::3]), counts[clip.action] ** -0.5) for clip in clips]
    )
    mixture = fit_symmetric_mixture(
        poses, importance, arguments.pairs, standard_deviation_floor(), report=print
    )
    np.savez_compressed(
        arguments.output, **{key: value.astype(np.float32) for key, value in mixture.items()}
    )
    print(f'{arguments.output}: {arguments.output.stat().st_size / 1e3:.0f} kB')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
