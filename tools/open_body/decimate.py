"""A small, exactly symmetric mesh, and the map that carries every per-vertex quantity of the dense mesh onto it."""

from __future__ import annotations

import dataclasses

import fast_simplification
import numpy as np
import trimesh
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from trimesh.proximity import closest_point
from trimesh.triangles import points_to_barycentric

from .skeleton import REFLECT

PIXEL = 0.002  # metres, size of a pixel of the visibility test
MIDLINE = 1e-3  # metres: half-mesh vertices closer than this belong to both sides


def visible_vertices(vertices: np.ndarray, faces: np.ndarray, views: int = 48) -> np.ndarray:
    """(V,) whether a face at the vertex can be seen from outside; mouth cavity and backs of eyeballs cannot.

    Faces are sampled on a grid finer than a pixel and splatted into orthographic depth maps around the body.
    """
    corners = vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max(1)
    divisions = np.clip(np.ceil(longest / (0.7 * PIXEL)).astype(int), 2, 40)
    points, owners = [], []
    for n in np.unique(divisions):
        i, j = np.meshgrid(np.arange(n), np.arange(n))
        inside = i + j < n
        first = (i[inside] + 1 / 3) / n
        second = (j[inside] + 1 / 3) / n
        bary = np.stack([1 - first - second, first, second], 1)
        face_ids = np.nonzero(divisions == n)[0]
        points.append((bary @ corners[face_ids]).reshape(-1, 3))
        owners.append(np.repeat(face_ids, len(bary)))
    points = np.concatenate(points)
    owners = np.concatenate(owners)
    samples = np.bincount(owners, minlength=len(faces))
    visible_faces = np.zeros(len(faces), bool)
    step = np.arange(views) + 0.5
    polar = np.arccos(1 - 2 * step / views)
    azimuth = np.pi * (1 + 5**0.5) * step
    for p, a in zip(polar, azimuth):
        towards = np.array([np.cos(a) * np.sin(p), np.cos(p), np.sin(a) * np.sin(p)])
        right = np.cross(towards, [0.3, 0.1, 1.0])
        right /= np.linalg.norm(right)
        cell = np.floor(points @ np.stack([right, np.cross(towards, right)], 1) / PIXEL).astype(
            np.int64
        )
        cell -= cell.min(0)
        pixel = cell[:, 0] * (cell[:, 1].max() + 1) + cell[:, 1]
        front = np.full(pixel.max() + 1, -1)
        order = np.argsort(points @ towards, kind='stable')
        front[pixel[order]] = owners[order]
        visible_faces |= np.bincount(front[front >= 0], minlength=len(faces)) > 0.04 * samples
    visible = np.zeros(len(vertices), bool)
    visible[faces[visible_faces]] = True
    return visible


@dataclasses.dataclass(frozen=True)
class SmallMesh:
    """A decimated mesh tied to the surface of the dense one.

    Attributes:
        faces: (F, 3) over the small mesh's V vertices.
        mirror: (V,) the vertex on the other side; central vertices map to themselves.
        corners: (V, 3) dense vertices of the triangle on which each small vertex lies.
        barycentric: (V, 3) its coordinates there, in [0, 1].
    """

    faces: np.ndarray
    mirror: np.ndarray
    corners: np.ndarray
    barycentric: np.ndarray

    def carry(self, values: np.ndarray) -> np.ndarray:
        """Dense per-vertex values (D, ...) interpolated to the small mesh, (V, ...)."""
        return np.einsum('vk,vk...->v...', self.barycentric, values[self.corners])

    def carry_bodies(self, bodies: np.ndarray) -> np.ndarray:
        """Dense bodies (N, D, 3) as small bodies (N, V, 3), each exactly its own mirror image."""
        small = np.stack([self.carry(body) for body in bodies.astype(float)])
        return (small + small[:, self.mirror] * REFLECT) / 2


def _half(vertices: np.ndarray, faces: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The x >= 0 half reduced so that the complete mirrored mesh has about ``target`` vertices, by bisection."""
    faces = faces[(vertices[faces][..., 0] > -1e-6).all(1)]
    used, faces = np.unique(faces, return_inverse=True)
    points, faces = vertices[used].astype(np.float32), faces.reshape(-1, 3).astype(np.int32)
    low, high, best = 0.0, 0.999, None
    for _ in range(12):
        reduction = (low + high) / 2
        reduced, triangles = fast_simplification.simplify(
            points, faces, target_reduction=reduction, agg=3
        )
        count = 2 * len(reduced) - np.count_nonzero(np.abs(reduced[:, 0]) < MIDLINE)
        if best is None or abs(count - target) < abs(best[0] - target):
            best = (count, reduced.astype(float), triangles.astype(int))
        low, high = (reduction, high) if count > target else (low, reduction)
    return best[1], best[2]


def _boundary_loops(faces: np.ndarray) -> list[list[int]]:
    """Vertex loops along the mesh's holes, in the direction of the faces beside them."""
    edges = {
        tuple(edge)
        for edge in np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    }
    following = {a: b for a, b in sorted(edges) if (b, a) not in edges}
    loops = []
    while following:
        loop = [min(following)]
        while (step := following.pop(loop[-1])) != loop[0]:
            loop.append(step)
        loops.append(loop)
    return loops


def _close_holes(
    points: np.ndarray, faces: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Closes lips and eyelids, left open by the culled cavities, with one new vertex in the middle of each hole."""
    for loop in _boundary_loops(faces):
        centre = points[loop].mean(0)
        fan = np.array([[b, a, len(points)] for a, b in zip(loop, loop[1:] + loop[:1])])
        if abs(centre[0]) < MIDLINE:
            points = np.concatenate([points, centre[None] * [0, 1, 1]])
            faces = np.concatenate([faces, fan])
            mirror = np.append(mirror, len(mirror))
        elif centre[0] > 0:
            mirror = np.append(mirror, [len(mirror) + 1, len(mirror)])
            points = np.concatenate([points, centre[None], centre[None] * REFLECT])
            faces = np.concatenate([faces, fan, mirror[fan][:, [0, 2, 1]]])
    return points, faces, mirror


def decimate(
    vertices: np.ndarray, faces: np.ndarray, dense_mirror: np.ndarray, target: int
) -> SmallMesh:
    """Quadric decimation of one half of the outer skin, mirrored to a closed whole.

    Args:
        vertices: (D, 3) dense mesh, metres, symmetric in x; its largest component is the skin, others are eyeballs.
        faces: (F, 3).
        dense_mirror: (D,) the dense vertex on the other side.
        target: approximate number of vertices.
    """
    visible = visible_vertices(vertices, faces)
    outer = faces[(visible | visible[dense_mirror])[faces].all(1)]
    edges = sparse.coo_array(
        (np.ones(len(outer)), (outer[:, 0], outer[:, 1])), shape=(len(vertices),) * 2
    )
    component = connected_components(edges, directed=False)[1][outer[:, 0]]
    points, triangles = _half(vertices, outer[component == np.bincount(component).argmax()], target)
    central = np.abs(points[:, 0]) < MIDLINE
    points[central, 0] = 0
    left = np.nonzero(~central)[0]
    mirror = np.arange(len(points) + len(left))
    mirror[left] = len(points) + np.arange(len(left))
    mirror[mirror[left]] = left
    points, triangles, mirror = _close_holes(
        np.concatenate([points, points[left] * REFLECT]),
        np.concatenate([triangles, mirror[triangles][:, [0, 2, 1]]]),
        mirror,
    )
    mesh = trimesh.Trimesh(vertices, outer, process=False)
    nearest, _, triangle = closest_point(mesh, points)
    corners = outer[triangle]
    barycentric = np.clip(points_to_barycentric(mesh.triangles[triangle], nearest), 0, 1)
    right = np.nonzero(points[:, 0] < 0)[0]
    corners[right] = dense_mirror[corners[mirror[right]]]
    barycentric[right] = barycentric[mirror[right]]
    return SmallMesh(triangles, mirror, corners, barycentric)
