"""Coverage against the rasteriser, the torch z-buffer against both, and weights against the pixels they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.errors import InputError
from hrtk.silhouettes.coverage import _fill_batch, cover, to_vertices
from hrtk.silhouettes.raster import rasterize

SIZE = (40, 48)


def soup(seed: int, faces: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of random triangles, some behind the camera, not finite or without area."""
    rng = np.random.default_rng(seed)
    uv = rng.uniform(-15, 65, (2, faces, 1, 2)) + rng.uniform(-20, 20, (2, faces, 3, 2))
    points = np.concatenate([uv, rng.uniform(1, 5, (2, faces, 3, 1))], -1).reshape(2, -1, 3)
    points[:, ::37, 2] *= -1
    points[:, 1::53, 0] = np.nan
    points[:, 2::41, :2] = np.round(points[:, 2::41, :2])
    indices = np.concatenate([np.arange(3 * faces).reshape(-1, 3), [[3, 3, 4], [6, 7, 8]]])
    return torch.from_numpy(points), torch.from_numpy(indices)


@pytest.mark.parametrize('seed', range(3))
def test_faces_are_the_rasterisers(seed: int) -> None:
    points, faces = soup(seed)
    coverage = cover(points, faces, SIZE)
    for image, face in zip(points.numpy(), coverage.face.numpy()):
        np.testing.assert_array_equal(face, rasterize(image, faces.numpy(), *SIZE).face)
    assert coverage.face.dtype == torch.int64 and torch.equal(coverage.mask, coverage.face >= 0)


@pytest.mark.parametrize('chunk', [None, 1000])
@pytest.mark.parametrize('seed', range(3))
def test_the_z_buffer_in_torch_finds_the_same_faces(
    seed: int, chunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chunk:
        monkeypatch.setattr('hrtk.silhouettes.coverage.CHUNK', chunk)
    points, faces = soup(seed)
    np.testing.assert_array_equal(_fill_batch(points, faces, SIZE), cover(points, faces, SIZE).face)


@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_weights_stand_for_the_pixel(dtype: torch.dtype, tolerance: float) -> None:
    points, faces = soup(3)
    coverage = cover(points.to(dtype), faces, SIZE)
    image, y, x = coverage.mask.nonzero(as_tuple=True)
    weights = coverage.barycentric[image, y, x]
    corners = points.to(dtype)[image[:, None], faces[coverage.face[image, y, x]], :2]
    np.testing.assert_allclose(
        (weights[..., None] * corners).sum(1), torch.stack([x, y], 1), atol=tolerance * 48
    )
    assert (
        coverage.barycentric.dtype == dtype
        and (coverage.barycentric[~coverage.mask] == 0).all()
        and (weights >= -1e-5).all()
    )


def test_farthest_is_the_nearest_of_reversed_depth() -> None:
    points, faces = soup(4)
    depth = (
        1 + torch.arange(points.shape[1] // 3).repeat_interleave(3) % 7
    )  # one per face, so that 9 - z reverses all
    near = points.clone()
    far = points.clone()
    near[..., 2] = depth
    far[..., 2] = 9.0 - depth
    coverage = cover(near, faces[:-2], SIZE, farthest=True)
    assert torch.equal(coverage.face, cover(far, faces[:-2], SIZE).face)
    assert not torch.equal(coverage.face, cover(near, faces[:-2], SIZE).face)


def test_farthest_leaves_out_the_same_faces() -> None:
    points, faces = soup(4)
    assert (points[..., 2] < 0).any()
    assert torch.equal(
        cover(points, faces, SIZE, farthest=True).mask, cover(points, faces, SIZE).mask
    )


def test_flat_points_lie_at_one_depth() -> None:
    points, faces = soup(5)
    level = points.clone()
    level[..., 2] = 1
    assert torch.equal(cover(points[..., :2], faces, SIZE).face, cover(level, faces, SIZE).face)


def test_the_input_is_left_as_it_is() -> None:
    points, faces = soup(6)
    before = points.clone()
    cover(points, faces, SIZE, farthest=True)
    assert torch.equal(points.nan_to_num(7), before.nan_to_num(7))


def test_to_vertices_is_the_gradient_of_the_material_points() -> None:
    points, faces = soup(7)
    points = points.nan_to_num(3.0)
    coverage = cover(points, faces, SIZE)
    image, y, x = coverage.mask.nonzero(as_tuple=True)
    point_gradient = torch.randn(
        len(image), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    leaf = points.clone().requires_grad_()
    corners = leaf[image[:, None], faces[coverage.face[image, y, x]], :2]
    (
        (coverage.barycentric[image, y, x][..., None] * corners).sum(1) * point_gradient
    ).sum().backward()
    gradient = to_vertices(coverage, faces, points.shape[1], image, y * SIZE[1] + x, point_gradient)
    np.testing.assert_allclose(gradient, leaf.grad[..., :2], atol=1e-9)


def test_nothing_in_the_picture() -> None:
    points, faces = soup(0)
    for moved in (points + 1e4, points * torch.nan):
        coverage = cover(moved, faces, SIZE, farthest=True)
        assert not coverage.mask.any() and not coverage.barycentric.any()


@pytest.mark.parametrize(
    'points, faces, message',
    [
        (torch.zeros(3, 3), torch.zeros(1, 3, dtype=torch.long), r'points.*\(3, 3\)'),
        (torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.long), r'points.*\(1, 3, 4\)'),
        (torch.zeros(1, 3, 3), torch.zeros(1, 4, dtype=torch.long), r'faces.*\(1, 4\)'),
        (torch.zeros(1, 3, 3), torch.zeros(1, 3), 'float32'),
    ],
)
def test_bad_shapes_are_named(points: torch.Tensor, faces: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cover(points, faces, SIZE)
