"""Alignment of silhouettes and skeletons: values against scipy, gradients against finite differences of the values."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.errors import InputError
from hrtk.losses import (
    alignment_losses,
    mask_l2,
    silhouette_loss,
    silhouette_target,
    skeleton_l2,
    topology_loss,
)
from hrtk.losses.topology_thinning import thinned
from hrtk.silhouettes.distance import topological_skeleton

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))
import topology_signs  # noqa: E402
from topology_signs import BODY, SIZE, equation_5, hard, posed, ridge, scene  # noqa: E402

FACES = BODY.faces


def square(x: float, y: float, width: float, height: float) -> torch.Tensor:
    """(4, 3) corners whose pixels are those of [x, x + width) x [y, y + height)."""
    corners = torch.tensor([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]) - 0.5
    return torch.cat([corners, torch.ones(4, 1)], 1)


PAIR = torch.tensor([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize('grad', ['material', 'conv', 'literal'])
def test_values_are_equation_5(grad: str) -> None:
    bodies = torch.cat([posed(np.stack(scene(seed)[:2])) for seed in (0, 1)])
    predicted = bodies[0::2]
    target = np.stack([hard(points) for points in bodies[1::2]])
    losses = alignment_losses(predicted, FACES, torch.from_numpy(target), grad)
    means = alignment_losses(predicted, FACES, torch.from_numpy(target), grad, 'mean')
    for i in range(2):
        ours = hard(predicted[i])
        for loss, mean, a, b in (
            (losses.silhouette, means.silhouette, ours, target[i]),
            (losses.topology, means.topology, ridge(ours), ridge(target[i])),
        ):
            forth, back = equation_5(a, b)
            assert loss[i].item() == pytest.approx(forth + back, rel=1e-5)
            assert mean[i].item() == pytest.approx(forth / b.sum() + back / a.sum(), rel=1e-5)


def test_gradients_have_the_sign_of_finite_differences() -> None:
    """In random directions of pose, shape, camera and all of them, two poses of the development and three others.

    Directions count whose slope, the mean over 24 shifts of the pixel grid, is beyond four standard errors. The
    benchmark has the whole measurement.
    """
    clear = []
    right = []
    for seed in (0, 1, *topology_signs.HELD_OUT[:3]):
        start, target, rng = scene(seed)
        directions = topology_signs.random_directions(rng, 8)
        shifts = topology_signs.draw_shifts(rng, 24)
        comparison = topology_signs.compare(start, target, directions, shifts)[0]
        clear.append(comparison.clear(4))
        right.append(comparison.right)
    clear = np.concatenate(clear)
    right = np.concatenate(right)
    # Measured here: all. One may fail where float32 rounds differently.
    for part in range(2):
        assert clear[:, part].sum() >= 26, clear.sum(0)
        wrong = clear[:, part] & ~right[:, part]
        assert wrong.sum() <= 1, (part, wrong)


@pytest.mark.parametrize('specks', [2, 5])
def test_specks_are_left_out_of_both_skeletons(specks: int) -> None:
    start, target, _ = scene(1)
    body = posed(np.stack([start, target]))
    masks = torch.from_numpy(np.stack([hard(points) for points in body]))
    thin = [ridge(mask.numpy(), specks) for mask in masks]
    assert all(0 < one.sum() < ridge(mask.numpy()).sum() for one, mask in zip(thin, masks))
    assert torch.equal(topological_skeleton(masks, specks=specks), torch.from_numpy(np.stack(thin)))
    prepared = silhouette_target(masks[1:], specks)
    for grad in ('material', 'conv', 'literal'):
        losses = alignment_losses(body[:1], FACES, prepared, grad)
        assert losses.topology.item() == pytest.approx(sum(equation_5(thin[0], thin[1])), rel=1e-5)


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('offset', [-25, -6, 3, 40])
@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_gradient_of_a_shift_is_the_difference_of_whole_pixels(
    axis: int, offset: int, reduction: str
) -> None:
    mask = torch.zeros(1, SIZE, SIZE)
    mask[0, 60:91, 60:91] = 1
    corner = torch.tensor([60.0, 60.0])
    corner[axis] += offset

    def value(step: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        corners = square(*(corner + step * torch.eye(2)[axis]), 31, 31)[None].requires_grad_()
        return corners, *alignment_losses(corners, PAIR, mask, reduction=reduction)

    for part in (1, 2):
        output = value(0)
        corners = output[0]
        loss = output[part]
        loss.sum().backward()
        expected = (value(1)[part] - value(-1)[part]).item() / 2
        assert corners.grad[0, :, axis].sum().item() == pytest.approx(expected, rel=0.02)
        assert (corners.grad[..., 2] == 0).all()


@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_gradient_of_growth(reduction: str) -> None:
    """A bar that gets longer beyond its target: more pixels on the outline and on the skeleton."""
    mask = torch.zeros(1, SIZE, SIZE)
    mask[0, 60:71, 40:81] = 1

    def value(length: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        corners = square(40, 60, length, 11)[None].requires_grad_()
        return corners, *alignment_losses(corners, PAIR, mask, reduction=reduction)

    for part in (1, 2):
        output = value(61)
        output[part].sum().backward()
        expected = (value(63)[part] - value(59)[part]).item() / 4
        assert output[0].grad[0, 1:3, 0].sum().item() == pytest.approx(expected, rel=0.15)


def test_descent_brings_a_body_onto_its_mask() -> None:
    start, _, _ = scene(5)
    target = torch.from_numpy(hard(posed(start[None])[0]))[None]
    points = posed(start[None])
    centre = points.mean(1, keepdim=True)
    shift = torch.tensor([14.0, -9.0], requires_grad=True)
    scale = torch.tensor(0.85, requires_grad=True)
    optimizer = torch.optim.Adam([{'params': shift, 'lr': 0.7}, {'params': scale, 'lr': 0.01}])
    prepared = silhouette_target(target)
    history = []
    for _ in range(60):
        moved = torch.cat(
            [(points - centre)[..., :2] * scale + centre[..., :2] + shift, points[..., 2:]], 2
        )
        loss = sum(alignment_losses(moved, FACES, prepared, reduction='mean')).sum()
        history.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert shift.norm() < 1 and abs(scale - 1) < 0.02 and history[-1] < 0.1 * history[0]


def test_pictures_of_a_batch_do_not_mix_and_all_forms_agree() -> None:
    bodies = torch.stack([posed(np.stack(scene(seed)[:2])) for seed in range(3)])
    masks = torch.from_numpy(np.stack([hard(points) for points in bodies[:, 1]]))
    points = bodies[:, 0].clone().requires_grad_()
    together = alignment_losses(points, FACES, masks)
    (gradient,) = torch.autograd.grad(together.silhouette.sum() + together.topology.sum(), points)
    for i in range(3):
        vertices = bodies[i, :1].clone().requires_grad_()
        silhouette = silhouette_loss(vertices, FACES, masks[i : i + 1].to(torch.uint8))
        topology = topology_loss(vertices, FACES, silhouette_target(masks[i : i + 1]))
        (silhouette + topology).backward()
        assert (
            silhouette.ndim == 0
            and silhouette == together.silhouette[i]
            and topology == together.topology[i]
        )
        torch.testing.assert_close(gradient[i], vertices.grad[0], rtol=1e-4, atol=1e-2)
    assert silhouette_loss(points, FACES, masks) == together.silhouette.mean()


@pytest.mark.parametrize('grad', ['material', 'conv', 'literal'])
@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_where_nothing_can_be_said_the_loss_is_zero(grad: str, reduction: str) -> None:
    body = square(30, 30, 21, 41)
    everywhere = square(-50, -50, 400, 400)
    bodies = torch.stack([body, body + 1000, body * torch.nan, everywhere, body])
    masks = torch.zeros(5, 96, 80)
    masks[[1, 2, 3], 10:60, 20:40] = 1
    masks[4] = 1
    points = bodies.requires_grad_()
    losses = alignment_losses(points, PAIR, masks, grad, reduction)
    for i in (0, 1, 2):  # an empty mask, a body beside the image, a broken body
        assert losses.silhouette[i] == 0 and losses.topology[i] == 0
    for i in (3, 4):  # something fills the image: it has an area, but no skeleton
        assert losses.silhouette[i] > 0 and losses.topology[i] == 0
    (losses.silhouette + losses.topology).sum().backward()
    assert torch.isfinite(points.grad).all() and (points.grad[:3] == 0).all()


@pytest.mark.parametrize('grad', ['material', 'conv'])
def test_a_body_beside_its_mask_is_pulled_to_it(grad: str) -> None:
    mask = torch.zeros(1, SIZE, SIZE)
    mask[0, 20:40, 20:34] = 1
    corners = square(100, 30, 14, 20)[None].requires_grad_()
    for loss in alignment_losses(corners, PAIR, mask, grad):
        (gradient,) = torch.autograd.grad(loss.sum(), corners, retain_graph=True)
        assert gradient[0, :, 0].sum() > 0


def test_points_without_depth_and_a_partly_visible_body() -> None:
    mask = torch.zeros(1, 64, 64)
    mask[0, 30:64, 20:41] = 1
    corners = square(18, 32, 21, 60)[None]
    flat = corners[..., :2].clone().requires_grad_()
    losses = alignment_losses(flat, PAIR, mask)
    assert torch.equal(losses.silhouette, alignment_losses(corners, PAIR, mask).silhouette)
    (losses.silhouette + losses.topology).sum().backward()
    assert (
        flat.grad.shape == flat.shape and flat.grad[..., 0].sum() < 0
    )  # to the right, where the mask is


@pytest.mark.parametrize('divide, base', [(True, 1), (False, 9)])
def test_mass_of_the_gradient_of_thinning(divide: bool, base: int) -> None:
    """Every pixel that is on in level k hands a mass of 1 (conv) or 9^k (literal) down to level 0."""
    mask = torch.zeros(1, 20, 24, dtype=torch.float64)
    mask[0, 4:17, 5:20] = 1
    levels = [(13 - 2 * k) * (15 - 2 * k) for k in range(7)]
    mask.requires_grad_()
    distance = thinned(mask, divide)
    distance.sum().backward()
    assert distance.sum() == sum(levels)
    beside = (
        mask.numel() - levels[0]
    )  # level 0 is the mask itself, whose every pixel has the gradient 1
    expected = beside + sum(n * base**k for k, n in enumerate(levels))
    assert mask.grad.sum().item() == pytest.approx(expected, rel=1e-9)


def test_squared_differences() -> None:
    mask = torch.zeros(1, 64, 64)
    mask[0, 20:41, 10:31] = 1
    corners = square(13, 20, 21, 21)[None].requires_grad_()
    loss = mask_l2(corners, PAIR, mask)
    assert loss.item() == pytest.approx(2 * 3 * 21, rel=0.2)  # its outline is soft
    assert mask_l2(corners, PAIR, mask, reduction='mean').item() == pytest.approx(loss.item() / 441)
    loss.backward()
    assert corners.grad[..., 0].sum() == pytest.approx(42, rel=0.1)  # two sides of 21 px move
    far = square(45.3, 45.2, 10, 10)[None].requires_grad_()
    mask_l2(far, PAIR, mask).backward()
    assert far.grad[0, :, :2].sum(0).abs().max() < 1  # of rounding to pixels


def test_squared_differences_of_skeletons() -> None:
    points, goal = posed(np.stack(scene(0)[:2]))
    target = hard(goal)
    leaf = points[None].clone().requires_grad_()
    loss = skeleton_l2(leaf, FACES, torch.from_numpy(target)[None])
    assert loss.item() == pytest.approx((ridge(hard(points)) ^ ridge(target)).sum(), rel=1e-5)
    loss.backward()
    assert torch.isfinite(leaf.grad).all() and leaf.grad.any()


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(grad='soft'), "'soft'.*material"),
        (dict(reduction='median'), "'median'"),
        (dict(target_mask=torch.zeros(2, 9, 9)), '1 bodies for 2 masks'),
        (dict(target_mask=torch.zeros(9, 9)), 'batch axis'),
        (dict(target_mask=torch.full((1, 9, 9), 255)), '255'),
        (dict(vertices2d=torch.zeros(4, 3)), r'vertices2d.*\(4, 3\)'),
        (dict(vertices2d=torch.zeros(1, 4, 5)), r'\(1, 4, 5\)'),
    ],
)
def test_bad_input_is_named(change: dict, message: str) -> None:
    arguments = dict(
        vertices2d=square(1, 1, 4, 4)[None], faces=PAIR, target_mask=torch.zeros(1, 9, 9)
    )
    for function in (topology_loss, silhouette_loss, alignment_losses):
        with pytest.raises(InputError, match=message):
            function(**{**arguments, **change})
