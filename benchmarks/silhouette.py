"""Time of soft silhouettes, forward and backward, per image: ``python benchmarks/silhouette.py``.

``open`` is the bundled body; ``smpl-size`` is the same with every face divided into four: 6806 vertices and 13608
faces, to SMPL's 6890 and 13776. Bodies have random poses and fill the image. CPU times are process times, the best of
several runs on one thread; CUDA times are wall times with synchronisation. ``cover`` is one z-buffer of the image's
size.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from typing import Optional

import numpy as np
import torch
from measuring import best_ms, record
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.silhouettes.coverage import cover
from hrtk.silhouettes.silhouette import silhouette

GOAL = 55  # ms, forward and backward, SMPL's size at 224 px


def bodies(batch: int, size: int) -> tuple[Tensor, Tensor]:
    """(B, V, 2) px and (F, 3) of the bundled body in random poses."""
    torch.manual_seed(0)
    body = BodyModel()
    rotmat = axis_angle_to_rotmat(0.35 * torch.randn(batch, 24, 3))
    rotmat[:, 0] = axis_angle_to_rotmat(torch.tensor([[math.pi, 0, 0]]))
    vertices = body(rotmat, torch.randn(batch, 10)).vertices
    camera = torch.tensor([[0.85, 0, 0.25]]).expand(batch, 3)
    points = (project(vertices, camera) + 1) * (size / 2) - 0.5
    return points.detach(), body.faces


def divide_in_four(points: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Splits every face at the middles of its edges."""
    corners = faces.numpy()
    sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    ends, middle = np.unique(np.sort(sides, 1), axis=0, return_inverse=True)
    ab, bc, ca = (middle.reshape(-1) + points.shape[1]).reshape(3, -1)
    a, b, c = corners.T
    triangles = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    divided = np.concatenate([np.stack(triangle, 1) for triangle in triangles])
    return torch.cat([points, points[:, ends].mean(2)], 1), torch.from_numpy(divided)


def print_row(
    name: str,
    points: Tensor,
    faces: Tensor,
    size: int,
    sigma: float,
    backends: list[str],
    repeat: int,
) -> None:
    """Measures one mesh at one size with all back-ends."""
    device = points.device
    batch = len(points)
    points.requires_grad_()
    z_buffer = best_ms(lambda: cover(points, faces, (size, size)), repeat, device) / batch
    times = {}
    for backend in backends:

        def draw() -> Tensor:
            return silhouette(points, faces, (size, size), sigma, backend)

        def draw_and_differentiate() -> tuple[Tensor, ...]:
            return torch.autograd.grad(draw().sum(), points)

        forward = best_ms(draw, repeat, device) / batch
        both = best_ms(draw_and_differentiate, repeat, device) / batch
        times[backend] = both
        print(
            f'{name:<10} {size:4d} {batch:5d} {z_buffer:7.2f}   {backend:<8} {forward:8.2f} {both:7.2f}'
        )
    # A silhouette holds a z-buffer of its size, so that is its floor.
    label = f'soft silhouette with gradient, {name}, {size} px, batch {batch}'
    record(label, times['contour'], times.get('deodr'), 'deodr', z_buffer)


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--sizes', type=int, nargs='+', default=[112, 224], help='sides of the images, px'
    )
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 16], help='images per call')
    parser.add_argument('--sigma', type=float, default=0.5, help='px')
    parser.add_argument('--repeat', type=int, default=10, help='runs of which the best counts')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = torch.device(args.device)
    backends = ['contour']
    if device.type == 'cpu' and importlib.util.find_spec('deodr') is not None:
        backends.append('deodr')
    print(
        f'ms per image on {device}; goal: both <= {GOAL} for smpl-size at 224 px\n'
        f'{"mesh":<10} {"px":>4} {"batch":>5} {"cover":>7}   {"backend":<8} {"forward":>8} {"both":>7}'
    )
    for size in args.sizes:
        for batch in args.batches:
            bundled = bodies(batch, size)
            meshes = {'open': bundled, 'smpl-size': divide_in_four(*bundled)}
            for name, (points, faces) in meshes.items():
                print_row(
                    name,
                    points.to(device),
                    faces.to(device),
                    size,
                    args.sigma,
                    backends,
                    args.repeat,
                )


if __name__ == '__main__':
    main()
