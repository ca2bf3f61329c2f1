"""Edges of triangle meshes, and the side of each edge on which its faces lie on the screen."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary


class Edges(NamedTuple):
    """The E undirected edges of a mesh, none of which belongs to more than K faces.

    Attributes:
        ends: (2, E) vertices.
        faces: (K, E) faces of every edge.
        direction: (K, E) int8: 1 where the face runs from the first end to the second, -1 the other way, 0 no face.
        of_face: (F, 3) edges from each corner of a face to the next, -1 between equal corners.
    """

    ends: Tensor
    faces: Tensor
    direction: Tensor
    of_face: Tensor


# Version counter and edges of the faces of earlier calls.
_CACHE: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def mesh_edges(faces: Tensor) -> Edges:
    """Returns the edges of a mesh, cached for the tensor as long as nothing is written to it.

    Args:
        faces: (F, 3) integer vertex indices.
    """
    cached = _CACHE.get(faces)
    if cached is not None:
        version, edges = cached
        if version == faces._version:
            return edges
    edges = _find_edges(faces.long())
    _CACHE[faces] = (faces._version, edges)
    return edges


def face_orientation(points: Tensor, faces: Tensor) -> Tensor:
    """Computes the winding of every face on the screen.

    Args:
        points: (B, V, 2) or (B, V, 3) px and depth.
        faces: (F, 3).

    Returns:
        (F, B) int8: 1 for a clockwise face, -1 for a counter-clockwise one, 0 for one that is skipped since a corner
        is not finite or not in front of the camera.
    """
    # With the batch last, indexing copies whole rows.
    x, y, *depths = points.permute(2, 1, 0).contiguous()
    a, b, c = faces.long().unbind(1)
    ax = x[a]
    ay = y[a]
    area = (x[b] - ax) * (y[c] - ay) - (y[b] - ay) * (x[c] - ax)
    # A face of zero area counts as counter-clockwise, so that exactly one of its edges continues the outline.
    orientation = torch.where(area > 0, 1, -1).to(torch.int8) * area.isfinite()
    for depth in depths:
        in_front = depth > 0
        orientation *= in_front[a] & in_front[b] & in_front[c]
    return orientation


def face_sides(orientation: Tensor, edges: Edges) -> Tensor:
    """Computes on which side of each edge all of its faces lie.

    Args:
        orientation: (F, B) of :func:`face_orientation`.
        edges: of the mesh.

    Returns:
        (E, B) int8: 1 for the right side, seen in the image from the first end to the second, -1 for the left side, 0
        where the edge has faces on both sides, or no face.
    """
    total = orientation.new_zeros(edges.ends.shape[1], orientation.shape[1])
    count = torch.zeros_like(total)
    for face, direction in zip(edges.faces, edges.direction[..., None]):
        side = orientation[face] * direction
        total += side
        count += side.abs()
    return torch.where(total.abs() == count, total.sign(), 0)


def ranks(group: Tensor, count: Tensor) -> Tensor:
    """Numbers the members of every group from 0.

    Args:
        group: (N,) ascending indices of groups.
        count: number of members of every group.
    """
    first = count.cumsum(0) - count
    return torch.arange(len(group), device=group.device) - first[group]


def _find_edges(faces: Tensor) -> Edges:
    start = faces.T.reshape(-1)
    end = faces.roll(-1, 1).T.reshape(-1)
    proper = torch.nonzero(start != end)[:, 0]
    start = start[proper]
    end = end[proper]
    face = torch.arange(len(faces), device=faces.device).repeat(3)[proper]
    pairs = torch.stack([torch.minimum(start, end), torch.maximum(start, end)])
    ends, edge, count = torch.unique(pairs, dim=1, return_inverse=True, return_counts=True)
    of_face = faces.new_full((3 * len(faces),), -1)
    of_face[proper] = edge

    # Column e of the tables lists the faces of edge e.
    order = torch.argsort(edge, stable=True)
    edge = edge[order]
    row = ranks(edge, count)
    rows = int(count.max()) if len(count) else 0
    table = faces.new_zeros(rows, ends.shape[1])
    table[row, edge] = face[order]
    direction = torch.zeros(rows, ends.shape[1], dtype=torch.int8, device=faces.device)
    is_forward = start[order] == ends[0, edge]
    direction[row, edge] = torch.where(is_forward, 1, -1).to(torch.int8)
    return Edges(ends, table, direction, of_face.view(3, -1).T)
