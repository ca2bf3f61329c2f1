"""HMR2 against a table of the official checkpoint's keys, and against its forward pass written out in numpy.

The table and the formulas are facts of 4D-Humans' source and of its checkpoint's layout. The official file was not
run: whoever has it can do so with ``build_model('hmr2', weights=FILE)``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax

from hrtk.apis import build_model
from hrtk.datasets.open_stream import OpenViews
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.models.backbones import ViT
from hrtk.models.checkpoints import load_official, load_weights
from hrtk.models.estimators import HMR2
from hrtk.models.heads import TransformerDecoderHead

BLOCKS = 2
LAYERS = 2
TINY = dict(
    backbone=dict(type='ViT', image_size=(64, 48), width=64, depth=BLOCKS, heads=4),
    head=dict(
        type='TransformerDecoderHead', width=40, depth=LAYERS, heads=3, head_width=8, hidden=24
    ),
    resolution=64,
    body=None,
)
VIT = dict(width=1280, depth=32, mlp=5120, positions=193)
DECODER = dict(token=1024, layers=6, inner=512, hidden=1024)


def official_layout(width, depth, mlp, positions, token, layers, inner, hidden):
    """Keys and shapes of the official ``state_dict`` without body model and critic."""
    shapes = {
        'backbone.pos_embed': (1, positions, width),
        'backbone.patch_embed.proj.weight': (width, 3, 16, 16),
        'backbone.patch_embed.proj.bias': (width,),
        'backbone.last_norm.weight': (width,),
        'backbone.last_norm.bias': (width,),
    }
    block = {
        'norm1': (width, None),
        'attn.qkv': (3 * width, width),
        'attn.proj': (width, width),
        'norm2': (width, None),
        'mlp.fc1': (mlp, width),
        'mlp.fc2': (width, mlp),
    }
    for i in range(depth):
        add_layers(shapes, f'backbone.blocks.{i}', block)
    head = 'smpl_head.transformer'
    add_layers(shapes, head, {'to_token_embedding': (token, 1)})
    shapes[f'{head}.pos_embedding'] = (1, 1, token)
    for i in range(layers):
        layer = f'{head}.transformer.layers.{i}'
        for step in range(3):
            add_layers(shapes, f'{layer}.{step}', {'norm': (token, None)})
        shapes[f'{layer}.0.fn.to_qkv.weight'] = (3 * inner, token)
        shapes[f'{layer}.1.fn.to_kv.weight'] = (2 * inner, width)
        shapes[f'{layer}.1.fn.to_q.weight'] = (inner, token)
        for step in range(2):
            add_layers(shapes, f'{layer}.{step}', {'fn.to_out.0': (token, inner)})
        add_layers(shapes, f'{layer}.2', {'fn.net.0': (hidden, token), 'fn.net.3': (token, hidden)})
    sizes = {'decpose': 144, 'decshape': 10, 'deccam': 3}
    add_layers(shapes, 'smpl_head', {name: (size, token) for name, size in sizes.items()})
    for name, size in {'init_body_pose': 144, 'init_betas': 10, 'init_cam': 3}.items():
        shapes[f'smpl_head.{name}'] = (1, size)
    return shapes


def add_layers(shapes, prefix, layers):
    for name, (outputs, inputs) in layers.items():
        weight = (outputs,) if inputs is None else (outputs, inputs)
        shapes[f'{prefix}.{name}.weight'] = weight
        shapes[f'{prefix}.{name}.bias'] = (outputs,)


@pytest.fixture(scope='module')
def official():
    """Random float64 weights of the tiny network under the official keys."""
    rng = np.random.default_rng(0)
    shapes = official_layout(64, BLOCKS, 256, 13, 40, LAYERS, 24, 24)
    return {key: rng.normal(0, 0.3, shape) for key, shape in shapes.items()}


def tensors(arrays, dtype=torch.float32):
    return {key: torch.as_tensor(value, dtype=dtype) for key, value in arrays.items()}


@pytest.fixture(scope='module')
def network(official):
    network = HMR2(**TINY).eval()
    report = load_official(network, tensors(official))
    assert report.missing_keys == report.unexpected_keys == report.dropped == ()
    assert len(report.loaded) == len(official)
    return network


class Reference:
    """HMR2.0's forward pass in float64, written out."""

    def __init__(self, weights):
        self.weights = weights

    def linear(self, x, name):
        y = x @ self.weights[f'{name}.weight'].T
        return y + self.weights.get(f'{name}.bias', 0)

    def norm(self, x, name, eps):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return scaled * self.weights[f'{name}.weight'] + self.weights[f'{name}.bias']

    def attention(self, query, key, value, heads):
        """(T, H d), (N, H d), (N, H d) -> (T, H d)."""
        size = query.shape[1] // heads
        parts = []
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            scores = query[:, own] @ key[:, own].T / np.sqrt(size)
            parts.append(softmax(scores, axis=1) @ value[:, own])
        return np.concatenate(parts, 1)

    def backbone(self, image):
        """(3, H, W) -> (N, C)."""
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
        patches = []
        for top in range(0, padded.shape[1] - 15, 16):
            for left in range(0, padded.shape[2] - 15, 16):
                patches.append(padded[:, top : top + 16, left : left + 16].ravel())
        kernel = self.weights['backbone.patch_embed.proj.weight']
        x = np.stack(patches) @ kernel.reshape(len(kernel), -1).T
        x = x + self.weights['backbone.patch_embed.proj.bias']
        positions = self.weights['backbone.pos_embed'][0]
        x = x + positions[1:] + positions[:1]
        for i in range(BLOCKS):
            name = f'backbone.blocks.{i}'
            qkv = self.linear(self.norm(x, f'{name}.norm1', 1e-6), f'{name}.attn.qkv')
            context = self.attention(*np.split(qkv, 3, 1), heads=4)
            x = x + self.linear(context, f'{name}.attn.proj')
            hidden = self.linear(self.norm(x, f'{name}.norm2', 1e-6), f'{name}.mlp.fc1')
            x = x + self.linear(gelu(hidden), f'{name}.mlp.fc2')
        return self.norm(x, 'backbone.last_norm', 1e-6)

    def head(self, patches):
        """(N, C) -> pose (144,), betas (10,), camera (3,), token (D,)."""
        name = 'smpl_head.transformer'
        x = self.linear(np.zeros((1, 1)), f'{name}.to_token_embedding')
        x = x + self.weights[f'{name}.pos_embedding'][0]
        for i in range(LAYERS):
            layer = f'{name}.transformer.layers.{i}'
            qkv = self.linear(self.norm(x, f'{layer}.0.norm', 1e-5), f'{layer}.0.fn.to_qkv')
            context = self.attention(*np.split(qkv, 3, 1), heads=3)
            x = x + self.linear(context, f'{layer}.0.fn.to_out.0')
            query = self.linear(self.norm(x, f'{layer}.1.norm', 1e-5), f'{layer}.1.fn.to_q')
            key, value = np.split(self.linear(patches, f'{layer}.1.fn.to_kv'), 2, 1)
            context = self.attention(query, key, value, heads=3)
            x = x + self.linear(context, f'{layer}.1.fn.to_out.0')
            hidden = self.linear(self.norm(x, f'{layer}.2.norm', 1e-5), f'{layer}.2.fn.net.0')
            x = x + self.linear(gelu(hidden), f'{layer}.2.fn.net.3')
        starts = {'decpose': 'init_body_pose', 'decshape': 'init_betas', 'deccam': 'init_cam'}
        outputs = []
        for decoder, start in starts.items():
            value = self.linear(x, f'smpl_head.{decoder}') + self.weights[f'smpl_head.{start}']
            outputs.append(value[0])
        return (*outputs, x[0])


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def rotation(six):
    """Two consecutive triples -> rotation whose first two columns they span."""
    x = six[:3] / np.linalg.norm(six[:3])
    y = six[3:] - (x @ six[3:]) * x
    y = y / np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], 1)


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(1).normal(size=(2, 3, 64, 64))


@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 2e-5), (torch.float64, 1e-11)])
def test_numbers_of_the_forward_pass(official, network, images, dtype, tolerance):
    copy = HMR2(**TINY).eval().to(dtype)
    load_official(copy, tensors(official, dtype))
    with torch.no_grad():
        prediction = copy(torch.as_tensor(images, dtype=dtype))
    reference = Reference(official)
    for i, image in enumerate(images):
        patches = reference.backbone(image[:, :, 8:-8])
        pose, betas, camera, token = reference.head(patches)
        rotmat = np.stack([rotation(six) for six in pose.reshape(24, 6)])
        np.testing.assert_allclose(prediction.rotmat[i], rotmat, atol=tolerance)
        np.testing.assert_allclose(prediction.betas[i], betas, atol=10 * tolerance)
        np.testing.assert_allclose(prediction.camera[i], camera, atol=10 * tolerance)
        np.testing.assert_allclose(prediction.features[i], patches.mean(0), atol=tolerance)
        np.testing.assert_allclose(prediction.hidden[i], token, atol=10 * tolerance)


def test_keys_and_shapes_of_the_official_network():
    with torch.device('meta'):
        network = build_model('hmr2', body=None)
    table = official_layout(**VIT, **DECODER)
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert {HMR2.official_key(key): shape for key, shape in table.items()} == own
    assert len(table) == 503
    backbone = sum(parameter.numel() for parameter in network.backbone.parameters())
    head = sum(parameter.numel() for parameter in network.head.parameters())
    assert (backbone, head) == (630_912_000, 39_547_037)  # 630.9 M and 39.5 M
    assert network.backbone.patches == (16, 12) and network.margin == 32
    assert {step.norm.eps for step in network.head.transformer.transformer.layers[0]} == {1e-5}


def test_a_lightning_checkpoint(official, network, tmp_path):
    """Body model and critic beside the network are dropped, whatever their values are."""
    broken = torch.full((3,), torch.nan)
    state = {
        **tensors(official),
        'smpl.betas': broken,
        'smpl.faces_tensor': torch.zeros(4, 3, dtype=torch.int64),
        'discriminator.D_conv1.weight': broken,
        'discriminator.betas_fc1.weight': broken,
    }
    path = tmp_path / 'epoch=35-step=1000000.ckpt'
    torch.save({'epoch': 35, 'state_dict': state, 'optimizer_states': [{'lr': 1e-5}]}, path)
    loaded = HMR2(**TINY, weights=str(path)).eval()
    report = load_weights(HMR2(**TINY), path)
    assert set(report.dropped) == set(state) - set(official)
    for key, value in network.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])
    del state['smpl_head.decpose.bias']
    torch.save({'state_dict': state}, path)
    with pytest.raises(InputError, match=r'1 missing \(head\.decpose\.bias\)'):
        HMR2(**TINY, weights=str(path))


def test_the_cut(network, images):
    crops = torch.as_tensor(images, dtype=torch.float32)
    with torch.no_grad():
        whole = network(crops)
        parts = network.from_trunk(network.trunk(crops))
    assert torch.equal(whole.rotmat, parts.rotmat)
    names = [name for name, _ in network.named_parameters() if not network.behind_trunk(name)]
    assert {name.split('.')[1] for name in names} == {'pos_embed', 'patch_embed', 'blocks'}
    assert {name.split('.')[2] for name in names if '.blocks.' in name} == {'0'}
    # The trunk's output depends on these parameters and on no others.
    network.requires_grad_(True)
    parameters = dict(network.named_parameters())
    used = torch.autograd.grad(
        network.trunk(crops).square().sum(), list(parameters.values()), allow_unused=True
    )
    assert [name for name, gradient in zip(parameters, used) if gradient is not None] == names


def test_left_and_right_margin_are_not_used(network, images):
    crops = torch.as_tensor(images, dtype=torch.float32)
    changed = crops.clone()
    changed[..., :8] = 5
    changed[..., -8:] = -5
    with torch.no_grad():
        assert torch.equal(network(crops).rotmat, network(changed).rotmat)
        changed[..., 8] = 5
        assert not torch.equal(network(crops).rotmat, network(changed).rotmat)


def test_an_untrained_network_predicts_the_rest_pose():
    head = TransformerDecoderHead(8, width=16, depth=1, heads=2, head_width=4, hidden=8)
    for layer in (head.decpose, head.decshape, head.deccam):
        torch.nn.init.zeros_(layer.weight)
    prediction = HMR2.decode(head(torch.zeros(1, 5, 8)))
    rest = torch.eye(3).repeat(24, 1, 1)
    rest[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    assert torch.equal(prediction.rotmat[0], rest)
    assert torch.equal(prediction.camera, torch.tensor([[0.9, 0.0, 0.0]]))


def test_another_body_than_that_of_the_weights(official, images):
    """Weights for SMPL drive the free body by poses only, and the estimator says so."""
    body = dict(type='BodyModel', file='open')
    crops = torch.as_tensor(images, dtype=torch.float32)
    network = HMR2(**{**TINY, 'body': body}).eval()
    own = HMR2(**{**TINY, 'body': body}, weights_body='open').eval()
    for each in (network, own):
        load_official(each, tensors(official))
    with torch.no_grad():
        assert network(crops).betas.abs().max() == 0 < own(crops).betas.abs().max()
        assert torch.equal(network(crops).rotmat, own(crops).rotmat)
    assert 'betas 0' in network.caveat and 'not measured' in network.caveat
    assert own.caveat is None and HMR2(**TINY).caveat is None


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(width=66), 'width is a multiple of heads'),
        (dict(cut=3), 'cut is from 0 to 2'),
        (dict(image_size=(8, 8)), 'no patch of 16 px'),
        (dict(image_size=(64, 47)), 'same number left out on both sides; not 64 x 47'),
        (dict(image_size=(48, 48)), 'has 64 rows'),
    ],
)
def test_wrong_sizes(options, message):
    with pytest.raises(InputError, match=message):
        HMR2(**{**TINY, 'backbone': {**TINY['backbone'], **options}})


def test_the_body_of_the_weights():
    with pytest.raises(InputError, match="weights_body is one of .* not 'smplx'"):
        HMR2(**TINY, weights_body='smplx')


def test_the_small_one():
    small = build_model('hmr2_small')
    assert isinstance(small, HMR2) and isinstance(small.backbone, ViT)
    assert small.caveat is None
    assert sum(parameter.numel() for parameter in small.parameters()) == 4_346_141


def test_where_training_starts():
    """Position embeddings by a formula in numpy, and layers whose outputs are as large as their inputs."""
    torch.manual_seed(0)
    backbone = ViT(image_size=(48, 32), patch=16, padding=0, width=34, depth=1, heads=2)
    count = 8
    expected = np.zeros((6, 34))  # 34 - 4 x 8 channels remain
    for row in range(3):
        for column in range(2):
            for i in range(count):
                frequency = 10_000 ** (-i / count)
                values = [
                    np.sin(column * frequency),
                    np.cos(column * frequency),
                    np.sin(row * frequency),
                    np.cos(row * frequency),
                ]
                expected[2 * row + column, i:32:count] = values
    np.testing.assert_allclose(backbone.pos_embed[0, 1:].detach(), expected, atol=1e-6)
    assert not backbone.pos_embed[0, 0].any()
    small = build_model('hmr2_small').backbone.blocks[0]
    x = torch.randn(1000, 192)
    assert small.attn.proj(x).std().item() == pytest.approx(1, abs=0.05)
    assert small.mlp.fc1(x).std().item() == pytest.approx((2 * 192 / (192 + 768)) ** 0.5, abs=0.03)


def test_the_bundled_weights_are_better_than_the_best_fixed_pose():
    """On views of the studio that neither training nor validation used."""
    small = build_model('hmr2_small', weights='open:hmr2_small')
    views = OpenViews(domain='studio', length=12, seed=3)
    items = [views[index] for index in range(len(views))]
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    with torch.no_grad():
        prediction = small(normalise(batch['image'].float()))
        joints = small.body.joints(prediction.rotmat, prediction.betas, 'spin24')
        true_joints = small.body.joints(batch['rotmat'], batch['betas'], 'spin24')
    joints = joints - joints[:, 2:4].mean(1, keepdim=True)
    true_joints = true_joints - true_joints[:, 2:4].mean(1, keepdim=True)
    error = (joints - true_joints).norm(dim=-1).mean()
    # The mean of these very views, which no network could know.
    fixed = (true_joints.mean(0) - true_joints).norm(dim=-1).mean()
    assert error < 0.95 * fixed
