"""CycleAdapt: its network of motion, its windows and its cycles, against sums and loops written out."""

import copy
import math

import numpy as np
import pytest
import torch
from tiny_parts import Tiny, tiny_sequence, weights_of

from hrtk.adapters import CycleAdapt
from hrtk.adapters.rivals import cycle_adapt
from hrtk.adapters.rivals.motion_denoiser import (
    MotionDenoiser,
    draw_masks,
    hidden_error,
    mean_over_windows,
    trained_denoiser,
    windows_of,
)
from hrtk.adapters.run import AdapterRun
from hrtk.datasets import MotionWindows
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop
from hrtk.geometry.camera import project
from hrtk.geometry.rotation import rot6d_to_rotmat

RATE = 1e-3


def test_has_the_parameters_of_the_released_network():
    network = MotionDenoiser(49)
    # Two layers over 144 channels; four blocks over 49 frames with a scale and a shift per channel.
    assert sum(p.numel() for p in network.parameters()) == 2 * 144 * 145 + 4 * (49 * 50 + 2 * 144)


def test_network_written_out():
    torch.manual_seed(0)
    network = MotionDenoiser(5, blocks=2).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    motion = torch.randn(1, 5, 144, dtype=torch.float64)
    weights = {name: value.detach().numpy() for name, value in network.named_parameters()}
    x = motion[0].numpy() @ weights['first.weight'].T + weights['first.bias']
    for block in range(2):
        over_time = weights[f'over_time.{block}.weight'] @ x
        over_time = over_time + weights[f'over_time.{block}.bias'][:, None]
        mean = over_time.mean(1, keepdims=True)
        spread = np.sqrt(((over_time - mean) ** 2).mean(1, keepdims=True) + 1e-5)
        normal = (over_time - mean) / spread
        x = x + normal * weights[f'norms.{block}.weight'] + weights[f'norms.{block}.bias']
    expected = x @ weights['last.weight'].T + weights['last.bias']
    np.testing.assert_allclose(network(motion)[0].detach().numpy(), expected, atol=1e-10)


def test_masks_hide_the_middle_and_half_of_the_rest():
    torch.manual_seed(0)
    hidden = draw_masks(200, 49)
    assert (hidden.sum(1) == 25).all() and hidden[:, 24].all()
    share = hidden[:, torch.arange(49) != 24].float().mean(0)
    assert 0.35 < float(share.min()) and float(share.max()) < 0.65


def test_windows_are_averaged_frame_by_frame():
    windows = windows_of(4, 3)
    assert windows.tolist() == [[0, 1, 2], [1, 2, 3]]
    values = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
    assert mean_over_windows(values, windows, 4).flatten().tolist() == [1.0, 3.0, 4.0, 6.0]
    assert windows_of(2, 5).tolist() == [[0, 1, 1, 1, 1]]


def test_training_fills_in_motion_and_repeats_itself():
    motion = MotionWindows(frames=9, fps=25)
    seed = torch.get_rng_state()
    trained = trained_denoiser(9, motion, 60)
    assert torch.equal(torch.get_rng_state(), seed)
    again = trained_denoiser(9, motion, 60)
    for name, value in trained.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    windows = torch.eye(3)[:, :2].reshape(6).repeat(3, 9, 24)
    hidden = torch.arange(9).expand(3, 9) % 2 == 0
    before, _ = hidden_error(trained_denoiser(9, motion, 0), windows, hidden)
    after, _ = hidden_error(trained, windows, hidden)
    assert float(before) == pytest.approx(5 / 9 * float(windows.abs().mean()))
    assert float(after) < 0.8 * float(before)


def test_rates_rise_for_three_cycles_and_fall_to_a_fiftieth():
    adapter = CycleAdapt()
    rates = [adapter.rate(cycle) for cycle in range(13)]
    assert rates[:3] == [1 / 3, 2 / 3, 1.0] and rates[-1] == pytest.approx(0.02)
    middle = 0.02 + 0.98 * (1 + math.cos(math.pi / 2)) / 2
    assert rates[7] == pytest.approx(middle)
    assert sorted(rates[2:], reverse=True) == rates[2:]


def literal(network, sequence, denoiser, cycles, adapter):
    """Three frames, one window of three frames, batches of all frames."""
    weights = [p for p in network.parameters() if p.requires_grad]
    adam = torch.optim.Adam(weights, lr=RATE, betas=(0.5, 0.999))
    other = torch.optim.Adam(denoiser.parameters(), lr=RATE, betas=(0.5, 0.999))
    confidence = (sequence.keypoints2d.confidence > 0.3).double()[..., None]
    target = to_crop(sequence.keypoints2d.xy, sequence.boxes)
    target = torch.where(confidence > 0, target, torch.zeros_like(target))
    goal = None
    shape = None
    for cycle in range(cycles):
        for optimiser in (adam, other):
            optimiser.param_groups[0]['lr'] = RATE * adapter.rate(cycle)
        torch.randperm(3)
        found = network(network.crops(sequence, [0, 1, 2]))
        joints = network.body.joints(found.rotmat, found.betas, 'spin24')
        loss = 0.1 * (confidence * 112 * (project(joints, found.camera) - target).abs()).mean()
        if goal is not None:
            loss = loss + (found.rotmat - rot6d_to_rotmat(goal.reshape(3, 24, 6))).abs().mean()
            loss = loss + 0.001 * (found.betas - shape).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        motion = found.rotmat.detach()[..., :2].reshape(3, 144)
        shape = found.betas.detach().mean(0, keepdim=True)
        hidden = draw_masks(1, 3)[0]
        torch.randperm(1)
        goal = denoiser((motion * ~hidden[:, None])[None])[0]
        loss = ((goal - motion).abs() * hidden[:, None]).mean()
        other.zero_grad()
        loss.backward()
        other.step()
        goal = goal.detach()


@pytest.mark.parametrize('kept', [True, False])
def test_cycles_are_a_plain_loop(monkeypatch, kept):
    """The crops are read once for all cycles, or by every one where they need too much memory."""
    if not kept:
        monkeypatch.setattr(cycle_adapt, 'KEPT', 0)
    network = Tiny()
    twin = copy.deepcopy(network)
    start = weights_of(network)
    sequence = tiny_sequence(frames=3)
    adapter = CycleAdapt(lr=RATE, cycles=3, window=3, motion_steps=2)
    denoiser = copy.deepcopy(adapter.first_denoiser).double()
    torch.manual_seed(4)
    literal(twin, sequence, denoiser, 3, adapter)
    torch.manual_seed(4)
    read = []
    crops = network.crops
    monkeypatch.setattr(
        network, 'crops', lambda sequence, frames: read.extend(frames) or crops(sequence, frames)
    )
    found = list(AdapterRun(adapter, network).run(sequence))
    assert sorted(read) == sorted([0, 1, 2] * (2 if kept else 4))
    wanted = weights_of(twin)
    for name, weight in weights_of(network).items():
        assert (weight - wanted[name]).abs().max() < 1e-7
    assert max((wanted[name] - start[name]).abs().max() for name in start) > 1e-4
    expected = twin(twin.crops(sequence, [0, 1, 2])).rotmat
    assert (torch.cat([prediction.rotmat for prediction in found]) - expected).abs().max() < 1e-6


def test_a_video_without_keypoints_is_left_alone():
    network = Tiny()
    start = weights_of(network)
    sequence = tiny_sequence(frames=2)
    sequence.keypoints2d.confidence.zero_()
    run = AdapterRun(CycleAdapt(window=3, motion_steps=0), network)
    with pytest.warns(UserWarning, match='none of its spin24 keypoints'):
        list(run.run(sequence))
    assert all(torch.equal(start[name], weight) for name, weight in weights_of(network).items())


@pytest.mark.parametrize(
    'options', [dict(window=4), dict(cycles=0), dict(weights=dict(motion=1.0))]
)
def test_refuses(options):
    with pytest.raises(InputError, match='CycleAdapt'):
        CycleAdapt(**options)
