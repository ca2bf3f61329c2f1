"""The DEODR backend of :func:`hrtk.silhouettes.silhouette.silhouette`, an optional dependency, on the CPU.

de la Gorce et al., "Model-based 3D hand pose estimation from monocular video", PAMI 2011.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hrtk.errors import InputError
from hrtk.silhouettes.mesh_edges import Edges, face_orientation, face_sides, mesh_edges


class _Render(NamedTuple):
    """One scene of DEODR and its output."""

    scene: Any
    image: np.ndarray  # (H, W, 1)
    depth: np.ndarray  # (H, W)


class DeodrSilhouette(torch.autograd.Function):
    """White faces on black by DEODR, with a ramp along the edges of the outline.

    The arguments of ``apply`` are points (B, V, 2 or 3), faces (F, 3), size (H, W) and sigma.
    """

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, faces: Tensor, size: tuple[int, int], sigma: float
    ) -> Tensor:
        ctx.renders = _render_batch(points, faces, size, sigma)
        ctx.sigma = sigma
        ctx.save_for_backward(points)
        return points.new_tensor(np.stack([render.image[..., 0] for render in ctx.renders]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        (points,) = ctx.saved_tensors
        renderer = _deodr()
        result = torch.zeros_like(points)
        for i, render in enumerate(ctx.renders):
            if not len(render.scene.faces):
                continue
            image_gradient = grad[i].double().cpu().contiguous().numpy()[..., None]
            render.scene.clear_gradients()
            # Copies, since the renderer writes to the arrays that it gets.
            image = render.image.copy()
            depth = render.depth.copy()
            renderer.renderSceneB(render.scene, 2 * ctx.sigma, image, depth, image_gradient)
            result[i, :, :2] = result.new_tensor(render.scene.ij_b)
        return result, None, None, None


def _render_batch(
    points: Tensor, faces: Tensor, size: tuple[int, int], sigma: float
) -> list[_Render]:
    renderer = _deodr()
    triangles = faces.cpu()
    edges = Edges._make(field.cpu() for field in mesh_edges(faces))
    orientation = face_orientation(points.detach().cpu(), triangles)
    sides = face_sides(orientation, edges)
    meshes = points.detach().cpu()[..., :2].double().nan_to_num(0, 0, 0)
    renders = []
    for i, xy in enumerate(meshes):
        in_reach = orientation[:, i] * _touches_image(xy[triangles], size, 2 * sigma)
        drawn_faces, ramps = _drawn_faces(triangles, in_reach, sides[:, i], edges)
        scene = _scene(renderer, xy.numpy(), drawn_faces, ramps, size)
        render = _Render(scene, image=np.zeros((*size, 1)), depth=np.zeros(size))
        if len(scene.faces):  # DEODR's exception for an empty scene ends the process
            renderer.renderScene(scene, 2 * sigma, render.image, render.depth)
        renders.append(render)
    return renders


def _touches_image(corners: Tensor, size: tuple[int, int], ramp: float) -> Tensor:
    """(F,) bool. Coordinates of other faces could overflow the integers of the renderer."""
    low = -1 - ramp
    high = corners.new_tensor([size[1], size[0]]) + ramp
    return ((corners.amin(1) < high) & (corners.amax(1) > low)).all(1)


def _drawn_faces(
    faces: Tensor, orientation: Tensor, sides: Tensor, edges: Edges
) -> tuple[np.ndarray, np.ndarray]:
    """Selects the usable faces and the edges that get a ramp.

    Returns:
        (N, 3) faces, all clockwise, and (N, 3) bool flags of their edges.
    """
    # Only one of the faces of an edge draws its ramp.
    owner = torch.full_like(edges.ends[0], -1)
    for face, direction in zip(edges.faces, edges.direction):
        owner = torch.where((direction != 0) & (orientation[face] != 0), face, owner)
    ramps = (sides != 0)[edges.of_face]
    ramps &= owner[edges.of_face] == torch.arange(len(faces))[:, None]
    ramps &= edges.of_face >= 0
    is_back = orientation < 0
    faces = faces.clone()
    faces[is_back] = faces[is_back].flip(1)
    ramps[is_back] = ramps[is_back][:, [1, 0, 2]]
    usable = orientation != 0
    return faces[usable].numpy(), ramps[usable].numpy()


@functools.cache
def _deodr() -> Any:
    try:
        from deodr import differentiable_renderer
    except ImportError as error:
        raise InputError(
            "silhouette: backend 'deodr' is not installed; install deodr, or use contour"
        ) from error
    return differentiable_renderer


def _scene(
    renderer: Any, xy: np.ndarray, faces: np.ndarray, ramps: np.ndarray, size: tuple[int, int]
) -> Any:
    vertices = len(xy)
    all_false = np.zeros(len(faces), bool)
    faces = np.ascontiguousarray(faces, np.uint32)
    return renderer.Scene2D(
        faces=faces,
        faces_uv=faces,
        ij=xy,
        depths=np.ones(vertices),
        textured=all_false,
        uv=np.zeros((vertices, 2)),
        shade=np.zeros(vertices),
        colors=np.ones((vertices, 1)),
        shaded=all_false,
        edgeflags=ramps,
        height=size[0],
        width=size[1],
        nb_colors=1,
        texture=np.zeros((0, 0)),
        background_image=np.zeros((*size, 1)),
        clockwise=True,
        backface_culling=True,
    )
