"""NormAdapt against BatchNorm's own sums, written out, and a plain loop of torch's Adam."""

import copy

import numpy as np
import pytest
import torch
from tiny_parts import Tiny, tiny_sequence
from torch import nn

from hrtk.adapters import NormAdapt
from hrtk.adapters.rivals.norm_adapt import Statistics
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop
from hrtk.geometry.camera import project


def test_statistics_are_mixed_layer_after_layer():
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3)).double().eval()
    network[0].running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    network[0].running_var.fill_(4.0)
    values = rng.normal(2.0, 3.0, (50, 3))
    Statistics(network, 0.25).measure(torch.tensor(values))
    mean = 0.25 * np.array([1.0, 2.0, 3.0]) + 0.75 * values.mean(0)
    variance = 0.25 * 4.0 + 0.75 * values.var(0)
    np.testing.assert_allclose(network[0].running_mean, mean)
    np.testing.assert_allclose(network[0].running_var, variance)
    behind = (values - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(network[1].running_mean, 0.75 * behind.mean(0))
    np.testing.assert_allclose(network[1].running_var, 0.25 + 0.75 * behind.var(0))
    assert not network[0]._forward_pre_hooks


def test_the_share_of_training_is_the_share_of_the_first_statistics():
    network = nn.Sequential(nn.BatchNorm1d(3)).double().eval()
    statistics = Statistics(network, 0.5)
    for seed in range(3):
        values = np.random.default_rng(seed).normal(5.0, 1.0, (40, 3))
        statistics.measure(torch.tensor(values))
    np.testing.assert_allclose(network[0].running_mean, 0.5 * values.mean(0))


def literal(network, sequence, steps, lr):
    """Scale and shift of all BatchNorm layers by torch.optim.Adam, two frames after two; statistics stay."""
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    weights = [weight for layer in layers for weight in (layer.weight, layer.bias)]
    adam = torch.optim.Adam(weights, lr=lr)
    for start in range(0, len(sequence), 2):
        frames = list(range(start, min(start + 2, len(sequence))))
        crops = network.crops(sequence, frames)
        confidence = sequence.keypoints2d.confidence[frames][..., None]
        target = to_crop(sequence.keypoints2d.xy[frames], sequence.boxes[frames])
        target = torch.where(confidence > 0, target, torch.zeros_like(target))
        for _ in range(steps):
            found = network(crops)
            joints = network.body.joints(found.rotmat, found.betas, 'spin24')
            square = (project(joints, found.camera) - target).square()
            error = (confidence * square).sum() / (2 * confidence.sum())
            loss = 10 * error + 1e-3 * (found.betas**2).sum() / len(frames)
            adam.zero_grad()
            loss.backward()
            adam.step()
        prediction = network(crops)
        for i in range(len(frames)):
            yield prediction[i : i + 1]


def test_scale_and_shift_are_a_plain_loop():
    network = Tiny(norm='bn')
    twin = copy.deepcopy(network)
    sequence = tiny_sequence(frames=3)
    adapter = NormAdapt(lr=1e-3, steps=2, batch=2, source_share=1.0)
    start = {name: weight.clone() for name, weight in network.state_dict().items()}
    found = list(AdapterRun(adapter, network).run(sequence))
    for ours, theirs in zip(found, literal(twin, sequence, 2, 1e-3), strict=True):
        assert (ours.rotmat - theirs.rotmat).abs().max() < 1e-9
        assert (ours.camera - theirs.camera).abs().max() < 1e-9
    changed = {
        name for name, value in network.state_dict().items() if not torch.equal(value, start[name])
    }
    assert changed and all('bn' in name or 'downsample.1' in name for name in changed)


@pytest.mark.parametrize('share', [0.5, 1.0])
def test_the_bytes_of_the_state(share):
    """Scale and shift with two moments and a counter of Adam each, and the statistics that move."""
    network = Tiny(norm='bn')
    session = NormAdapt(steps=1, source_share=share).start(network)
    before = session.state_bytes
    list(session.run(tiny_sequence(frames=1)))
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    channels = sum(layer.num_features for layer in layers)
    statistics = 2 * 8 * channels * (share < 1)
    assert before == 2 * 8 * channels + statistics
    assert session.state_bytes == 3 * 2 * 8 * channels + 4 * 2 * len(layers) + statistics


def test_statistics_alone_need_no_keypoints():
    network = Tiny(norm='bn')
    sequence = tiny_sequence(frames=2)
    before = network(network.crops(sequence, [0, 1])).rotmat
    sequence.keypoints2d.confidence.zero_()
    run = AdapterRun(NormAdapt(source_share=0.0), network)
    with pytest.warns(UserWarning, match='none of its spin24 keypoints'):
        found = torch.cat([prediction.rotmat for prediction in run.run(sequence)])
    assert (found - before).abs().max() > 1e-3
    assert run.counts['frames_without_evidence'] == 2


def test_refuses():
    with pytest.raises(InputError, match='source_share'):
        NormAdapt(source_share=1.5)
    with pytest.raises(InputError, match='weights has no'):
        NormAdapt(weights=dict(entropy=1.0))
