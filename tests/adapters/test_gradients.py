"""The two-level gradient against finite differences, a literal differentiation, and its own first-order form."""

from __future__ import annotations

import pytest
import torch
from tiny_parts import SIZE, DoubleHMR, predict_all, tiny_sequence
from torch import nn
from torch.func import functional_call

from hrtk.adapters import Bilevel
from hrtk.adapters.bilevel.objectives import LossWeights, Objectives
from hrtk.adapters.parts.gradients import bilevel_gradient, plain_gradient, twice_differentiable
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.parts.source_bank import SourceBatch
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.models.estimators import HMR
from hrtk.models.priors import GMMPosePrior
from hrtk.registry import BACKBONES

RATE = 0.05


@BACKBONES.register_module()
class SmallConv(nn.Module):
    """Two smooth convolutions, so that differences have no kinks to trip over."""

    out_channels = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 2)
        self.bn1 = nn.GroupNorm(2, 4)
        self.conv2 = nn.Conv2d(4, 6, 3, 2)

    def forward(self, images):
        out = nn.functional.softplus(self.bn1(self.conv1(images)))
        return torch.tanh(self.conv2(out)).mean((2, 3))


@BACKBONES.register_module()
class SmallViT(nn.Module):
    """Patches through every way to torch's own attention: the function, the module without weights, the layer."""

    out_channels = 8

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 16, 16)
        self.qkv = nn.Linear(8, 24)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(
            8, 2, 12, dropout=0.0, activation='gelu', batch_first=True
        )

    def forward(self, images):
        tokens = self.patches(images).flatten(2).mT
        parts = self.qkv(tokens).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*parts)
        tokens = tokens + mixed.transpose(1, 2).flatten(2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.layer(tokens).mean(1)


class Problem:
    """Both levels of BOA, every term switched on, with factors that make every term count."""

    def __init__(self, backbone: str = 'SmallConv') -> None:
        torch.manual_seed(0)
        self.model = (
            HMR(dict(type=backbone), dict(type='IterativeRegressor', hidden=7), SIZE)
            .double()
            .eval()
        )
        for layer in (self.model.head.decpose, self.model.head.decshape, self.model.head.deccam):
            nn.init.normal_(layer.weight, std=0.1)
        self.weights = {
            name: p.detach().clone().requires_grad_() for name, p in self.model.named_parameters()
        }
        images = torch.randn(6, 3, SIZE, SIZE, dtype=torch.float64)
        self.now, self.then, self.teacher_image, source = (
            images[:1],
            images[1:2],
            images[2:3],
            images[3:5],
        )
        self.evidence = [
            CropKeypoints(
                0.4 * torch.randn(1, 24, 2, dtype=torch.float64),
                torch.rand(1, 24, dtype=torch.float64).round(),
            )
            for _ in range(2)
        ]
        rotmat = axis_angle_to_rotmat(0.4 * torch.randn(2, 24, 3, dtype=torch.float64))
        self.batch = SourceBatch(
            source,
            rotmat,
            torch.randn(2, 10, dtype=torch.float64),
            0.4 * torch.randn(2, 24, 2, dtype=torch.float64),
        )
        factors = LossWeights(
            keypoints2d=1.0, shape_prior=0.1, pose_prior=0.01, source=0.5, motion=1.0, teacher=0.5
        )
        self.objectives = Objectives(factors, GMMPosePrior(dtype=torch.float64), 'all')
        with torch.no_grad():
            self.teacher = PosedPrediction.of(self.model(self.teacher_image), self.model.body)

    def pose(self, weights, images):
        return PosedPrediction.of(functional_call(self.model, weights, (images,)), self.model.body)

    def lower(self, weights):
        posed = self.pose(weights, torch.cat([self.now, self.batch.images]))
        return self.objectives.frame(posed[:1], self.evidence[0]) + self.objectives.source(
            posed[1:], self.batch, self.model.body
        )

    def upper(self, weights):
        posed = self.pose(weights, torch.cat([self.now, self.then]))
        return (
            self.lower(weights)
            + self.objectives.teacher(posed[:1], self.teacher)
            + self.objectives.motion(posed[:1], posed[1:2], *self.evidence)
        )

    def value(self, weights):
        """upper(w - rate grad lower(w)), by plain autograd."""
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        slopes = torch.autograd.grad(self.lower(leaves), list(leaves.values()))
        with torch.no_grad():
            return self.upper(
                {name: w - RATE * g for (name, w), g in zip(leaves.items(), slopes)}
            ).item()


@pytest.fixture(scope='module', params=['SmallConv', 'SmallViT'])
def problem(request):
    return Problem(request.param)


def difference(problem, direction, step=2e-5):
    """Derivative of the whole objective along a direction, by a central difference of fourth order."""

    def at(factor):
        return problem.value(
            {
                name: w.detach() + factor * step * d
                for (name, w), d in zip(problem.weights.items(), direction)
            }
        )

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)


def test_second_order_agrees_with_finite_differences(problem):
    gradient, _ = bilevel_gradient(problem.weights, problem.lower, problem.upper, RATE)
    first, _ = bilevel_gradient(problem.weights, problem.lower, problem.upper, RATE, 'first')
    generator = torch.Generator().manual_seed(1)
    directions = [
        [torch.randn(g.shape, generator=generator, dtype=g.dtype) for g in gradient]
        for _ in range(3)
    ]
    directions += [
        [d if i == k else torch.zeros_like(d) for i, d in enumerate(directions[0])]
        for k in range(0, len(gradient), 3)
    ]
    scale = torch.stack([g.norm() for g in gradient]).norm().item()
    for direction in directions:
        exact = sum((g * d).sum() for g, d in zip(gradient, direction)).item()
        length = torch.stack([d.norm() for d in direction]).norm().item()
        assert abs(exact - difference(problem, direction)) < 1e-5 * max(
            abs(exact), 1e-2 * scale * length
        )
    along = [g / scale for g in gradient]
    assert abs(difference(problem, along) / scale - 1) < 1e-5
    dropped = sum((f * d).sum() for f, d in zip(first, along)).item()
    assert abs(difference(problem, along) - dropped) > 1e-3 * scale, (
        'curvature plays no part in this problem'
    )


def test_equals_differentiation_through_the_probe(problem):
    leaves = list(problem.weights.values())
    with twice_differentiable():
        slopes = torch.autograd.grad(problem.lower(problem.weights), leaves, create_graph=True)
    fast = {name: w - RATE * g for (name, w), g in zip(problem.weights.items(), slopes)}
    expected = torch.autograd.grad(problem.upper(fast), leaves)
    gradient, losses = bilevel_gradient(problem.weights, problem.lower, problem.upper, RATE)
    for ours, wanted in zip(gradient, expected):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-12)
    assert abs(losses[0] - problem.lower(problem.weights)) < 1e-12
    assert abs(losses[1] - problem.upper(fast)) < 1e-10
    assert not any(value.requires_grad for value in (*gradient, *losses))


def test_first_order_is_the_gradient_at_the_detached_probe(problem):
    slopes, _ = plain_gradient(problem.weights, problem.lower)
    fast = {
        name: (w - RATE * g).detach().requires_grad_()
        for (name, w), g in zip(problem.weights.items(), slopes)
    }
    expected = torch.autograd.grad(problem.upper(fast), list(fast.values()))
    gradient, _ = bilevel_gradient(problem.weights, problem.lower, problem.upper, RATE, 'first')
    for ours, wanted in zip(gradient, expected):
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-13)


def test_plain_gradient(problem):
    gradient, loss = plain_gradient(problem.weights, problem.upper)
    expected = torch.autograd.grad(problem.upper(problem.weights), list(problem.weights.values()))
    assert all(torch.equal(a, b) for a, b in zip(gradient, expected)) and not loss.requires_grad


@pytest.mark.parametrize('order', ['first', 'second'])
def test_weights_and_objectives_that_play_no_part(order):
    weights = {
        'used': torch.tensor(2.0, requires_grad=True),
        'idle': torch.ones(3, requires_grad=True),
    }

    def cube(w):
        return w['used'] ** 3

    gradient, _ = bilevel_gradient(weights, cube, cube, 0.1, order)
    probe = 2 - 0.1 * 12.0
    expected = 3 * probe**2 * (1 - 0.1 * 12.0 if order == 'second' else 1)
    assert gradient[0].item() == pytest.approx(expected, rel=1e-6) and gradient[1].tolist() == [
        0,
        0,
        0,
    ]
    nothing, loss = plain_gradient(weights, lambda w: torch.zeros(()))
    assert loss == 0 and all((g == 0).all() for g in nothing)
    gradient, _ = bilevel_gradient(weights, lambda w: torch.zeros(()), cube, 0.1, order)
    assert gradient[0].item() == pytest.approx(12.0)


def test_second_order_adapters_run_on_torchs_attention():
    torch.manual_seed(0)
    model = DoubleHMR(dict(type='SmallViT'), dict(type='IterativeRegressor', hidden=7), SIZE)
    before = model.backbone.qkv.weight.detach().clone()
    adapter = Bilevel(order='second', lr=1e-3, interval=1, weights=dict(pose_prior=0.0))
    session = adapter.start(model)
    assert len(predict_all(session, tiny_sequence(frames=3))) == 3
    assert session.counts == {'skipped_updates': 0}
    assert not torch.equal(model.backbone.qkv.weight, before)
