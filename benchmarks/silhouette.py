"""How long soft silhouettes take, forward and backward, per picture: ``python benchmarks/silhouette.py``.

``open`` is the bundled body; ``smpl-size`` is the same with every face cut in four: 6806 vertices and 13608 faces, to
SMPL's 6890 and 13776. Bodies are posed at random and fill the picture. CPU times are process times, the best of several
runs on one thread; CUDA times are wall times with synchronisation. ``cover`` is one z-buffer of the picture's own size.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from typing import Callable

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project
from hrtk.geometry.coverage import cover
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.geometry.silhouette import silhouette

GOAL = 55  # ms, forward and backward, SMPL's size at 224 px


def best_ms(function: Callable[[], object], repeat: int, device: torch.device) -> float:
    """Shortest time of one call in milliseconds, after one call to warm up."""
    clock = time.perf_counter if device.type == 'cuda' else time.process_time
    function()
    times = []
    for _ in range(repeat):
        if device.type == 'cuda':
            torch.cuda.synchronize()
        start = clock()
        function()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(clock() - start)
    return 1000 * min(times)


def bodies(batch: int, size: int) -> tuple[Tensor, Tensor]:
    """(B, V, 2) px and (F, 3) of the bundled body at random."""
    torch.manual_seed(0)
    body = BodyModel()
    rotmat = axis_angle_to_rotmat(0.35 * torch.randn(batch, 24, 3))
    rotmat[:, 0] = axis_angle_to_rotmat(torch.tensor([[math.pi, 0, 0]]))
    posed = body(rotmat, torch.randn(batch, 10)).vertices
    points = (project(posed, torch.tensor([[0.85, 0, 0.25]]).expand(batch, 3)) + 1) * (
        size / 2
    ) - 0.5
    return points.detach(), body.faces


def cut_in_four(points: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Splits every face at the middles of its edges."""
    corners = faces.numpy()
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), 1)
    ends, middle = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = (middle.reshape(-1) + points.shape[1]).reshape(3, -1)
    a, b, c = corners.T
    parts = [np.stack(part, 1) for part in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return torch.cat([points, points[:, ends].mean(2)], 1), torch.from_numpy(np.concatenate(parts))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--sizes', type=int, nargs='+', default=[112, 224], help='sides of the pictures, px'
    )
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 16], help='pictures per call')
    parser.add_argument('--sigma', type=float, default=0.5, help='px')
    parser.add_argument('--repeat', type=int, default=10, help='runs of which the best counts')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(args.device)
    backends = ['contour'] + ['deodr'] * (
        device.type == 'cpu' and importlib.util.find_spec('deodr') is not None
    )
    print(
        f'ms per picture on {device}; goal: both <= {GOAL} for smpl-size at 224 px\n'
        f'{"mesh":<10} {"px":>4} {"batch":>5} {"cover":>7}   {"backend":<8} {"forward":>8} {"both":>7}'
    )
    for size in args.sizes:
        for batch in args.batches:
            bundled = bodies(batch, size)
            for name, mesh in (('open', bundled), ('smpl-size', cut_in_four(*bundled))):
                points, faces = (t.to(device) for t in mesh)
                points.requires_grad_()
                z_buffer = (
                    best_ms(lambda: cover(points, faces, (size, size)), args.repeat, device) / batch
                )
                for backend in backends:

                    def draw() -> Tensor:
                        return silhouette(points, faces, (size, size), args.sigma, backend)

                    forward = best_ms(draw, args.repeat, device) / batch
                    both = (
                        best_ms(
                            lambda: torch.autograd.grad(draw().sum(), points), args.repeat, device
                        )
                        / batch
                    )
                    print(
                        f'{name:<10} {size:4d} {batch:5d} {z_buffer:7.2f}   {backend:<8} {forward:8.2f} {both:7.2f}'
                    )


if __name__ == '__main__':
    main()
