"""ResNets: published sizes and key names, and GroupNorm in BatchNorm's places."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hrtk.errors import InputError
from hrtk.models.backbones import ResNet
from hrtk.models.backbones.layout import GroupNorm, PointwiseConv
from hrtk.registry import BACKBONES

# torchvision's parameter counts less those of the classifier, (features + 1) * 1000.
PUBLISHED = {
    18: 11_689_512 - 513_000,
    34: 21_797_672 - 513_000,
    50: 25_557_032 - 2_049_000,
    101: 44_549_160 - 2_049_000,
}


@pytest.mark.parametrize('depth, features', [(18, 512), (34, 512), (50, 2048), (101, 2048)])
def test_published_sizes(depth, features):
    with torch.device('meta'):
        network = ResNet(depth)
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED[depth]
    assert network.out_channels == features


def test_keys_are_torchvisions():
    keys = set(ResNet(18, width=4).state_dict())
    assert {
        'conv1.weight',
        'bn1.running_var',
        'layer1.0.conv1.weight',
        'layer2.0.downsample.0.weight',
        'layer2.0.downsample.1.bias',
        'layer4.1.bn2.weight',
    } <= keys
    assert not any(key.startswith(('fc', 'layer1.0.downsample', 'layer1.0.conv3')) for key in keys)


@pytest.mark.parametrize('depth', [18, 50])
def test_group_norm_stands_where_batch_norm_stood(depth):
    with torch.device('meta'):
        bn, gn = ResNet(depth, norm='bn'), ResNet(depth, norm='gn')
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    plain = {
        key: value.shape for key, value in bn.state_dict().items() if not key.endswith(statistics)
    }
    assert {key: value.shape for key, value in gn.state_dict().items()} == plain
    norms = [module for module in gn.modules() if isinstance(module, nn.GroupNorm)]
    assert (
        len(norms)
        == sum(isinstance(m, nn.BatchNorm2d) for m in bn.modules())
        == {18: 20, 50: 53}[depth]
    )
    assert all(module.num_groups == 4 for module in norms)


def test_bottlenecks_stride_in_their_middle():
    with torch.device('meta'):
        block = ResNet(50).layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_a_block_equals_its_formula():
    torch.manual_seed(0)
    network = ResNet(50, width=4, norm='gn', groups=2).double()
    block, x = network.layer2[0], torch.randn(2, 16, 9, 9, dtype=torch.float64)

    def norm(values, layer):
        grouped = values.reshape(len(values), 2, -1)
        centred = grouped - grouped.mean(2, keepdim=True)
        scaled = centred / (grouped.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
        return (
            scaled.reshape(values.shape) * layer.weight[:, None, None] + layer.bias[:, None, None]
        )

    conv = nn.functional.conv2d
    out = norm(conv(x, block.conv1.weight), block.bn1).relu()
    out = norm(conv(out, block.conv2.weight, stride=2, padding=1), block.bn2).relu()
    out = norm(conv(out, block.conv3.weight), block.bn3)
    shortcut = norm(conv(x, block.downsample[0].weight, stride=2), block.downsample[1])
    torch.testing.assert_close(block(x), (out + shortcut).relu())


@pytest.mark.parametrize('size', [32, 57, 112])
def test_any_image_size(size):
    assert ResNet(18, width=4)(torch.zeros(2, 3, size, size)).shape == (2, 32)


@pytest.mark.parametrize('options', [dict(depth=19), dict(norm='ln')])
def test_unknown_options(options):
    with pytest.raises(InputError, match='ResNet'):
        BACKBONES.build(dict(type='ResNet', **options))


def test_norm_weights_behind_a_frozen_convolution():
    """Their gradients, written out: the maps have channels last and need no gradient, which ended the process."""
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 5, 5)
    upstream = torch.randn(2, 8, 5, 5)
    norm = GroupNorm(2, 8)
    output = norm(maps.contiguous(memory_format=torch.channels_last))
    weight, bias = torch.autograd.grad((upstream * output).sum(), [norm.weight, norm.bias])
    groups = maps.double().numpy().reshape(2, 2, -1)
    spread = np.sqrt(groups.var(-1, keepdims=True) + norm.eps)
    normed = ((groups - groups.mean(-1, keepdims=True)) / spread).reshape(2, 8, 5, 5)
    expected = (upstream.double().numpy() * normed).sum((0, 2, 3))
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(bias.numpy(), upstream.sum((0, 2, 3)).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('outputs', [8, 64])
@pytest.mark.parametrize('inputs', [1, 3, 4, 8, 12, 16, 24])
def test_kernels_of_strided_pointwise_convolutions(inputs, outputs):
    """Gradients, written out. Those of narrow maps with channels last were wrong, and overwrote other memory."""
    torch.manual_seed(0)
    maps = torch.randn(3, inputs, 57, 56)
    convolution = PointwiseConv(inputs, outputs, 2).to(memory_format=torch.channels_last)
    seen = maps.clone(memory_format=torch.channels_last).requires_grad_()
    output = convolution(seen)
    upstream = torch.randn_like(output)
    of_kernel, of_maps = torch.autograd.grad(output, [convolution.weight, seen], upstream)
    thinned = maps.double().numpy()[:, :, ::2, ::2]
    weight = convolution.weight.detach().double().numpy()[:, :, 0, 0]
    above = upstream.double().numpy()
    expected = np.einsum('oi,bihw->bohw', weight, thinned)
    np.testing.assert_allclose(output.detach().numpy(), expected, atol=1e-5)
    expected = np.einsum('bohw,bihw->oi', above, thinned)
    np.testing.assert_allclose(of_kernel.numpy()[:, :, 0, 0], expected, atol=1e-3)
    expected = np.zeros(maps.shape)
    expected[:, :, ::2, ::2] = np.einsum('oi,bohw->bihw', weight, above)
    np.testing.assert_allclose(of_maps.numpy(), expected, atol=1e-5)
