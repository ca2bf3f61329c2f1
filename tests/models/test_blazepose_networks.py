"""BlazePose's networks against Google's interpreter; the cut, batches, layouts and derivatives."""

from __future__ import annotations

import copy

import pytest
import torch
from blazepose_golden import golden, golden_images

from hrtk.errors import InputError
from hrtk.models.blazepose import LandmarkNetwork, PoseDetector
from hrtk.models.blazepose.blocks import Convolution, SeparableResidual
from hrtk.models.blazepose.pose_detector import depth_to_space

WEIGHTS = 'open:blazepose'
LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(scope='module')
def network():
    return LandmarkNetwork(weights=WEIGHTS).eval()


@pytest.fixture(scope='module')
def detector():
    return PoseDetector(weights=WEIGHTS).eval()


def assert_near(found, key, tolerance):
    wanted = golden(key)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < tolerance


@pytest.mark.parametrize('layout', LAYOUTS)
@torch.no_grad()
def test_the_detector_is_that_of_the_interpreter(detector, layout):
    detector = copy.deepcopy(detector).to(memory_format=layout)
    found = detector(golden_images('detector').contiguous(memory_format=layout))
    assert_near(found.values[:, ::7], 'detector/values', 2e-3)  # px, of up to 800
    assert_near(found.logits[..., None], 'detector/logits', 1e-3)  # of up to 500
    assert golden('detector/logits').amax((1, 2)).min() > 0  # there is somebody to be found


@pytest.fixture(scope='module')
@torch.no_grad()
def exact_landmarks(network):
    """In float64: differences from the interpreter are its own rounding, on every processor."""
    images = golden_images('landmarks').double()
    return copy.deepcopy(network).double()(images, heatmap=True, mask=True)


def test_the_landmarks_are_those_of_the_interpreter(exact_landmarks):
    found = exact_landmarks
    assert_near(found.landmarks.flatten(1), 'landmarks/landmarks', 1.5e-3)  # px, of up to 300
    assert_near(found.world.flatten(1), 'landmarks/world', 6e-5)  # metres
    assert_near(found.flag.sigmoid()[:, None], 'landmarks/flag', 5e-6)
    assert_near(found.heatmap.permute(0, 2, 3, 1)[:, ::4, ::4], 'landmarks/heatmap', 1e-3)
    assert_near(found.mask[:, ::4, ::4, None], 'landmarks/mask', 0.42)  # logits of up to 1700
    assert golden('landmarks/flag').min() > 0.5


@pytest.mark.parametrize('layout', LAYOUTS)
@torch.no_grad()
def test_the_landmarks_in_float32(network, exact_landmarks, layout):
    network = copy.deepcopy(network).to(memory_format=layout)
    images = golden_images('landmarks').contiguous(memory_format=layout)
    found = network(images, heatmap=True, mask=True)
    tolerances = dict(landmarks=1.5e-3, world=4e-5, heatmap=1e-3, mask=0.4)
    for name, tolerance in tolerances.items():
        difference = getattr(found, name).double() - getattr(exact_landmarks, name)
        assert difference.abs().max() < tolerance, name
    assert (found.flag.double().sigmoid() - exact_landmarks.flag.sigmoid()).abs().max() < 5e-6


@torch.no_grad()
def test_images_of_a_batch_are_independent(network, detector):
    images = golden_images('landmarks')
    together = network(images, heatmap=True, mask=True)
    apart = network(images[1:], heatmap=True, mask=True)
    for both, one in zip(together, apart):
        torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-3)
    images = golden_images('detector')
    torch.testing.assert_close(
        detector(images).values[1:], detector(images[1:]).values, rtol=0, atol=2e-3
    )


@pytest.mark.parametrize('cut, shape', [('heads', (288, 2, 2)), ('tower', (864, 8, 8))])
@torch.no_grad()
def test_the_cut(network, cut, shape):
    images = golden_images('landmarks')
    cut_network = LandmarkNetwork(cut, WEIGHTS).eval()
    maps = cut_network.trunk(images)
    assert maps.shape == (2, *shape)
    whole = network(images)
    for found, wanted in zip(cut_network.from_trunk(maps)[:4], whole[:4]):
        torch.testing.assert_close(found, wanted)
    behind = {name for name, _ in cut_network.named_parameters() if cut_network.behind_trunk(name)}
    used = parameters_used(cut_network, lambda: cut_network.from_trunk(maps))
    assert behind == used
    assert not behind & parameters_used(cut_network, lambda: cut_network.trunk(images))


def parameters_used(network, call):
    """Names of the parameters of the layers that run in a call."""
    used = set()
    hooks = []
    for name, module in network.named_modules():
        names = [f'{name}.{key}' for key, _ in module.named_parameters(recurse=False)]
        hooks.append(module.register_forward_hook(lambda *_, names=names: used.update(names)))
    call()
    for hook in hooks:
        hook.remove()
    return used


@torch.no_grad()
def test_branches_run_only_when_they_are_asked_for(network):
    images = golden_images('landmarks')[:1]
    plain = parameters_used(network, lambda: network(images))
    heatmap = parameters_used(network, lambda: network(images, heatmap=True))
    mask = parameters_used(network, lambda: network(images, mask=True))
    everything = {name for name, _ in network.named_parameters()}
    assert not any(name.startswith(('pyramid.', 'mask.', 'heatmap.')) for name in plain)
    assert not any(name.startswith('mask.') for name in heatmap)
    assert not any(name.startswith('heatmap.') for name in mask)
    assert plain | heatmap | mask == everything
    assert network(images).mask is None and network(images, mask=True).heatmap is None


def test_every_parameter_has_a_gradient(network, detector):
    network = copy.deepcopy(network)
    output = network(golden_images('landmarks'), heatmap=True, mask=True)
    sum(value.square().mean() for value in output).backward()
    assert all(value.grad.abs().max() > 0 for value in network.parameters())
    detector = copy.deepcopy(detector)
    sum(value.square().mean() for value in detector(golden_images('detector'))).backward()
    assert all(value.grad.abs().max() > 0 for value in detector.parameters())


def test_derivatives_behind_the_cut_are_right_twice():
    """Finite differences in float64 of a small piece with every kind of block of the tower."""
    torch.manual_seed(0)
    block = torch.nn.Sequential(
        Convolution(3, 4), SeparableResidual(4, halve=True), SeparableResidual(4)
    ).double()
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, maps)
    assert torch.autograd.gradgradcheck(block, maps)


def test_depth_to_space_has_the_order_of_tflite():
    maps = torch.arange(2 * 8 * 3 * 5.0).view(2, 8, 3, 5)
    fine = depth_to_space(maps)
    assert fine.shape == (2, 2, 6, 10)
    for row in range(6):
        for column in range(10):
            for channel in range(2):
                source = (2 * (row % 2) + column % 2) * 2 + channel
                wanted = maps[:, source, row // 2, column // 2]
                assert torch.equal(fine[:, channel, row, column], wanted)


def test_halving_pads_below_and_to_the_right():
    """Written out: TFLite's 'same' padding of stride 2 for even sizes."""
    torch.manual_seed(0)
    block = SeparableResidual(2, halve=True)
    maps = torch.rand(1, 2, 4, 4)
    kernel = block.separable.depthwise
    row, column = 1, 1  # the last ones: rows 2, 3 and the padding
    wanted = kernel.bias.clone()
    for i in (0, 1):
        for j in (0, 1):
            wanted = wanted + kernel.weight[:, 0, i, j] * maps[0, :, 2 * row + i, 2 * column + j]
    with torch.no_grad():
        padded = torch.nn.functional.pad(maps, (0, 1, 0, 1))
        found = kernel(padded)[0, :, row, column]
    torch.testing.assert_close(found, wanted.clamp(0, 6))


def test_refuses():
    with pytest.raises(InputError, match="no cut 'towr'. Did you mean 'tower'"):
        LandmarkNetwork('towr')
    with pytest.raises(InputError, match='not a checkpoint of PoseDetector'):
        PoseDetector('open:r18_studio')
