"""The 24 joints of the losses: hrtk's joints-only path against posing the whole mesh, by hrtk and literally.

``--smplx`` uses a generated body of SMPL's size, 6890 vertices, and adds the ``smplx`` package, whose mesh gives the
same joints through the same regressors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Optional

import torch

sys.path.insert(0, str(Path(__file__).parent))

from literal.body import WholeMesh  # noqa: E402
from measuring import record  # noqa: E402

from hrtk.body_models import BodyModel, load_body_file  # noqa: E402
from hrtk.body_models.body import BodyOutput  # noqa: E402
from hrtk.geometry.rotation import axis_angle_to_rotmat  # noqa: E402
from hrtk.testing.smpl_files import write_body_files  # noqa: E402

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


def smplx_path(file: Path, body: BodyModel) -> Path24:
    """Joints through smplx's mesh."""
    import smplx

    parents = torch.tensor([list(body.data.parents), range(24)])
    data = {key: value for key, value in vars(load_body_file(file)).items() if value is not None}
    data.update(
        kintree_table=parents.numpy(),
        shapedirs=body.data.shapedirs,
    )
    model = smplx.SMPL(
        '',
        data_struct=smplx.utils.Struct(**data),
        create_transl=False,
        create_body_pose=False,
        create_global_orient=False,
        create_betas=False,
    )

    def path(rotmat: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        out = model(
            betas=betas, global_orient=rotmat[:, :1], body_pose=rotmat[:, 1:], pose2rot=False
        )
        return body.joints_from_mesh(BodyOutput(out.vertices, out.joints[:, :24]), 'spin24')

    return path


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--file', default='open', help="a body with SPIN's extra joints")
    parser.add_argument('--extra-regressor', help='J_regressor_extra.npy, for an SMPL file')
    parser.add_argument('--batch', type=int, nargs='+', default=[1, 8, 64], help='bodies per call')
    parser.add_argument('--repeat', type=int, default=30, help='calls of each')
    parser.add_argument('--smplx', action='store_true', help='see above; needs smplx')
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = tempfile.TemporaryDirectory()
    if args.smplx:
        write_body_files(folder.name)
        args.file = Path(folder.name) / 'body_models/smpl/SMPL_NEUTRAL.pkl'
        args.extra_regressor = Path(folder.name) / 'spin/J_regressor_extra.npy'
    body = BodyModel(args.file, args.extra_regressor)
    literal = WholeMesh(body.data)
    paths: dict[str, Path24] = {
        'joints only': lambda r, b: body.joints(r, b, 'spin24'),
        'whole mesh': lambda r, b: body.joints_from_mesh(body(r, b), 'spin24'),
        'literal': lambda r, b: literal(r, b)[1],
    }
    if args.smplx:
        paths['smplx'] = smplx_path(args.file, body)
    rotmat = axis_angle_to_rotmat(torch.randn(4, 24, 3))
    betas = torch.randn(4, 10)
    reference = paths['joints only'](rotmat, betas)
    difference = max((path(rotmat, betas) - reference).abs().max() for path in paths.values())
    print(
        f'{body.num_vertices} vertices; the paths differ by at most {difference:.1e} m\n'
        f'{"batch":>5} {"pass":<8} {"path":<12} {"CPU ms":>8} {"x joints only":>14}'
    )
    for batch in args.batch:
        for backward in (False, True):
            passes = 'both' if backward else 'forward'
            times = cpu_ms(paths, batch, backward, args.repeat)
            name = f'24 joints of {batch} bodies, {passes}'
            record(name, times['joints only'], times['literal'], 'literal/body.py')
            for name, ms in times.items():
                ratio = ms / times['joints only']
                print(f'{batch:5d} {passes:<8} {name:<12} {ms:8.2f} {ratio:14.1f}')


if __name__ == '__main__':
    main()
