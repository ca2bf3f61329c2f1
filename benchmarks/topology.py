"""Time of aligning silhouettes: ``python benchmarks/topology.py``.

Milliseconds per image, on one thread of the CPU or on a GPU, for the bundled body and for a body of SMPL's size (the
bundled one with every face divided into four: 6805 vertices and 13608 faces; SMPL has 6890 and 13776):

* ``losses``: L_S and L_T forward and backward, target prepared;
* ``fitting step``: body model, projection, both losses, backward and a step of Adam on pose, betas and camera.

The images are as large as a crop. Bodies have random poses; the target of each is the mask of a similar body.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from measuring import best_ms, record
from torch import Tensor

from hrtk.body_models import BodyModel, load_body_file
from hrtk.geometry.camera import crop_translation, project
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.losses import alignment_losses, silhouette_target
from hrtk.losses.topology import SilhouetteTarget
from hrtk.silhouettes.coverage import cover


def write_fine_body(path: Path) -> None:
    """The bundled body with a vertex in the middle of every edge, as an SMPL .npz."""
    body = load_body_file('open')
    pairs = np.sort(np.stack([body.f, np.roll(body.f, -1, 1)], -1), -1).reshape(-1, 2)
    edges, edge_of_side = np.unique(pairs, axis=0, return_inverse=True)
    a, b, c = body.f.T
    ab, bc, ca = len(body.v_template) + edge_of_side.reshape(-1, 3).T
    triangles = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    faces = np.concatenate([np.stack(triangle, 1) for triangle in triangles])

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
    """Random parameters of bodies that fill most of a crop, and the masks of similar bodies."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(body.faces.device)

    pose = 0.3 * draw(batch, 24, 3)
    betas = 0.7 * draw(batch, 10)
    pose[:, 0] = torch.tensor([torch.pi, 0, 0])
    camera = torch.tensor([0.9, 0, 0.2]).to(pose).repeat(batch, 1)
    target_pose = pose + 0.15 * draw(batch, 24, 3)
    target_camera = camera + 0.02 * draw(batch, 3)
    target = pixels(body, target_pose, betas, target_camera, size)
    masks = cover(target, body.faces, (size, size)).mask
    return [pose, betas, camera], silhouette_target(masks)


def measure(body: BodyModel, batch: int, size: int, grad: str, repeat: int) -> tuple[float, float]:
    """Milliseconds per image of the losses and of a fitting step."""
    parameters, target = scene(body, batch, size)
    points = pixels(body, *parameters, size).requires_grad_()

    def losses() -> None:
        terms = alignment_losses(points, body.faces, target, grad, 'mean')
        torch.autograd.grad((terms.silhouette + terms.topology).sum(), points)

    fitted = [value.clone().requires_grad_() for value in parameters]
    optimizer = torch.optim.Adam(fitted, lr=0.01)

    def step() -> None:
        terms = alignment_losses(pixels(body, *fitted, size), body.faces, target, grad, 'mean')
        optimizer.zero_grad()
        (terms.silhouette + terms.topology).sum().backward()
        optimizer.step()

    device = points.device
    losses_ms = best_ms(losses, repeat, device, warm_up=2)
    step_ms = best_ms(step, repeat, device, warm_up=2)
    return losses_ms / batch, step_ms / batch


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--size', type=int, default=224, help='side of the images, px')
    parser.add_argument(
        '--grad', nargs='+', default=['material'], choices=['material', 'conv', 'literal']
    )
    parser.add_argument('--repeat', type=int, default=5, help='runs of which the best counts')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(
        f'{"body":<10} {"faces":>6} {"grad":<9} {"losses ms":>10} {"fitting step ms":>16}   per image, '
        f'batch {args.batch}, {args.size} px, {args.device}'
    )
    with tempfile.TemporaryDirectory() as folder:
        fine = Path(folder) / 'fine.npz'
        write_fine_body(fine)
        for name, file in (('open', 'open'), ('SMPL size', fine)):
            body = BodyModel(file).to(args.device)
            for grad in args.grad:
                losses, step = measure(body, args.batch, args.size, grad, args.repeat)
                record(f'silhouette topology, losses with gradient, {name}, {grad}', losses)
                record(f'silhouette topology, fitting step, {name}, {grad}', step)
                print(f'{name:<10} {len(body.faces):6d} {grad:<9} {losses:10.2f} {step:16.2f}')


if __name__ == '__main__':
    main()
