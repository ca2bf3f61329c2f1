"""Speed of the z-buffer beside a plain loop over the triangles: ``python benchmarks/rasteriser.py``.

Times are processor times, the best of several runs; the loop is timed at the first size only, since it takes long.
"""

from __future__ import annotations

import argparse
import importlib.util
from typing import Optional

import numpy as np
from measuring import best_ms, record

from hrtk.body_models import load_body_file
from hrtk.silhouettes.raster import rasterize


def plain_loop(points: np.ndarray, faces: np.ndarray, height: int, width: int) -> np.ndarray:
    """The obvious z-buffer: triangle by triangle, each in its own window. Returns the depth (H, W)."""
    depth = np.full((height, width), np.inf)
    last_pixel = (width - 1, height - 1)
    for a, b, c in points[faces]:
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        low = np.ceil(np.minimum(np.minimum(a, b), c)[:2]).astype(int).clip(0)
        high = np.floor(np.maximum(np.maximum(a, b), c)[:2]).astype(int).clip(None, last_pixel)
        if area == 0 or (high < low).any():
            continue
        y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1]
        wa = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
        wb = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
        wc = 1 - wa - wb
        z = 1 / (wa / a[2] + wb / b[2] + wc / c[2])
        window = depth[low[1] : high[1] + 1, low[0] : high[0] + 1]
        nearer = (wa >= 0) & (wb >= 0) & (wc >= 0) & (z < window)
        window[nearer] = z[nearer]
    return depth


def body_in_image(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The bundled body, upright, filling a square image; (V, 3) points and (F, 3) faces."""
    data = load_body_file('open')
    vertices = data.v_template * (1, -1, -1)
    vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2 + (0, 0, 10)
    pixels = vertices[:, :2] / vertices[:, 2:] * 4.9 * size + (size - 1) / 2
    return np.column_stack([pixels, vertices[:, 2]]), data.f


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--sizes', type=int, nargs='+', default=[64, 224, 512], help='sides of the images, px'
    )
    parser.add_argument('--repeat', type=int, default=10, help='runs of which the best counts')
    args = parser.parse_args(arguments)
    backends = ['numpy']
    if importlib.util.find_spec('numba') is not None:
        backends.append('numba')
    print(f'{"size":>5} {"faces":>6} {"backend":<11} {"ms":>9} {"x plain loop":>13}')
    for size in args.sizes:
        points, faces = body_in_image(size)
        loop_ms = None
        if size == args.sizes[0]:
            loop_ms = best_ms(lambda: plain_loop(points, faces, size, size), 2)
            print(f'{size:5d} {len(faces):6d} {"plain loop":<11} {loop_ms:9.2f} {1:13.1f}')
        for backend in backends:
            ms = best_ms(lambda: rasterize(points, faces, size, size, backend), args.repeat)
            name = f'z-buffer, {size} px, {backend}'
            record(name, ms, loop_ms, 'a plain loop over triangles')
            speed_up = ''
            if loop_ms is not None:
                speed_up = f'{loop_ms / ms:.1f}'
            print(f'{size:5d} {len(faces):6d} {backend:<11} {ms:9.2f} {speed_up:>13}')


if __name__ == '__main__':
    main()
