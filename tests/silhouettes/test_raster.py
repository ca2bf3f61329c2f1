"""The rasteriser against ray casting in homogeneous coordinates, analytic surfaces, and another backend."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy.spatial import Delaunay

from hrtk.errors import InputError
from hrtk.silhouettes.raster import (
    Fragments,
    interpolate,
    mean_over_samples,
    rasterize,
    vertex_normals,
)

BACKENDS = [
    'numpy',
    pytest.param(
        'numba',
        marks=pytest.mark.skipif(
            importlib.util.find_spec('numba') is None, reason='numba is not installed'
        ),
    ),
]


def soup(
    seed: int, faces: int = 80, size: int = 48, spread: float = 30.0
) -> tuple[np.ndarray, np.ndarray]:
    """Unconnected random triangles around and beyond an image."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-0.3 * size, 1.3 * size, (faces, 1, 2))
    uv = centres + rng.uniform(-spread, spread, (faces, 3, 2))
    z = rng.uniform(1, 5, (faces, 3, 1))
    return np.concatenate([uv, z], -1).reshape(-1, 3), np.arange(3 * faces).reshape(-1, 3)


def ray_cast(points: np.ndarray, faces: np.ndarray, height: int, width: int):
    """Per pixel and face: w with sum_i w_i z_i (u_i, v_i, 1) = (x, y, 1). All w >= 0 is a hit at depth 1 / sum(w).

    Returns face, barycentric, depth and a mask of pixels where no decision was within rounding.
    """
    y, x = np.mgrid[:height, :width]
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    best = np.full(x.size, np.inf)
    face = np.full(x.size, -1)
    weights = np.zeros((x.size, 3))
    clear = np.ones(x.size, bool)
    for index, corners in enumerate(points[faces]):
        homogeneous = (np.append(corners[:, :2], np.ones((3, 1)), 1) * corners[:, 2:]).T
        w = np.linalg.solve(homogeneous, rays).T
        clear &= np.abs(w).min(1) > 1e-9
        hit = (w > 0).all(1)
        depth = np.where(hit, 1 / np.where(hit, w.sum(1), 1), np.inf)
        clear &= np.abs(np.where(hit, depth, 9e9) - np.where(np.isfinite(best), best, -1)) > 1e-5
        nearer = depth < best
        best[nearer], face[nearer], weights[nearer] = (
            depth[nearer],
            index,
            (w / w.sum(1, keepdims=True))[nearer],
        )
    shape = height, width
    return (
        face.reshape(shape),
        weights.reshape(*shape, 3),
        best.reshape(shape),
        clear.reshape(shape),
    )


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('seed', range(4))
def test_agrees_with_ray_casting(backend: str, seed: int) -> None:
    points, faces = soup(seed)
    face, weights, depth, clear = ray_cast(points, faces, 40, 48)
    result = rasterize(points, faces, 40, 48, backend)
    assert clear.mean() > 0.99 and (face >= 0).mean() > 0.5
    np.testing.assert_array_equal(result.face[clear], face[clear])
    np.testing.assert_allclose(result.barycentric[clear], weights[clear], atol=1e-5)
    np.testing.assert_allclose(result.depth[clear], depth[clear], rtol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec('numba') is None, reason='numba is not installed')
@pytest.mark.parametrize('seed', range(6))
def test_backends_give_the_same_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, faces = soup(seed, faces=300, spread=4.0 ** (seed + 1))
    points[::7, 2] *= -1  # behind the camera
    points[5::31, 2] = 0
    points[3::41, 0] = np.nan
    points[1::53, :2] *= 1e9  # far off the image
    points[2::59, :2] = np.round(points[2::59, :2])  # corners on pixel centres
    faces = np.concatenate(
        [faces, rng.integers(0, len(points), (300, 3)), faces[:20], faces[:20, [0, 0, 1]]]
    )
    a = rasterize(points, faces, 37, 53, 'numpy')
    b = rasterize(points, faces, 37, 53, 'numba')
    assert a.mask.any()
    for name in Fragments._fields:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize('backend', BACKENDS)
def test_square_covers_its_pixels_at_its_depth(backend: str) -> None:
    points = np.array([[2, 3, 4.0], [9, 3, 4], [9, 7, 4], [2, 7, 4]])
    result = rasterize(points, np.array([[0, 1, 2], [0, 2, 3]]), 12, 16, backend)
    expected = np.full((12, 16), np.inf, np.float32)
    expected[3:8, 2:10] = 4  # pixel centres are whole numbers and the border belongs to the square
    np.testing.assert_array_equal(result.depth, expected)
    np.testing.assert_array_equal(result.mask, np.isfinite(expected))
    assert (result.barycentric[~result.mask] == 0).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_nearest_wins_in_any_order_and_ties_go_to_the_lowest_index(backend: str) -> None:
    near = np.array([[0, 0, 1.0], [20, 0, 1], [0, 20, 1]])
    far = near + [0, 0, 1]
    points = np.concatenate([far, near, near])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        faces = np.arange(9).reshape(3, 3)[order]
        winner = min(order.index(1), order.index(2))
        assert set(np.unique(rasterize(points, faces, 10, 10, backend).face)) == {winner}


@pytest.mark.parametrize('backend', BACKENDS)
def test_neighbours_leave_no_gap(backend: str) -> None:
    rng = np.random.default_rng(0)
    inner = np.concatenate([rng.uniform(0, 63, (150, 2)), rng.integers(0, 63, (150, 2))])
    uv = np.concatenate([inner, [[-9, -9], [72, -9], [-9, 72], [72, 72]]])
    faces = Delaunay(uv).simplices
    flip = rng.random(len(faces)) < 0.5
    faces[flip] = faces[flip][:, ::-1]  # winding must not matter
    points = np.column_stack([uv, rng.uniform(1, 9, len(uv))])
    assert rasterize(points, faces, 64, 64, backend).mask.all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_interpolation_is_perspective_correct(backend: str) -> None:
    # The plane z = 4 + x / 2, focal 20, centre (30, 30): pixel (u, v) sees z = 4 / (1 - a / 2) with a = (u - 30) / 20.
    corners = np.array([[x, y, 4 + x / 2] for x, y in [(-2, -2), (3, -2), (3, 3), (-2, 3)]])
    points = np.column_stack([corners[:, :2] / corners[:, 2:] * 20 + 30, corners[:, 2]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    result = rasterize(points, faces, 60, 60, backend)
    position = interpolate(result, faces, corners)
    v, u = np.nonzero(result.mask)
    slope_x = (u - 30) / 20
    slope_y = (v - 30) / 20
    z = 4 / (1 - slope_x / 2)
    assert len(u) > 300
    np.testing.assert_allclose(
        position[v, u], np.stack([slope_x * z, slope_y * z, z], 1), atol=1e-5
    )
    np.testing.assert_allclose(result.depth[v, u], z, rtol=1e-6)
    assert (position[~result.mask] == 0).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_faces_that_cannot_be_seen_change_nothing(backend: str) -> None:
    points, faces = soup(1)
    expected = rasterize(points, faces, 40, 48, backend)
    extra = np.array(
        [
            [0, 0, -1.0],
            [40, 0, 1],
            [0, 40, 1],
            [np.nan, 1, 1],
            [500, 0, 1],
            [540, 0, 1],
            [500, 40, 1],
        ]
    )
    bad = np.array([[0, 1, 2], [3, 1, 2], [4, 5, 6], [1, 1, 2], [1, 1, 1]]) + len(points)
    result = rasterize(
        np.concatenate([points, extra]), np.concatenate([faces, bad]), 40, 48, backend
    )
    for a, b in zip(expected, result):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('backend', BACKENDS)
def test_no_faces_give_background(backend: str) -> None:
    result = rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), 4, 5, backend)
    assert result.face.shape == (4, 5) and not result.mask.any() and np.isinf(result.depth).all()


def test_numpy_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    points, faces = soup(2)
    whole = rasterize(points, faces, 40, 48, 'numpy')
    monkeypatch.setattr('hrtk.silhouettes.raster.CHUNK', 100)
    for a, b in zip(whole, rasterize(points, faces, 40, 48, 'numpy')):
        np.testing.assert_array_equal(a, b)


def test_normals_of_a_sphere_point_outwards() -> None:
    trimesh = pytest.importorskip('trimesh', reason='trimesh makes the sphere')
    sphere = trimesh.creation.icosphere(subdivisions=3)
    vertices = np.asarray(sphere.vertices)
    faces = np.asarray(sphere.faces)
    np.testing.assert_allclose(vertex_normals(vertices, faces), vertices, atol=0.02)
    batch = np.stack([vertices, 2 * vertices, vertices + 5]).astype(np.float32)
    for normals in vertex_normals(batch, faces):
        np.testing.assert_allclose(normals, vertex_normals(vertices, faces), atol=1e-5)


def test_normals_are_weighted_by_area_and_zero_off_the_mesh() -> None:
    vertices = np.array([[0, 0, 0.0], [2, 0, 0], [0, 1, 0], [0, 0, 3], [7, 7, 7]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])  # areas 1 along +z and 1.5 along +x meet in vertex 0
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(normals[0], np.array([1.5, 0, 1]) / np.hypot(1.5, 1))
    np.testing.assert_array_equal(normals[4], 0)


@pytest.mark.parametrize(
    'points, faces, backend, message',
    [
        (np.zeros((3, 2)), np.zeros((1, 3), int), 'auto', r'points.*\(3, 2\)'),
        (np.zeros((3, 3)), np.zeros((1, 4), int), 'auto', r'faces.*\(1, 4\)'),
        (np.zeros((3, 3)), np.zeros((1, 3)), 'auto', 'float64'),
        (np.zeros((3, 3)), np.zeros((1, 3), int), 'cuda', "backend 'cuda'"),
    ],
)
def test_bad_input_is_named(
    points: np.ndarray, faces: np.ndarray, backend: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rasterize(points, faces, 4, 4, backend)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('samples', [1, 2, 3])
def test_means_over_samples(backend, samples):
    points, faces = soup(3, faces=12)
    height, width = 30, 42
    fragments = rasterize(points, faces, height, width)
    values = np.random.default_rng(1).uniform(0, 255, (len(points), 4))
    found = mean_over_samples(fragments, faces, values, samples, backend)
    expected = np.zeros((height // samples, width // samples, 5))
    for y in range(height):
        for x in range(width):
            if fragments.face[y, x] < 0:
                continue
            a, b, c = values[faces[fragments.face[y, x]]]
            u, v, w = fragments.barycentric[y, x].astype(float)
            expected[y // samples, x // samples, :4] += u * a + v * b + w * c
            expected[y // samples, x // samples, 4] += 1
    np.testing.assert_allclose(found, expected / samples**2, atol=1e-3)
    assert 0 < found[..., 4].mean() < 1


@pytest.mark.skipif(importlib.util.find_spec('numba') is None, reason='numba is not installed')
def test_means_of_both_backends_have_the_same_bits():
    points, faces = soup(4)
    fragments = rasterize(points, faces, 64, 90)
    values = np.random.default_rng(2).normal(size=(len(points), 3))
    found = [mean_over_samples(fragments, faces, values, 2, name) for name in ('numpy', 'numba')]
    np.testing.assert_array_equal(*found)
