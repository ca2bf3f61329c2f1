"""Fits the bundled pose prior: a mixture of eight Gaussians over body poses of captured motion.

    python tools/fit_pose_gmm.py --output hrtk/models/priors/assets/pose_gmm.npz

Uses the train split of :mod:`hrtk.datasets.motion` and its mirror image. Deterministic; about a minute.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from motion_fit.mixture import fit_symmetric_mixture, standard_deviation_floor

from hrtk.datasets.motion import ASSET, MotionClip, load_motion
from hrtk.errors import InputError

STRIDE = 3  # neighbouring frames at 30 fps are nearly equal


def main() -> int:
    """Returns 0 after success, 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--motion', type=Path, default=ASSET, help='clips in the format of hrtk.datasets.motion'
    )
    parser.add_argument('--output', type=Path, required=True, help='the .npz to write')
    parser.add_argument('--pairs', type=int, default=4, help='components and their mirror images')
    args = parser.parse_args()
    try:
        clips = load_motion('train', args.motion)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    poses, importance = sample_poses(clips)
    floor = standard_deviation_floor()
    mixture = fit_symmetric_mixture(poses, importance, args.pairs, floor, report=print)
    arrays = {key: value.astype(np.float32) for key, value in mixture.items()}
    np.savez_compressed(args.output, **arrays)
    print(f'{args.output}: {args.output.stat().st_size / 1e3:.0f} kB')
    return 0


def sample_poses(clips: Sequence[MotionClip]) -> tuple[np.ndarray, np.ndarray]:
    """Every third body pose of all clips, (N, 69) radians, and its importance (N,).

    The importance falls with the square root of the action's length, so that ten minutes of dancing do not outweigh
    one minute of running.
    """
    frames: collections.Counter[str] = collections.Counter()
    for clip in clips:
        frames[clip.action] += len(clip)
    poses = [clip.body_pose[::STRIDE].reshape(-1, 69) for clip in clips]
    importance = [
        np.full(len(chunk), frames[clip.action] ** -0.5) for clip, chunk in zip(clips, poses)
    ]
    return np.concatenate(poses).astype(np.float64), np.concatenate(importance)


if __name__ == '__main__':
    sys.exit(main())
