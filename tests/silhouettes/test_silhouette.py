"""Silhouettes against areas and finite differences of 8 times supersampled masks, and against exact shapes."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.silhouettes.raster import rasterize
from hrtk.silhouettes.silhouette import silhouette

SIZE = 112
BACKENDS = [
    'contour',
    pytest.param(
        'deodr',
        marks=pytest.mark.skipif(
            importlib.util.find_spec('deodr') is None, reason='deodr is not installed'
        ),
    ),
]
SQUARE = torch.tensor([[[8.0, 6], [31, 6], [31, 25], [8, 25]]], dtype=torch.float64)
SQUARE_FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])


@pytest.fixture(scope='module')
def body() -> BodyModel:
    return BodyModel().double()


def random_body(seed: int) -> dict[str, Tensor]:
    """A pose with all joints bent at random, an upright random heading, a shape, and a camera that shows all of it."""
    rng = torch.Generator().manual_seed(seed)
    pose = 0.35 * torch.randn(1, 24, 3, generator=rng, dtype=torch.float64)
    turn = torch.tensor([[0, float(torch.randn((), generator=rng)), 0]], dtype=torch.float64)
    upright = torch.tensor([[math.pi, 0, 0]], dtype=torch.float64)
    rotmat = axis_angle_to_rotmat(pose)
    rotmat[:, 0] = axis_angle_to_rotmat(turn) @ axis_angle_to_rotmat(upright)
    return dict(
        rotmat=rotmat,
        betas=torch.randn(1, 10, generator=rng, dtype=torch.float64),
        camera=torch.tensor([[0.85, 0, 0.25]], dtype=torch.float64),
    )


def screen_points(body: BodyModel, rotmat: Tensor, betas: Tensor, camera: Tensor) -> Tensor:
    return (project(body(rotmat, betas).vertices, camera) + 1) * (SIZE / 2) - 0.5


def directions(seed: int) -> list[tuple[str, Tensor]]:
    rng = torch.Generator().manual_seed(seed)
    found = []
    for joint in (0, 1, 2, 3, 4, 5, 12, 16, 17, 18, 19):
        turn = torch.zeros(1, 24, 3, dtype=torch.float64)
        turn[0, joint] = torch.randn(3, generator=rng, dtype=torch.float64)
        found.append(('rotmat', turn))
    found += [('betas', 3 * torch.eye(10, dtype=torch.float64)[None, k]) for k in range(4)]
    return found + [('camera', torch.eye(3, dtype=torch.float64)[None, k]) for k in range(3)]


def moved(
    person: dict[str, Tensor], name: str, direction: Tensor, by: float | Tensor
) -> dict[str, Tensor]:
    value = (
        axis_angle_to_rotmat(by * direction) @ person[name]
        if name == 'rotmat'
        else person[name] + by * direction
    )
    return {**person, name: value}


def supersampled(
    points: Tensor, faces: Tensor, height: int = SIZE, width: int = SIZE, factor: int = 8
) -> np.ndarray:
    """(H, W) share of each pixel that is covered."""
    fine = np.column_stack([(points.detach().numpy() + 0.5) * factor - 0.5, np.ones(len(points))])
    mask = rasterize(fine, faces.numpy(), height * factor, width * factor).mask
    return mask.reshape(height, factor, width, factor).mean((1, 3))


def smooth_weights() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    return np.sin(13 * x + 1) * np.cos(10 * y) + x


def slopes(body: BodyModel, seed: int, backend: str) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of a weighted area along all directions: ours, and central differences of the supersampled one."""
    person = random_body(seed)
    weights = smooth_weights()
    step = 0.01
    ours = []
    expected = []
    for name, direction in directions(seed):
        by = torch.zeros((), dtype=torch.float64, requires_grad=True)
        points = screen_points(body, **moved(person, name, direction, by))
        area = (
            silhouette(points, body.faces, (SIZE, SIZE), backend=backend)[0]
            * torch.from_numpy(weights)
        ).sum()
        ours.append(torch.autograd.grad(area, by)[0].item())
        ahead, behind = (
            supersampled(screen_points(body, **moved(person, name, direction, h))[0], body.faces)
            for h in (step, -step)
        )
        expected.append(((ahead - behind) * weights).sum() / (2 * step))
    return np.array(ours), np.array(expected)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize('seed', range(6))
def test_gradient_agrees_with_finite_differences_of_supersampled_masks(
    body: BodyModel, seed: int
) -> None:
    ours, expected = slopes(body, seed, 'contour')
    assert cosine(ours, expected) > 0.99
    assert np.linalg.norm(ours) / np.linalg.norm(expected) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize('seed', range(6))
def test_area_and_picture_agree_with_supersampled_masks(body: BodyModel, seed: int) -> None:
    points = screen_points(body, **random_body(seed))
    expected = supersampled(points[0], body.faces)
    sharp = silhouette(points, body.faces, (SIZE, SIZE), sigma=0.25)[0].numpy()
    soft = silhouette(points, body.faces, (SIZE, SIZE))[0].numpy()
    assert soft.sum() == pytest.approx(expected.sum(), rel=0.01)
    assert np.abs(sharp - expected).mean() < 0.005
    assert np.abs(sharp - expected).max() < 0.8
    assert ((soft > 0.5) == (expected > 0.5)).mean() > 0.995


def test_values_are_the_sigmoid_of_the_signed_distance() -> None:
    y, x = np.mgrid[:32, :40]
    dx = np.maximum(8 - x, x - 31)
    dy = np.maximum(6 - y, y - 25)
    distance = np.where(
        np.maximum(dx, dy) < 0, -np.maximum(dx, dy), -np.hypot(dx.clip(0), dy.clip(0))
    )
    for sigma in (0.25, 0.5, 1.0):
        expected = 1 / (1 + np.exp(-distance / sigma))
        value = silhouette(SQUARE, SQUARE_FACES, (32, 40), sigma)[0].numpy()
        near = np.abs(distance) <= 6 * sigma
        np.testing.assert_allclose(value[near], expected[near], atol=1e-12)
        np.testing.assert_array_equal(value[~near], distance[~near] > 0)


def test_pixels_on_the_outline_have_the_full_gradient() -> None:
    points = SQUARE.clone().requires_grad_()
    # The left side runs through pixel centres, where distance has a kink but its signed version has none.
    value = silhouette(points, SQUARE_FACES, (32, 40))[0, 15, 8]
    value.backward()
    assert value.item() == pytest.approx(0.5)
    assert points.grad[0, [0, 3], 0].sum().item() == pytest.approx(-0.25 / 0.5)


def test_hidden_edges_and_thin_gaps() -> None:
    def bar(left: float, right: float) -> Tensor:
        return torch.tensor([[left, 4.0], [right, 4], [right, 28], [left, 28]], dtype=torch.float64)

    two = torch.cat([SQUARE_FACES, SQUARE_FACES + 4])
    overlapping = torch.cat([bar(5, 16), bar(12, 30)])[None].requires_grad_()
    complete = silhouette(bar(5, 30)[None], SQUARE_FACES, (32, 40))
    value = silhouette(overlapping, two, (32, 40))
    torch.testing.assert_close(value, complete)
    value[0, 10:20].sum().backward()
    assert overlapping.grad[0, [1, 2, 4, 7]].abs().max() < 1e-12 < overlapping.grad[0, 0, 0].abs()
    apart = silhouette(torch.cat([bar(5, 15.4), bar(16.6, 30)])[None], two, (32, 40))[0, 16]
    assert apart[16] == pytest.approx(1 / (1 + math.exp(0.6 / 0.5)), abs=1e-6)


def test_winding_open_borders_and_shared_edges_do_not_matter(body: BodyModel) -> None:
    points = screen_points(body, **random_body(1))
    expected = silhouette(points, body.faces, (SIZE, SIZE))
    rng = torch.Generator().manual_seed(0)
    faces = body.faces[torch.randperm(len(body.faces), generator=rng)]
    back = torch.rand(len(faces), generator=rng) < 0.5
    faces[back] = faces[back].flip(1)
    faces = torch.cat(
        [faces, faces[:500], faces[:5, [0, 0, 1]]]
    )  # edges of three and four faces, and no faces
    torch.testing.assert_close(silhouette(points, faces, (SIZE, SIZE)), expected)


@pytest.mark.parametrize('backend', BACKENDS)
def test_batch_is_its_pictures_and_float32_is_float64(body: BodyModel, backend: str) -> None:
    points = torch.cat(
        [screen_points(body, **random_body(seed)) for seed in range(3)]
    ).requires_grad_()
    weights = torch.from_numpy(smooth_weights())
    together = silhouette(points, body.faces, (SIZE, SIZE), backend=backend)
    (grad,) = torch.autograd.grad((together * weights).sum(), points)
    assert together.shape == (3, SIZE, SIZE) and grad.shape == points.shape
    for i in range(3):
        single = silhouette(points[i : i + 1], body.faces, (SIZE, SIZE), backend=backend)
        torch.testing.assert_close(together[i], single[0])
        torch.testing.assert_close(
            grad[i], torch.autograd.grad((single[0] * weights).sum(), points)[0][i]
        )
    single = silhouette(points.float(), body.faces, (SIZE, SIZE), backend=backend)
    assert single.dtype == torch.float32
    assert (single - together).abs().mean() < 1e-4


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('change', ['beside', 'nan', 'behind', 'far'])
def test_nothing_to_see_is_zero_without_nan(body: BodyModel, backend: str, change: str) -> None:
    points = screen_points(body, **random_body(0))
    points = torch.cat([points, torch.ones_like(points[..., :1])], 2)
    if change == 'beside':
        points[..., 0] += 300
    elif change == 'nan':
        points[...] = math.nan
    elif change == 'behind':
        points[..., 2] = -1
    else:
        points[..., :2] += 1e20
    points.requires_grad_()
    value = silhouette(points, body.faces, (SIZE, SIZE), backend=backend)
    value.sum().backward()
    assert (value == 0).all() and (points.grad == 0).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_body_cut_by_the_border_is_a_crop_of_the_whole(body: BodyModel, backend: str) -> None:
    complete = screen_points(body, **random_body(2))
    expected = silhouette(complete, body.faces, (SIZE, SIZE), backend=backend)[0, 30:80, 50:90]
    assert 0 < (expected > 0.5).double().mean() < 1
    points = (complete - torch.tensor([50.0, 30])).requires_grad_()
    value = silhouette(points, body.faces, (50, 40), backend=backend)[0]
    torch.testing.assert_close(value, expected)
    value.sum().backward()
    assert points.grad.isfinite().all() and points.grad.abs().sum() > 0


@pytest.mark.parametrize('scale', [1e3, 1e6, 1e9])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_half_plane_of_a_huge_face(scale: float, dtype: torch.dtype) -> None:
    points = torch.tensor([[[10, -scale], [10, scale], [-scale, 0]]], dtype=dtype)
    value = silhouette(points, torch.tensor([[0, 1, 2]]), (20, 24))[0]
    expected = torch.sigmoid((10 - torch.arange(24)) / 0.5).where(
        (torch.arange(24) - 10).abs() <= 3, (torch.arange(24) < 10).float()
    )
    torch.testing.assert_close(value, expected.to(dtype).expand(20, 24), atol=1e-5, rtol=0)


def test_a_mesh_that_changes_in_place_gets_new_edges() -> None:
    faces = SQUARE_FACES.clone()
    complete = silhouette(SQUARE, faces, (32, 40))
    faces[1] = faces[0]
    half = silhouette(SQUARE, faces, (32, 40))
    torch.testing.assert_close(half, silhouette(SQUARE, faces[:1].clone(), (32, 40)))
    assert half.sum() < 0.6 * complete.sum()


@pytest.mark.skipif(importlib.util.find_spec('deodr') is None, reason='deodr is not installed')
def test_deodr_agrees_but_for_its_ramp_outside(body: BodyModel) -> None:
    points = screen_points(body, **random_body(1))
    theirs = silhouette(points, body.faces, (SIZE, SIZE), backend='deodr')[0].numpy()
    expected = supersampled(points[0], body.faces)
    assert expected.sum() < theirs.sum() < 1.25 * expected.sum()
    assert (theirs[expected == 1] > 0.999).all()
    ours, expected = slopes(body, 1, 'deodr')
    assert cosine(ours, expected) > 0.98


@pytest.mark.skipif(importlib.util.find_spec('deodr') is not None, reason='deodr is installed')
def test_missing_deodr_is_named() -> None:
    with pytest.raises(InputError, match="'deodr' is not installed; install deodr, or use contour"):
        silhouette(SQUARE, SQUARE_FACES, (8, 8), backend='deodr')


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(points=SQUARE[0]), r'points.*\(4, 2\)'),
        (dict(points=SQUARE.long()), 'int64'),
        (dict(faces=SQUARE_FACES.double()), 'faces.*float64'),
        (dict(sigma=0.0), 'sigma.*0.0'),
        (dict(backend='softras'), "backend 'softras'; use contour or deodr"),
    ],
)
def test_bad_input_is_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        silhouette(**{**dict(points=SQUARE, faces=SQUARE_FACES, size=(8, 8)), **change})
