"""The 24 joints that losses compare: hrtk's joints-only path against posing the whole mesh, plainly and literally."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Callable

import torch

sys.path.insert(0, str(Path(__file__).parent))

from literal.body import WholeMesh  # noqa: E402

from hrtk.body_models import BodyModel  # noqa: E402
from hrtk.geometry.rotation import axis_angle_to_rotmat  # noqa: E402

Path24 = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def cpu_ms(paths: dict[str, Path24], batch: int, backward: bool, repeat: int) -> dict[str, float]:
    """CPU milliseconds per call of each path; the paths take turns."""
    torch.manual_seed(0)
    rotmat = axis_angle_to_rotmat(0.4 * torch.randn(batch, 24, 3)).requires_grad_(backward)
    betas = torch.randn(batch, 10, requires_grad=backward)
    spent = dict.fromkeys(paths, 0.0)
    for turn in range(repeat + 1):
        for name, path in paths.items():
            start = time.process_time()
            joints = path(rotmat, betas)
            if backward:
                torch.autograd.grad(joints.square().sum(), (rotmat, betas))
            if turn:  # the first turn builds plans
                spent[name] += time.process_time() - start
    return {name: 1e3 * seconds / repeat for name, seconds in spent.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--file', default='open', help='a body with SPIN\'s extra joints')
    parser.add_argument('--extra-regressor', help='J_regressor_extra.npy, for an SMPL file')
    parser.add_argument('--batch', type=int, nargs='+', default=[1, 8, 64], help='bodies per call')
    parser.add_argument('--repeat', type=int, default=30, help='calls of each')
    args = parser.parse_args()
    torch.set_num_threads(1)
    body = BodyModel(args.file, args.extra_regressor)
    literal = WholeMesh(body.data)
    paths: dict[str, Path24] = {
        'joints only': lambda r, b: body.joints(r, b, 'spin24'),
        'whole mesh': lambda r, b: body.joints_from_mesh(body(r, b), 'spin24'),
        'literal': lambda r, b: literal(r, b)[1]}
    rotmat, betas = axis_angle_to_rotmat(torch.randn(4, 24, 3)), torch.randn(4, 10)
    apart = max((paths[name](rotmat, betas) - paths['joints only'](rotmat, betas)).abs().max() for name in paths)
    print(f'{body.num_vertices} vertices; the paths differ by at most {apart:.1e} m\n'
          f'{"batch":>5} {"pass":<8} {"path":<12} {"CPU ms":>8} {"x joints only":>14}')
    for batch in args.batch:
        for backward in (False, True):
            found = cpu_ms(paths, batch, backward, args.repeat)
            for name, ms in found.items():
                print(f'{batch:5d} {"both" if backward else "forward":<8} {name:<12} {ms:8.2f} '
                      f'{ms / found["joints only"]:14.1f}')


if __name__ == '__main__':
    main()
