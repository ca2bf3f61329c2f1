"""Differentiable silhouettes of triangle meshes: how far does each pixel near the outline lie inside of it.

The outline is made of the edges whose faces all lie on one side of them, as far as nothing lies on the other. The value
of a pixel is a smooth step of its signed distance to the nearest piece of the outline, with the sign of a hard z-buffer
mask; away from the outline the mask itself is the value. Unlike the soft rasteriser of Liu et al. ("Soft Rasterizer",
ICCV 2019), whose every face reaches into its surroundings, this has no bias in area, and only the outline costs
anything.

DEODR (de la Gorce et al., "Model-based 3D hand pose estimation from monocular video", PAMI 2011) is an optional second
backend.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakTensorKeyDictionary

from hrtk.errors import InputError
from hrtk.geometry.coverage import cover
from hrtk.geometry.raster import rasterize

REACH = 6.0  # in sigmas: where the step is cut off, sigmoid(6) = 0.9975
PIECE = 1.0  # px; of each piece of an edge either all is outline or nothing
FINE = 3  # the mask that says what lies beyond an edge has as many pixels on a side of each pixel
PROBE = 0.2  # px beyond the middle of a piece, where there is nothing if it is part of the outline
CHUNK = 1 << 19  # pairs of a piece and a pixel that are compared at once


def silhouette(
    points: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    sigma: float = 0.5,
    backend: str = 'contour',
) -> Tensor:
    """Soft masks of a batch of meshes with one topology.

    Winding is free; holes and edges of any number of faces are allowed. A face with a non-finite corner or one at depth
    z <= 0 is left out. The outline is followed a few pixels beyond the border, so that a body which the border cuts has
    no outline there, and one beyond it is zeros with zero gradient.

    The gradient is that of the area that the outline sweeps: against finite differences of 8 times supersampled masks,
    over directions of pose, shape and camera of random bodies, its cosine is .990 to .9995 at 112 px and above .995 at
    224 px, and areas are right to 1 %. It is a first derivative; there is no second.

    Args:
        points: (B, V, 2) positions in px, the centre of the top-left pixel being (0, 0), or (B, V, 3) with depth, which
            decides only which faces are left out.
        faces: (F, 3) integer vertex indices on the device of ``points``. Its edges are found once per tensor.
        size: (H, W) of the picture.
        sigma: px. The value is ``sigmoid(signed distance / sigma)``, cut off at 6 sigma.
        backend: ``'contour'`` on any device, or ``'deodr'`` on the CPU, which must be installed. It takes half to
            4/5 of the time, but its ramp, linear and ``2 * sigma`` wide, lies wholly outside of the mesh: areas come
            out too large by ``sigma`` times the length of the outline, 15 % at 112 px, and the cosine is .94 to .995.

    Returns:
        (B, H, W) in [0, 1], of the dtype of ``points``.

    Raises:
        InputError: a shape, sigma or the backend is wrong, or deodr is wanted and missing.
    """
    if points.ndim != 3 or points.shape[2] not in (2, 3) or not points.is_floating_point():
        raise InputError(
            f'silhouette: `points` must be (B, V, 2 or 3) floats, got {tuple(points.shape)} of '
            f'{points.dtype}'
        )
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.is_floating_point():
        raise InputError(
            f'silhouette: `faces` must be (F, 3) integers, got {tuple(faces.shape)} of {faces.dtype}'
        )
    if faces.device != points.device:
        raise InputError(
            f'silhouette: `faces` are on {faces.device}, `points` on {points.device}; move one of them'
        )
    if not 0 < sigma < math.inf:
        raise InputError(f'silhouette: `sigma` must be a positive number of pixels, got {sigma}')
    if backend == 'contour':
        return _Contour.apply(points, faces, tuple(size), float(sigma))
    if backend == 'deodr':
        return _Deodr.apply(points, faces, tuple(size), float(sigma))
    raise InputError(f'silhouette: there is no backend {backend!r}; use contour or deodr')


class _Edges(NamedTuple):
    """The E undirected edges of a mesh, of which none belongs to more than K faces."""

    ends: Tensor  # (2, E) vertices
    faces: Tensor  # (K, E)
    turn: Tensor  # (K, E) int8: 1 where the face runs from the first end to the second, -1 the other way, 0 no face
    of_face: Tensor  # (F, 3) edges from each corner of a face to the next, -1 between equal corners


class _Outline(NamedTuple):
    """N pieces of the outlines of a batch, each a part of an edge."""

    batch: Tensor  # (N,)
    ends: Tensor  # (N, 2) vertices of the edge
    start: Tensor  # (N, 2) px, first end of the edge
    along: Tensor  # (N, 2) px, from the first end to the second
    inward: Tensor  # (N, 2) unit normal
    low: Tensor  # (N,) where the piece begins, as a share of the edge
    high: Tensor  # (N,) where it ends


class _Contour(torch.autograd.Function):
    """The value by distances, and the gradient in closed form: the nearest point moves with its edge."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, faces: Tensor, size: tuple[int, int], sigma: float
    ) -> Tensor:
        height, width = size
        reach = REACH * sigma
        margin = math.ceil(reach + PROBE) + 1
        fine = _fine_mask(points, faces, size, margin)
        outline = _outline(points, faces, fine, size, margin, reach)
        inside = fine[:, ::FINE, ::FINE][:, margin:-margin, margin:-margin].contiguous()
        pixel, piece = _nearest(outline, inside, reach)
        outline = _Outline(*(t[piece] for t in outline))

        offset = torch.stack([pixel % width, pixel // width % height], 1) - outline.start
        share = (offset * outline.along).sum(1) / outline.along.square().sum(1)
        share = share.maximum(outline.low).minimum(outline.high)
        offset -= share[:, None] * outline.along
        distance = offset.norm(dim=1)
        value = inside.to(points.dtype).view(-1)
        sign = 2 * value[pixel] - 1
        step = torch.sigmoid(sign * distance / sigma)
        value[pixel] = step.to(value.dtype)
        on_it = distance < 1e-6  # there is no direction to the outline from a pixel on it
        normal = torch.where(
            on_it[:, None],
            outline.inward,
            offset * (sign / distance.masked_fill(on_it, 1))[:, None],
        )
        slope = (step * (1 - step) / sigma)[:, None] * normal
        vertex = outline.batch[:, None] * points.shape[1] + outline.ends
        ctx.save_for_backward(pixel, slope.to(points.dtype), share.to(points.dtype), vertex)
        ctx.shape = points.shape
        return value.view(len(points), height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        pixel, slope, share, vertex = ctx.saved_tensors
        push = (
            -grad.reshape(-1)[pixel, None] * slope
        )  # on the nearest point, which takes the outline along
        result = grad.new_zeros(ctx.shape)
        # Numbers one by one, since adding rows is many times slower on the CPU.
        for end, part in enumerate((1 - share, share)):
            for axis in range(2):
                result.view(-1).index_add_(
                    0, vertex[:, end] * ctx.shape[2] + axis, part * push[:, axis]
                )
        return result, None, None, None


class _Deodr(torch.autograd.Function):
    """White faces on black by DEODR, with a ramp along the edges of the outline."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, faces: Tensor, size: tuple[int, int], sigma: float
    ) -> Tensor:
        renderer, edges = _deodr(), _edges(faces)
        flat, triangles = points.detach().cpu(), faces.cpu()
        edges = _Edges(*(t.cpu() for t in edges))
        facing = _facing(flat, triangles)
        sides = _sides(facing, edges)
        ctx.drawn, ctx.sigma = [], sigma
        for i, body in enumerate(flat[..., :2].double().nan_to_num(0, 0, 0)):
            corners = body[triangles]  # those far off would overflow the integers of the renderer
            low, high = -1 - 2 * sigma, body.new_tensor([size[1], size[0]]) + 2 * sigma
            touching = ((corners.amin(1) < high) & (corners.amax(1) > low)).all(1)
            front = facing[:, i] * touching
            scene = _scene(
                renderer, body.numpy(), *_fronts(triangles, front, sides[:, i], edges), size
            )
            image, depth = np.zeros((*size, 1)), np.zeros(size)
            if len(scene.faces):  # what DEODR throws at an empty scene ends the process
                renderer.renderScene(scene, 2 * sigma, image, depth)
            ctx.drawn.append((scene, image, depth))
        ctx.save_for_backward(points)
        return points.new_tensor(np.stack([image[..., 0] for _, image, _ in ctx.drawn]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        (points,) = ctx.saved_tensors
        result = torch.zeros_like(points)
        for i, (scene, image, depth) in enumerate(ctx.drawn):
            if len(scene.faces):
                scene.clear_gradients()
                # The renderer takes its drawing back out of the picture that it is given.
                _deodr().renderSceneB(
                    scene,
                    2 * ctx.sigma,
                    image.copy(),
                    depth.copy(),
                    grad[i].double().cpu().contiguous().numpy()[..., None],
                )
                result[i, :, :2] = result.new_tensor(scene.ij_b)
        return result, None, None, None


def _fronts(
    faces: Tensor, facing: Tensor, sides: Tensor, edges: _Edges
) -> tuple[np.ndarray, np.ndarray]:
    """Usable faces, all turned to the viewer so that winding says nothing, and which of their edges have a ramp."""
    owner = torch.full_like(edges.ends[0], -1)  # one face draws an edge, however many have it
    for face, turn in zip(edges.faces, edges.turn):
        owner = torch.where((turn != 0) & (facing[face] != 0), face, owner)
    flags = (sides != 0)[edges.of_face] & (
        owner[edges.of_face] == torch.arange(len(faces))[:, None]
    )
    flags &= edges.of_face >= 0
    faces, back = faces.clone(), facing < 0
    faces[back], flags[back] = faces[back].flip(1), flags[back][:, [1, 0, 2]]
    return faces[facing != 0].numpy(), flags[facing != 0].numpy()


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
    renderer: Any, xy: np.ndarray, faces: np.ndarray, flags: np.ndarray, size: tuple[int, int]
) -> Any:
    corners, none = len(xy), np.zeros(len(faces), bool)
    faces = np.ascontiguousarray(faces, np.uint32)
    return renderer.Scene2D(
        faces=faces,
        faces_uv=faces,
        ij=xy,
        depths=np.ones(corners),
        textured=none,
        uv=np.zeros((corners, 2)),
        shade=np.zeros(corners),
        colors=np.ones((corners, 1)),
        shaded=none,
        edgeflags=flags,
        height=size[0],
        width=size[1],
        nb_colors=1,
        texture=np.zeros((0, 0)),
        background_image=np.zeros((*size, 1)),
        clockwise=True,
        backface_culling=True,
    )


_KNOWN_EDGES: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def _edges(faces: Tensor) -> _Edges:
    """Finds the edges of a mesh, or remembers them from the last call with the same tensor."""
    version, found = _KNOWN_EDGES.get(faces, (None, None))
    if version != faces._version:
        found = _find_edges(faces.long())
        _KNOWN_EDGES[faces] = faces._version, found
    return found


def _find_edges(faces: Tensor) -> _Edges:
    begin, end = faces.T.reshape(-1), faces.roll(-1, 1).T.reshape(-1)
    owner = torch.arange(len(faces), device=faces.device).repeat(3)
    proper = torch.nonzero(begin != end)[:, 0]
    begin, end, owner = begin[proper], end[proper], owner[proper]
    pairs = torch.stack([torch.minimum(begin, end), torch.maximum(begin, end)])
    ends, edge, count = torch.unique(pairs, dim=1, return_inverse=True, return_counts=True)
    of_face = faces.new_full((3 * len(faces),), -1)
    of_face[proper] = edge
    order = torch.argsort(edge, stable=True)
    edge, begin, owner = edge[order], begin[order], owner[order]
    rank = torch.arange(len(edge), device=faces.device) - (count.cumsum(0) - count)[edge]
    most = int(count.max()) if len(count) else 0
    table = faces.new_zeros(most, ends.shape[1])
    turn = torch.zeros(most, ends.shape[1], dtype=torch.int8, device=faces.device)
    table[rank, edge] = owner
    turn[rank, edge] = torch.where(begin == ends[0, edge], 1, -1).to(torch.int8)
    return _Edges(ends, table, turn, of_face.view(3, -1).T)


def _facing(points: Tensor, faces: Tensor) -> Tensor:
    """(F, B) int8: 1 for a face that runs clockwise on the screen, -1 counter-clockwise, 0 if it is left out."""
    # With the batch last, a look-up copies whole rows.
    x, y, *z = points.permute(2, 1, 0).contiguous()
    a, b, c = faces.long().unbind(1)
    ax, ay = x[a], y[a]
    area = (x[b] - ax) * (y[c] - ay) - (y[b] - ay) * (x[c] - ax)
    # A face seen edge-on counts as either side, so that exactly one of its edges continues the outline.
    facing = torch.where(area > 0, 1, -1).to(torch.int8) * area.isfinite()
    for depth in z:
        front = depth > 0
        facing *= front[a] & front[b] & front[c]
    return facing


def _sides(facing: Tensor, edges: _Edges) -> Tensor:
    """(E, B) int8: on which side of each edge all of its faces lie.

    1 is to the right of somebody who looks at the picture from its first end to the second, -1 to the left, and 0 says
    that there are faces on both sides, or none.
    """
    total = facing.new_zeros(edges.ends.shape[1], facing.shape[1])
    present = torch.zeros_like(total)
    for face, turn in zip(edges.faces, edges.turn[..., None]):
        side = facing[face] * turn
        total += side
        present += side.abs()
    return torch.where(total.abs() == present, total.sign(), 0)


def _fine_mask(points: Tensor, faces: Tensor, size: tuple[int, int], margin: int) -> Tensor:
    """(B, FINE * (H + 2 * margin), FINE * (W + 2 * margin)) bool; every FINE-th sample is the centre of a pixel."""
    moved = points.detach().double()
    moved = torch.cat([(moved[..., :2] + margin) * FINE, moved[..., 2:]], 2)
    size = FINE * (size[0] + 2 * margin), FINE * (size[1] + 2 * margin)
    if points.is_cuda:
        return cover(moved, faces, size).mask
    # The barycentrics that a coverage has would take longer than all the rest, at this size.
    if moved.shape[2] == 2:
        moved = torch.cat([moved, torch.ones_like(moved[..., :1])], 2)
    masks = [rasterize(body, faces.numpy(), *size).mask for body in moved.numpy()]
    return torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, *size, dtype=torch.bool)


def _outline(
    points: Tensor, faces: Tensor, fine: Tensor, size: tuple[int, int], margin: int, reach: float
) -> _Outline:
    """The pieces of the outlines that lie in the picture or at most ``reach`` px outside."""
    edges = _edges(faces)
    sides = _sides(_facing(points, faces), edges)
    edge, batch = torch.nonzero(sides, as_tuple=True)
    ends = edges.ends.T[edge]
    # In float64, for what is left of an edge that reaches far out of the picture.
    start = points[batch, ends[:, 0], :2].double()
    along = points[batch, ends[:, 1], :2].double() - start
    low, high = _clip(start, along, -reach, start.new_tensor([size[1], size[0]]) - 1 + reach)
    length = along.norm(dim=1)
    inward = torch.stack([-along[:, 1], along[:, 0]], 1) * (sides[edge, batch] / length)[:, None]
    count = ((high - low) * length / PIECE).ceil().nan_to_num(0, 0, 0).clamp(min=0).long()
    owner = torch.repeat_interleave(count)
    rank = torch.arange(len(owner), device=owner.device) - (count.cumsum(0) - count)[owner]
    step = ((high - low) / count)[owner]
    low = low[owner] + rank * step
    beyond = start[owner] + (low + step / 2)[:, None] * along[owner] - PROBE * inward[owner]
    x, y = ((beyond + margin) * FINE).round().long().unbind(1)
    y, x = y.clamp(0, fine.shape[1] - 1), x.clamp(0, fine.shape[2] - 1)
    kept = torch.nonzero(~fine[batch[owner], y, x])[:, 0]
    owner, low, step = owner[kept], low[kept], step[kept]
    return _Outline(
        batch[owner], ends[owner], start[owner], along[owner], inward[owner], low, low + step
    )


def _clip(start: Tensor, along: Tensor, low: float, high: Tensor) -> tuple[Tensor, Tensor]:
    """Which part of each segment lies in a box, as shares of its length; the first is not below the second if none.

    Liang and Barsky, "A new concept and method for line clipping", 1984.
    """
    one, other = (low - start) / along, (high - start) / along
    return torch.minimum(one, other).amax(1).clamp(min=0), torch.maximum(one, other).amin(1).clamp(
        max=1
    )


def _nearest(outline: _Outline, inside: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """The pixels up to ``reach`` px from an outline, counted through the batch, and the nearest piece of each.

    A piece counts for the pixels whose mask agrees with the side of it that they lie on. This keeps apart two limbs
    of which one ends in front of the other.

    Args:
        inside: (B, H, W) bool masks.
    """
    _, height, width = inside.shape
    flat = inside.view(-1)
    none = torch.iinfo(torch.int64).max
    best = torch.full(flat.shape, none, device=flat.device)
    window = torch.arange(math.floor(PIECE + 2 * reach) + 1, device=flat.device)
    per_chunk = max(1, CHUNK // len(window) ** 2)
    for first in range(0, len(outline.batch), per_chunk):
        part = _Outline(*(t[first : first + per_chunk] for t in outline))
        start, along = (
            part.start + part.low[:, None] * part.along,
            (part.high - part.low)[:, None] * part.along,
        )
        corner = (start + along / 2 - PIECE / 2 - reach).ceil().long()
        x, y = (corner[..., None] + window).unbind(1)
        u, v = ((corner - start)[..., None] + window).float().unbind(1)
        du, dv, nu, nv = torch.cat([along, part.inward], 1).float()[..., None].unbind(1)
        square = (du * du + dv * dv)[..., None]
        dot = _outer_sum(v * dv, u * du)
        share = (dot / square).clamp_(0, 1)
        distance = _outer_sum(v * v, u * u) + share * (share * square - 2 * dot)
        in_picture = ((y >= 0) & (y < height))[..., None] & ((x >= 0) & (x < width))[:, None]
        index = torch.nonzero((in_picture & (distance <= reach * reach)).view(-1))[:, 0]
        pixel = _outer_sum((part.batch[:, None] * height + y) * width, x).view(-1)[index]
        depth = _outer_sum(v * nv, u * nu).view(-1)[index]
        agreed = torch.nonzero(torch.where(flat[pixel], depth, -depth) > -1e-6)[:, 0]
        index, pixel = index[agreed], pixel[agreed]
        # Positive floats sort like their bits: distance in the high half, the piece in the low one.
        bits = distance.clamp_(min=0).view(-1)[index].view(torch.int32).long()
        piece = torch.div(index, len(window) ** 2, rounding_mode='floor') + first
        best.scatter_reduce_(0, pixel, (bits << 32) | piece, 'amin')
    pixel = torch.nonzero(best != none)[:, 0]
    return pixel, best[pixel] & 0xFFFFFFFF


def _outer_sum(rows: Tensor, columns: Tensor) -> Tensor:
    """(N, K), (N, K) -> (N, K, K)."""
    return rows[..., None] + columns[:, None]
