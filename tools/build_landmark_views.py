"""Makes the labelled observations that ship with hrtk.

    python tools/build_landmark_views.py --output hrtk/datasets/assets/landmark_views.npz

They are the first items of LandmarkViews with seed 7. Its videos are drawn once, about 15 minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from hrtk.datasets.landmarks import LandmarkViews
from hrtk.datasets.landmarks.bundled import packed

SEED = 7  # not that of the training or of its validation


def main() -> int:
    """Returns 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--output', type=Path, required=True, help='the .npz to write')
    parser.add_argument('--items', type=int, default=512)
    args = parser.parse_args()
    views = LandmarkViews(
        length=args.items, seed=SEED, tracks=dict(type='LandmarkTracks', length=700)
    )
    arrays = packed([views[index] for index in range(args.items)])
    np.savez_compressed(args.output, **{name: array.numpy() for name, array in arrays.items()})
    print(f'{args.output}: {args.output.stat().st_size / 1e6:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
