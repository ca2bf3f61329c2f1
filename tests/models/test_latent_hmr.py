"""LatentHMR: the prior's decoder makes its poses and stays as it is; files; and backbones from ImageNet's files."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.models.backbones import ResNet, RSCResNet
from hrtk.models.checkpoints import load_backbone
from hrtk.models.estimators import HMR, LatentHMR
from hrtk.models.heads import LatentRegressor
from hrtk.registry import BACKBONES, ESTIMATORS

PRIOR = dict(type='PoseAutoEncoder', latent=6, hidden=8)


def network(seed: int = 0, **options) -> LatentHMR:
    torch.manual_seed(seed)
    config = dict(
        type='LatentHMR',
        backbone=dict(type='ResNet', depth=18, width=4),
        head=dict(hidden=16),
        prior=PRIOR,
        resolution=32,
        body=None,
    )
    model = ESTIMATORS.build({**config, **options}).eval()
    if 'weights' not in options:
        for value in model.prior.state_dict().values():
            nn.init.normal_(value, std=0.3)
        nn.init.normal_(model.head.last.weight, std=0.3)
    return model


@pytest.fixture
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_predictions_are_those_of_the_layers_written_out(images):
    model = network()
    predicted = model(images)
    head = model.head
    hidden = F.relu(head.first(model.backbone(images)))
    hidden = F.relu(head.layers[2](hidden))
    values = head.last(hidden)
    latent = values[:, :6].tanh()
    torch.testing.assert_close(predicted.latent, latent)
    assert latent.abs().max() < 1 and latent.std() > 0.01
    columns = (values[:, 6:12] + torch.tensor([1.0, 0, 0, -1, 0, 0])).view(-1, 3, 2)
    first = F.normalize(columns[:, :, 0], dim=1)
    second = columns[:, :, 1] - (first * columns[:, :, 1]).sum(1, keepdim=True) * first
    second = F.normalize(second, dim=1)
    root = torch.stack([first, second, torch.linalg.cross(first, second)], 2)
    torch.testing.assert_close(predicted.rotmat[:, 0], root)
    torch.testing.assert_close(predicted.rotmat[:, 1:], model.prior.decode(latent))
    torch.testing.assert_close(predicted.betas, values[:, 12:22])
    torch.testing.assert_close(predicted.camera, values[:, 22:] + torch.tensor([0.9, 0, 0]))


def test_sizes_of_the_paper_and_an_upright_start():
    with torch.device('meta'):
        sizes = {
            name: tuple(value.shape) for name, value in LatentRegressor(2048).named_parameters()
        }
    assert sizes['first.weight'] == (1024, 2048) and sizes['last.weight'] == (32 + 6 + 10 + 3, 1024)
    head = LatentRegressor(8, hidden=4)
    nn.init.zeros_(head.last.weight)
    output = head(torch.randn(2, 8))
    assert (output.latent == 0).all() and (output.betas == 0).all()
    with pytest.raises(InputError, match='layers'):
        LatentRegressor(8, layers=0)


def test_no_optimiser_finds_the_prior(images):
    model = network().train()
    assert not model.prior.training
    before = {name: value.clone() for name, value in model.prior.state_dict().items()}
    names = [name for name, _ in model.named_parameters()]
    assert names and not any(name.startswith('prior.') for name in names)
    assert any(name.startswith('prior.') for name in model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    start = model.head.last.weight.detach().clone()
    model(images).rotmat[:, 1:].square().sum((1, 2, 3)).sub(1).square().sum().backward()
    optimizer.step()
    assert (model.head.last.weight - start).abs().max() > 0.01
    for name, value in model.prior.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_file_holds_the_prior_too(tmp_path, images):
    model = network()
    torch.save(model.state_dict(), tmp_path / 'latent.pth')
    missing = str(tmp_path / 'no_imagenet.pth')  # a trained network reads no start weights
    other = network(5, weights=str(tmp_path / 'latent.pth'), backbone_weights=missing)
    with torch.no_grad():
        assert torch.equal(other(images).rotmat, model(images).rotmat)
    with pytest.raises(InputError, match='no_imagenet.pth'):
        network(backbone_weights=missing)
    with pytest.raises(InputError, match='PoseAutoEncoder, not a Linear'):
        network(prior=nn.Linear(2, 2))


def classifier(width: int = 4, prefix: str = '') -> dict[str, torch.Tensor]:
    """The bare state dict of torchvision's layout, with a classifier."""
    torch.manual_seed(3)
    content = ResNet(18, width).state_dict()
    content['fc.weight'] = torch.zeros(1000, 8 * width)
    content['fc.bias'] = torch.zeros(1000)
    return {prefix + key: value for key, value in content.items()}


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('kind', [HMR, LatentHMR])
def test_backbones_start_from_a_classifier(tmp_path, kind, wrapped):
    content = classifier(prefix='module.' if wrapped else '')
    path = tmp_path / 'resnet18-tiny.pth'
    torch.save({'state_dict': content} if wrapped else content, path)
    model = kind(
        backbone=dict(type='ResNet', depth=18, width=4), body=None, backbone_weights=str(path)
    )
    for key, value in classifier().items():
        if not key.startswith('fc.'):
            assert torch.equal(model.backbone.state_dict()[key], value)
    report = load_backbone(model.backbone, path)
    assert {key.removeprefix('module.') for key in report.dropped} == {'fc.weight', 'fc.bias'}


def test_the_dropped_classifier_is_said(tmp_path, caplog):
    torch.save(classifier(), tmp_path / 'resnet18.pth')
    load_backbone(ResNet(18, 4), tmp_path / 'resnet18.pth')
    assert 'dropped fc.weight, fc.bias' in caplog.text and 'resnet18.pth' in caplog.text


def test_other_backbones_and_other_files(tmp_path):
    torch.save(classifier(), tmp_path / 'resnet18.pth')
    gains = RSCResNet(18, 4)
    load_backbone(gains, tmp_path / 'resnet18.pth')
    with torch.no_grad():
        image = torch.randn(1, 3, 32, 32)
        plain = ResNet(18, 4)
        load_backbone(plain, tmp_path / 'resnet18.pth')
        assert torch.equal(gains.eval()(image), plain.eval()(image))
    for other in (ResNet(18, 8), ResNet(34, 4), ResNet(18, 4, norm='gn')):
        with pytest.raises(InputError, match='resnet18.pth'):
            load_backbone(other, tmp_path / 'resnet18.pth')
    partial = classifier()
    del partial['layer4.1.conv2.weight']
    torch.save(partial, tmp_path / 'partial.pth')
    with pytest.raises(InputError, match='1 missing'):
        load_backbone(ResNet(18, 4), tmp_path / 'partial.pth')


def test_a_plugins_backbone_starts_from_a_file(tmp_path):
    class Plugin(nn.Module):
        out_channels = 5

        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(3, 5)

        def forward(self, images):
            return self.stem(images.mean((2, 3)))

    BACKBONES.register_module(name='PluginOfThisTest', module=Plugin, force=True)
    source = Plugin()
    torch.save({**source.state_dict(), 'classifier.weight': torch.zeros(2, 5)}, tmp_path / 'p.pth')
    model = network(
        backbone=dict(type='PluginOfThisTest'), backbone_weights=str(tmp_path / 'p.pth')
    )
    assert torch.equal(model.backbone.stem.weight, source.stem.weight)
