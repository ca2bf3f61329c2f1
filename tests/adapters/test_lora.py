"""Changes of low rank: what they can represent, what changes, and that every adapter can use them."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from tiny_parts import VIEWS, Diary, Tiny, equal, predict_all, tiny_sequence, weights_of
from torch import nn
from torch.func import functional_call

from hrtk.adapters.parts import lora
from hrtk.adapters.parts.gradients import bilevel_gradient
from hrtk.adapters.parts.parameter_selection import select_parameters
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.models.estimators import HMR2
from hrtk.models.estimators.base import ImageEstimator
from hrtk.registry import ADAPTERS, TEACHERS
from hrtk.structures import Prediction

SIZE = 32
BILEVEL = dict(
    type='Bilevel',
    lr=1e-3,
    inner_lr=1e-3,
    interval=2,
    weights=dict(pose_prior=0.0, source=0.3),
    source=dict(batch=2, pool=4, dataset=VIEWS),
)
DYNAMIC = dict(
    type='DynamicBilevel',
    lr=1e-3,
    inner_lr=1e-3,
    order='first',
    interval=2,
    max_extra=1,
    weights=dict(pose_prior=0.0, source=0.0),
)
TRACK = dict(type='TrackFit', lr=1e-3, steps=3)
KEYPOINTS = dict(type='KeypointFit', lr=1e-3, steps=2)
CYCLES = dict(type='CycleAdapt', lr=1e-3, cycles=2, window=3, motion_steps=0)


@TEACHERS.register_module(force=True)
class StandingTeacher:
    """Labels every frame with the rest pose."""

    def label(self, sequence, extractor):
        rotmat = torch.eye(3, dtype=torch.float64).expand(len(sequence), 24, 3, 3)
        camera = torch.tensor([[0.9, 0.0, 0.0]], dtype=torch.float64)
        betas = torch.zeros(len(sequence), 10, dtype=torch.float64)
        return Prediction(rotmat, betas, camera.expand(len(sequence), 3))

    def fingerprint(self):
        return {'teacher': 'standing'}


class TinyTransformer(HMR2):
    """A small HMR2 in float64."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            backbone=dict(type='ViT', image_size=(32, 24), patch=8, width=12, depth=2, heads=2),
            head=dict(
                type='TransformerDecoderHead', width=8, depth=1, heads=2, head_width=4, hidden=8
            ),
            resolution=SIZE,
            weights_body='open',
        )
        self.double().eval()
        for layer in (self.head.decpose, self.head.decshape, self.head.deccam):
            nn.init.normal_(layer.weight, std=0.05)

    def crops(self, sequence, indices):
        return super().crops(sequence, indices).double()


NETWORKS = {'ResNet': Tiny, 'ViT': TinyTransformer}


def crops(seed: int = 0):
    return torch.randn(
        3, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def randomise(model, std: float = 0.1):
    """Gives every factor ``up``, which starts at zero, random values."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith('.up'):
                value.copy_(std * torch.randn(value.shape, generator=random, dtype=value.dtype))


def same(a: Prediction, b: Prediction, tolerance: float = 1e-12) -> bool:
    return all(
        (getattr(a, name) - getattr(b, name)).abs().max() < tolerance
        for name in ('rotmat', 'betas', 'camera')
    )


@pytest.mark.parametrize('network', NETWORKS)
def test_full_rank_equals_a_change_of_the_weights(network):
    """A change of the layers' weights by some matrices, and the same matrices as products of two factors."""
    model = NETWORKS[network]()
    changed = copy.deepcopy(model)
    with torch.no_grad():
        before = model(crops())
        random = torch.Generator().manual_seed(2)
        lora.install_lora(model, 10_000)
        assert same(model(crops()), before, 1e-14), 'the start is not the plain network'
        for name, layer in changed.named_modules():
            if not isinstance(layer, (nn.Linear, nn.Conv2d)):
                continue
            change = 0.02 * torch.randn(layer.weight.shape, generator=random, dtype=torch.float64)
            layer.weight += change
            matrix = change.flatten(1)
            factors = model.get_submodule(name).parametrizations.weight[0]
            assert factors.up.shape == (len(matrix), min(matrix.shape))
            assert factors.down.shape == (min(matrix.shape), matrix.shape[1])
            up, values, down = torch.linalg.svd(matrix, full_matrices=False)
            factors.up.copy_(up * values)
            factors.down.copy_(down)
        assert not same(changed(crops()), before, 1e-3)
        assert same(model(crops()), changed(crops()), 1e-9)


@pytest.mark.parametrize('network', NETWORKS)
def test_merged_weights_predict_the_same(network):
    model = NETWORKS[network]()
    plain_keys = list(model.state_dict())
    with torch.no_grad():
        before = model(crops())
        names = lora.install_lora(model, 2)
        randomise(model)
        changed = model(crops())
        assert not same(changed, before, 1e-3)
        copied = lora.merged_weights(model)
        assert set(model.state_dict()) == {*plain_keys, *names}
        other = NETWORKS[network]()
        other.load_state_dict(copied)
        lora.merge_lora(model)
        assert sorted(model.state_dict()) == sorted(plain_keys)
        assert equal(dict(model.state_dict()), copied)
        assert same(model(crops()), changed) and same(other(crops()), changed)


def test_removed_and_reloaded():
    model = Tiny()
    start = copy.deepcopy(model.state_dict())
    lora.install_lora(model, 2)
    randomise(model)
    stored = copy.deepcopy(model.state_dict())
    assert all(torch.equal(stored[name], start[name]) for name in start), 'weights changed'
    with torch.no_grad():
        changed = model(crops())
        model.load_state_dict(start)  # plain weights take the change away
        assert same(model(crops()), Tiny()(crops()), 1e-14)
        model.load_state_dict(stored)
        assert same(model(crops()), changed, 1e-14)
    lora.remove_lora(model)
    assert equal(dict(model.state_dict()), dict(start))
    assert not any('lora' in name or 'parametrizations' in name for name in vars(model.head.fc1))


def test_a_frozen_prior_is_not_changed():
    """Weights that are buffers, as LatentHMR's prior, and embeddings stay."""
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.LayerNorm(3))
    weight = network[1].weight
    del network[1]._parameters['weight']
    network[1].register_buffer('weight', weight.detach())
    assert lora.install_lora(network, 1) == [f'0.{lora.FACTORS}down', f'0.{lora.FACTORS}up']
    with pytest.raises(InputError, match='LayerNorm has no linear layer'):
        lora.install_lora(nn.LayerNorm(3), 1)
    with pytest.raises(InputError, match='rank is at least 1, not 0'):
        select_parameters(network, 'lora(0)')


def test_the_gradient_of_two_levels_against_finite_differences():
    """Second order through attention and through the product of the factors."""
    model = TinyTransformer()
    select_parameters(model, 'lora(2)')
    randomise(model)
    names = [name for name, _ in model.named_parameters() if lora.is_factor(name)]
    weights = {name: dict(model.named_parameters())[name] for name in names}
    first, second = crops(3), crops(4)

    def lower(values):
        prediction = functional_call(model, dict(values), (first,))
        return prediction.rotmat[..., 0, 1].square().sum() + prediction.camera.square().sum()

    def upper(values):
        prediction = functional_call(model, dict(values), (second,))
        return (prediction.rotmat - 0.1).abs().sum() + prediction.betas.square().sum()

    rate = 0.05
    gradient, _ = bilevel_gradient(weights, lower, upper, rate, 'second')
    one_level, _ = bilevel_gradient(weights, lower, upper, rate, 'first')
    random = torch.Generator().manual_seed(5)
    way = [torch.randn(w.shape, generator=random, dtype=w.dtype) for w in weights.values()]

    def probed(step):
        moved = {}
        for (name, weight), direction in zip(weights.items(), way):
            moved[name] = (weight.detach() + step * direction).requires_grad_()
        slopes = torch.autograd.grad(
            lower(moved), list(moved.values()), allow_unused=True, materialize_grads=True
        )
        with torch.no_grad():
            after = {n: w - rate * g for (n, w), g in zip(moved.items(), slopes)}
            return upper(after)

    expected = (probed(1e-5) - probed(-1e-5)) / 2e-5
    found = sum((g * d).sum() for g, d in zip(gradient, way))
    assert abs(found - expected) < 1e-6 * abs(expected)
    assert abs(sum((g * d).sum() for g, d in zip(one_level, way)) - expected) > 1e-3 * abs(expected)


@pytest.mark.parametrize(
    'config, network',
    [
        (BILEVEL, 'ViT'),
        (DYNAMIC, 'ViT'),
        (TRACK, 'ViT'),
        (KEYPOINTS, 'ViT'),
        (CYCLES, 'ViT'),
        (BILEVEL, 'ResNet'),
    ],
    ids=lambda value: value if isinstance(value, str) else value['type'],
)
def test_adapters_change_the_chosen_weights_alone(config, network):
    model = NETWORKS[network]()
    start = weights_of(model)
    sequence = tiny_sequence(frames=3)
    full = ADAPTERS.build(config).start(model)
    plain = predict_all(full, sequence)
    model = NETWORKS[network]()
    session = ADAPTERS.build(dict(config, parameters='lora(1)')).start(model)
    predicted = predict_all(session, sequence)
    after = model.state_dict()
    assert all(torch.equal(after[name], start[name]) for name in start)
    moved = [name for name in after if name.endswith('.up') and after[name].abs().max() > 0]
    assert moved
    with torch.no_grad():
        frozen = NETWORKS[network]()(model.crops(sequence, range(3))).rotmat
    assert (predicted - frozen).abs().max() > 1e-6
    assert (predicted - plain).abs().max() > 1e-6
    assert 0 < session.state_bytes < full.state_bytes


def test_the_bytes_of_the_state():
    """Weights and teacher, two moments of each weight, and a counter of Adam per tensor."""
    model = TinyTransformer()
    session = ADAPTERS.build(dict(BILEVEL, parameters='lora(2)')).start(model)
    predict_all(session, tiny_sequence(frames=1))
    tensors = [value for name, value in model.named_parameters() if lora.is_factor(name)]
    numbers = sum(value.numel() for value in tensors)
    assert session.state_bytes == 8 * 4 * numbers + 4 * len(tensors)


def test_the_bytes_behind_a_gate_are_those_of_its_adapter():
    sequence = tiny_sequence(frames=1)
    bare = ADAPTERS.build(KEYPOINTS).start(TinyTransformer())
    predict_all(bare, sequence)
    gated = ADAPTERS.build(dict(type='DoNoHarm', adapter=KEYPOINTS)).start(TinyTransformer())
    predict_all(gated, sequence)
    assert gated.state_bytes == bare.state_bytes


@pytest.mark.parametrize('reset', ['sequence', 'frame'])
def test_every_session_starts_from_the_plain_network(reset):
    model = TinyTransformer()
    adapter = ADAPTERS.build(dict(BILEVEL, parameters='lora(2)', reset=reset))
    run = AdapterRun(adapter, model)
    first = predict_all(run, tiny_sequence(frames=3))
    predict_all(run, tiny_sequence('other', frames=2, seed=5))
    again = AdapterRun(adapter, TinyTransformer())
    assert torch.equal(first, predict_all(again, tiny_sequence(frames=3)))
    assert torch.equal(first, predict_all(run, tiny_sequence(frames=3)))
    assert run.state_bytes > 0


def test_a_killed_run_continues():
    adapter = ADAPTERS.build(dict(BILEVEL, parameters='lora(2)', reset='never'))
    sequences = [tiny_sequence(str(seed), frames=3, seed=seed) for seed in range(2)]
    whole = AdapterRun(adapter, TinyTransformer())
    expected = [predict_all(whole, sequence) for sequence in sequences]
    model = TinyTransformer()
    run = AdapterRun(adapter, model)
    predict_all(run, sequences[0])
    stored = copy.deepcopy((dict(model.state_dict()), run.state_dict()))
    # Behind the first sequence.
    resumed = AdapterRun(adapter, TinyTransformer())
    resumed.resume(*stored)
    assert torch.equal(predict_all(resumed, sequences[1]), expected[1])
    # Inside a sequence.
    adapter = dataclasses.replace(adapter, reset='sequence')
    run = AdapterRun(adapter, TinyTransformer())
    torch.manual_seed(0)
    frames = run.run(sequences[1])
    found = [next(frames).rotmat for _ in range(2)]
    midway = copy.deepcopy(run.midway_state(2))
    random = torch.get_rng_state()  # stored by the run
    resumed = AdapterRun(adapter, TinyTransformer())
    torch.set_rng_state(random)
    found += [prediction.rotmat for prediction in resumed.run_from(sequences[1], 2, midway)]
    assert torch.equal(
        torch.cat(found), predict_all(AdapterRun(adapter, TinyTransformer()), sequences[1])
    )


def test_pre_adaptation_returns_merged_weights():
    adapter = ADAPTERS.build(
        dict(
            type='PreAdapt',
            teacher=dict(type='StandingTeacher'),
            epochs=2,
            frames=2,
            lr=1e-3,
            corruption=None,
            parameters='lora(1)',
        )
    )
    target = [tiny_sequence(frames=3)]
    weights = adapter.prepare(model := Tiny(), target, Diary())
    plain = Tiny()
    changed = [
        name for name, value in plain.state_dict().items() if not torch.equal(value, weights[name])
    ]
    assert set(weights) == set(plain.state_dict()) == set(model.state_dict())
    assert 'head.fc1.weight' in changed and all(name.endswith('.weight') for name in changed)
    rank = torch.linalg.matrix_rank(weights['head.fc1.weight'] - plain.head.fc1.weight, rtol=1e-9)
    assert rank == 1
    diary = Diary(kill=2)
    with pytest.raises(KeyboardInterrupt):
        dataclasses.replace(adapter, save_every=1).prepare(Tiny(), target, diary)
    diary.kill = None
    assert equal(dataclasses.replace(adapter, save_every=1).prepare(Tiny(), target, diary), weights)


def test_what_lies_behind_the_cut():
    model = TinyTransformer()
    chosen = select_parameters(model, 'cut')
    assert set(chosen) == {n for n, _ in model.named_parameters() if model.behind_trunk(n)}
    assert {name.split('.')[0] for name in chosen} == {'backbone', 'head'}
    session = ADAPTERS.build(dict(BILEVEL, parameters='cut')).start(model)
    assert session.state.trunk.shared
    assert (
        select_parameters(Tiny(), 'cut').keys() == select_parameters(Tiny(), 'layer4+head').keys()
    )

    class Whole(ImageEstimator):
        def __init__(self):
            super().__init__(SIZE)
            self.layer = nn.Linear(2, 2)

    with pytest.raises(InputError, match=r"parameters='cut': Whole is not cut"):
        select_parameters(Whole(), 'cut')
