"""What aligning silhouettes costs: ``python benchmarks/topology.py``.

Milliseconds per picture, on one thread of the CPU or on a GPU, for the bundled body and for one of SMPL's size (the
bundled one with every face cut into four: 6805 vertices and 13608 faces; SMPL has 6890 and 13776):

* ``losses``: L_S and L_T forward and backward, target prepared;
* ``fitting step``: body model, projection, both losses, backward and a step of Adam on pose, betas and camera.

The pictures are as large as a crop, bodies stand in random poses, each beside a mask of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Callable

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel, load_body_file
from hrtk.geometry.camera import crop_translation, project
from hrtk.geometry.coverage import cover
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.losses import alignment_losses, silhouette_target
from hrtk.losses.topology import SilhouetteTarget


def write_fine_body(path: Path) -> None:
    """The bundled body with a vertex in the middle of every edge, as an SMPL .npz."""
    body = load_body_file('open')
    pairs = np.sort(np.stack([body.f, np.roll(body.f, -1, 1)], -1), -1).reshape(-1, 2)
    edges, of_side = np.unique(pairs, axis=0, return_inverse=True)
    a, b, c = body.f.T
    ab, bc, ca = len(body.v_template) + of_side.reshape(-1, 3).T
    faces = np.concatenate(
        [np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )

    def refined(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, array[edges].mean(1)]).astype(np.float32)

    regressor = np.pad(body.J_regressor, ((0, 0), (0, len(edges))))
    np.savez(
        path,
        v_template=refined(body.v_template),
        shapedirs=refined(body.shapedirs),
        posedirs=refined(body.posedirs),
        weights=refined(body.weights),
        J_regressor=regressor,
        f=faces,
        kintree_table=body.kintree_table,
    )


def pixels(body: BodyModel, pose: Tensor, betas: Tensor, camera: Tensor, size: int) -> Tensor:
    """Parameters of B bodies -> (B, V, 3) pixels and depth."""
    vertices = body(axis_angle_to_rotmat(pose), betas).vertices
    depth = vertices[..., 2:] + crop_translation(camera)[:, None, 2:]
    return torch.cat([(project(vertices, camera) + 1) * size / 2 - 0.5, depth], 2)


def scene(body: BodyModel, batch: int, size: int) -> tuple[list[Tensor], SilhouetteTarget]:
    """Random parameters that fill most of a crop, and the masks of others near them."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(body.faces.device)

    pose, betas = 0.3 * draw(batch, 24, 3), 0.7 * draw(batch, 10)
    pose[:, 0] = torch.tensor([torch.pi, 0, 0])
    camera = torch.tensor([0.9, 0, 0.2]).to(pose).repeat(batch, 1)
    near = pixels(
        body, pose + 0.15 * draw(batch, 24, 3), betas, camera + 0.02 * draw(batch, 3), size
    )
    return [pose, betas, camera], silhouette_target(cover(near, body.faces, (size, size)).mask)


def best_ms(function: Callable[[], object], repeat: int, device: torch.device) -> float:
    """Shortest time of one call in milliseconds, after two to warm up: of the processor, or of the GPU's clock."""
    clock = time.perf_counter if device.type == 'cuda' else time.process_time
    times = []
    for _ in range(repeat + 2):
        start = clock()
        function()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(clock() - start)
    return 1000 * min(times[2:])


def measure(body: BodyModel, batch: int, size: int, grad: str, repeat: int) -> tuple[float, float]:
    """Milliseconds per picture of the losses and of a fitting step."""
    parameters, target = scene(body, batch, size)
    points = pixels(body, *parameters, size).requires_grad_()

    def losses() -> None:
        found = alignment_losses(points, body.faces, target, grad, 'mean')
        torch.autograd.grad((found.silhouette + found.topology).sum(), points)

    fitted = [value.clone().requires_grad_() for value in parameters]
    optimizer = torch.optim.Adam(fitted, lr=0.01)

    def step() -> None:
        found = alignment_losses(pixels(body, *fitted, size), body.faces, target, grad, 'mean')
        optimizer.zero_grad()
        (found.silhouette + found.topology).sum().backward()
        optimizer.step()

    device = points.device
    return best_ms(losses, repeat, device) / batch, best_ms(step, repeat, device) / batch


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--size', type=int, default=224, help='side of the pictures, px')
    parser.add_argument(
        '--grad', nargs='+', default=['material'], choices=['material', 'conv', 'literal']
    )
    parser.add_argument('--repeat', type=int, default=5, help='runs of which the best counts')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f'{"body":<10} {"faces":>6} {"grad":<9} {"losses ms":>10} {"fitting step ms":>16}   per picture, '
        f'batch {args.batch}, {args.size} px, {args.device}'
    )
    with tempfile.TemporaryDirectory() as folder:
        fine = Path(folder) / 'fine.npz'
        write_fine_body(fine)
        for name, file in (('open', 'open'), ('SMPL size', fine)):
            body = BodyModel(file).to(args.device)
            for grad in args.grad:
                losses, step = measure(body, args.batch, args.size, grad, args.repeat)
                print(f'{name:<10} {len(body.faces):6d} {grad:<9} {losses:10.2f} {step:16.2f}')


if __name__ == '__main__':
    main()
