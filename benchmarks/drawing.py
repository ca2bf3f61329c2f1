"""Drawing a body over an image: shading per vertex beside shading per sample.

    python benchmarks/drawing.py

The bundled body fills the height of a landscape image. Printed are processor milliseconds per image, their ratio, and
the largest and the mean difference of the covered pixels in grey levels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from literal.shading import draw_per_sample  # noqa: E402
from measuring import best_ms, record, use_one_thread  # noqa: E402

from hrtk.body_models import load_body_file  # noqa: E402
from hrtk.visualization import draw_mesh  # noqa: E402

DISTANCE = 8.0  # metres
HEIGHT = 1.9  # metres that the image shows there


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--heights', type=int, nargs='+', default=[360, 720, 1080], help='px')
    parser.add_argument('--repeat', type=int, default=10, help='runs of which the best counts')
    args = parser.parse_args(arguments)
    use_one_thread()
    body = load_body_file('open')
    vertices = np.asarray(body.v_template, np.float64) * (1, -1, -1)
    vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2 + (0, 0, DISTANCE)
    print(f'{len(vertices)} vertices, {len(body.f)} faces')
    print(
        f'{"height":>6}{"per sample ms":>15}{"per vertex ms":>15}{"ratio":>7}{"largest":>9}{"mean":>6}'
    )
    for height in args.heights:
        image = np.full((height, height * 16 // 9, 3), 96, np.uint8)
        focal = height * DISTANCE / HEIGHT
        literal = draw_per_sample(image, vertices, body.f, focal)
        ours = draw_mesh(image, vertices, body.f, focal)
        covered = (literal != 96).any(2)
        difference = np.abs(literal.astype(int) - ours)[covered]
        slow = best_ms(lambda: draw_per_sample(image, vertices, body.f, focal), args.repeat)
        fast = best_ms(lambda: draw_mesh(image, vertices, body.f, focal), args.repeat)
        record(f'drawing a body, {height} px', fast, slow, 'literal/shading.py')
        print(
            f'{height:6d}{slow:15.1f}{fast:15.1f}{slow / fast:7.1f}'
            f'{difference.max():9d}{difference.mean():6.2f}'
        )


if __name__ == '__main__':
    main()
