"""MPM against numbers of the released classes, and against plain readings of what it computes."""

from __future__ import annotations

import pytest
import torch
from mpm_golden import SIZES, official_weights
from mpm_parts import SMALL, count

from hrtk.apis import build_model, list_models
from hrtk.errors import InputError
from hrtk.losses import pretext_losses
from hrtk.models.checkpoints import load_official, load_weights
from hrtk.models.lifting import Masks, MaskSampler, MPMRefine, MPMStage1, MPMStage2
from hrtk.models.lifting.transformer import Block, SelfAttention, UnbiasedNorm


@pytest.mark.parametrize(
    'joints, encoders, decoders, stage2, totals',
    [
        (17, (18_944, 27_648), (536_866, 541_235), 4_146_995, (4_017_498, 7_009_382, 5_071_706)),
        (16, (17_920, 26_112), (536_352, 540_464), 4_146_224, (4_013_653, 7_006_816, 5_067_861)),
    ],
)
def test_parameters_of_every_part_for_243_frames(joints, encoders, decoders, stage2, totals):
    first, second = (
        build_model('mpm_stage1', joints=joints),
        build_model('mpm_stage2', joints=joints),
    )
    assert (count(first.encoder2d), count(first.encoder3d)) == encoders
    assert (
        tuple(
            count(getattr(first, f'decoder{kind}')) + count(getattr(first, f'fcn_dec{kind}'))
            for kind in ('2d', '3d')
        )
        == decoders
    )
    assert count(first.shared_layers_spatial) == 658_688
    assert count(first.dec_pos_embedding) == 62_208 and count(first.encoder_LN) == 512
    for network in (first, second):
        assert (
            count(network.shared_layers_spatial) + count(network.shared_layers_temporal)
            == 2_829_824
        )
    assert count(second.reduce) + count(second.fcn) == stage2
    completion = build_model('mpm_stage1', joints=joints, decoder_layers=2)
    assert (count(first), count(second), count(completion)) == totals


@pytest.mark.parametrize('layers, shared', [(3, 2_302_720), (4, 2_829_824), (5, 3_356_928)])
def test_parameters_of_the_shared_layers(layers, shared):
    network = build_model('mpm_stage1', layers=layers)
    assert count(network.shared_layers_spatial) + count(network.shared_layers_temporal) == shared


def test_names():
    assert {'mpm_stage1', 'mpm_stage2'} <= set(list_models('mpm*'))
    network = build_model('mpm_stage2', **SMALL)
    assert isinstance(network, MPMStage2) and not network.training
    with pytest.raises(InputError, match='lifter MPMStage1: has no argument frame.*frames'):
        build_model('mpm_stage1', frame=27)


def test_files_of_data_parallel_and_every_unmatched_key_by_name(tmp_path):
    weights = {
        f'module.{key}': value for key, value in official_weights('stage1/f27_j17_l3', 0.02).items()
    }
    torch.save(weights, tmp_path / 'stage1.pth')
    size = SIZES['f27_j17_l3']
    network = build_model('mpm_stage1', **size, weights=str(tmp_path / 'stage1.pth'))
    assert torch.equal(
        network.decoder3d.layers[0].norms[1].a_2,
        weights['module.decoder3d.model.layers.0.sublayer.1.norm.a_2'],
    )
    torch.save(
        {key.removeprefix('module.'): value for key, value in weights.items()},
        tmp_path / 'plain.pth',
    )
    assert len(load_weights(network, tmp_path / 'plain.pth').loaded) == len(weights)

    gone = {key: value for key, value in weights.items() if key != 'module.encoder_LN.a_2'}
    report = load_official(network, {**gone, 'module.encoder4d.fc_1.bias': torch.zeros(512)})
    assert report.missing_keys == ('encoder_LN.a_2',)
    assert report.unexpected_keys == ('module.encoder4d.fc_1.bias',)
    torch.save({**gone, 'module.encoder4d.fc_1.bias': torch.zeros(512)}, tmp_path / 'other.pth')
    with pytest.raises(
        InputError, match=r'missing \(encoder_LN.a_2\). 1 unexpected \(module.encoder4d.fc_1.bias\)'
    ):
        build_model('mpm_stage1', **size, weights=str(tmp_path / 'other.pth'))
    with pytest.raises(InputError, match='not a checkpoint of MPMStage1 as configured'):
        build_model('mpm_stage1', **{**size, 'frames': 81}, weights=str(tmp_path / 'stage1.pth'))


def test_stage2_starts_from_stage1(tmp_path):
    weights = official_weights('stage1/f27_j17_l3', 0.02)
    torch.save({f'module.{key}': value for key, value in weights.items()}, tmp_path / 'stage1.pth')
    torch.manual_seed(0)
    fresh = MPMStage2(**SIZES['f27_j17_l3'])
    start = {key: value.clone() for key, value in fresh.state_dict().items()}
    report = fresh.start_from(str(tmp_path / 'stage1.pth'))
    copied = {'encoder2d', 'shared_layers_spatial', 'shared_layers_temporal'}
    assert {key.split('.')[1] for key in report.loaded} == copied
    assert {key.split('.')[0] for key in report.missing_keys} == {'reduce', 'fcn', 'fcn_1'}
    assert {key.split('.')[1] for key in report.unexpected_keys} == {
        key.split('.')[0] for key in weights
    } - copied
    for key, value in fresh.state_dict().items():
        moved = key.split('.')[0] in copied and not key.endswith('num_batches_tracked')
        assert torch.equal(value, start[key]) != moved, key
    torch.manual_seed(0)
    built = MPMStage2(**SIZES['f27_j17_l3'], pretrained=str(tmp_path / 'stage1.pth'))
    assert all(
        torch.equal(value, built.state_dict()[key]) for key, value in fresh.state_dict().items()
    )


def test_own_checkpoints_load_again(tmp_path):
    for name in ('mpm_stage1', 'mpm_stage2'):
        network = build_model(name, **SMALL)
        torch.save({'state_dict': network.state_dict()}, tmp_path / 'own.pt')
        other = build_model(name, **SMALL, weights=str(tmp_path / 'own.pt'))
        assert all(
            torch.equal(value, other.state_dict()[key])
            for key, value in network.state_dict().items()
        )


def test_norm_and_attention_by_the_book():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True)
    norm = UnbiasedNorm(8).double()
    torch.nn.init.normal_(norm.a_2), torch.nn.init.normal_(norm.b_2)
    expected = (
        norm.a_2 * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + norm.b_2
    )
    torch.testing.assert_close(norm(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(norm, x)
    flat = torch.ones(1, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(norm(flat).sum(), flat)
    assert torch.equal(norm(flat)[0], norm.b_2) and gradient.isfinite().all()

    attention = SelfAttention(8, 2, 0.1).double().eval()
    q, k, v = (linear(x) for linear in attention.linears[:3])
    heads = [
        (q[..., s] @ k[..., s].mT / 2).softmax(-1) @ v[..., s] for s in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(
        attention(x), attention.linears[3](torch.cat(heads, -1)), rtol=1e-12, atol=1e-12
    )
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        reference.in_proj_weight.copy_(
            torch.cat([linear.weight for linear in attention.linears[:3]])
        )
        reference.in_proj_bias.copy_(torch.cat([linear.bias for linear in attention.linears[:3]]))
    reference.out_proj = attention.linears[3]
    torch.testing.assert_close(attention(x), reference(x, x, x)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('stride', [1, 2, 3])
def test_a_strided_block_keeps_every_so_many_frames(stride):
    torch.manual_seed(0)
    block, x = Block(8, 12, 2, 0.1, stride).eval(), torch.randn(2, 9, 8)
    (
        torch.nn.init.zeros_(block.feed_forward.w_2.weight),
        torch.nn.init.zeros_(block.feed_forward.w_2.bias),
    )
    attended = x + block.self_attn(block.norms[0](x))
    pooled = torch.nn.functional.max_pool1d(attended.mT, 1, stride).mT
    torch.testing.assert_close(block(x), pooled, rtol=0, atol=0)


def test_strides():
    for frames, strides in (
        (9, (1, 3, 3)),
        (27, (3,) * 3),
        (81, (3,) * 4),
        (243, (3,) * 5),
        (351, (3, 9, 13)),
    ):
        network = MPMStage2(**{**SMALL, 'frames': frames}).eval()
        assert tuple(block.stride for block in network.reduce.layers) == strides
        with torch.no_grad():
            found = network(torch.rand(2, frames, 4, 2))
        assert found['joints3d'].shape == (2, 1, 4, 3) and found['joints3d_seq'].shape == (
            2,
            frames,
            4,
            3,
        )
    assert (
        MPMStage2(**{**SMALL, 'frames': 8}, strides=(2, 2, 2))(torch.rand(2, 8, 4, 2))[
            'joints3d'
        ].shape[1]
        == 1
    )
    for frames, strides in ((1, None), (3, None), (16, None), (27, (3, 3)), (27, (3, 3, 4))):
        with pytest.raises(InputError, match='frames'):
            MPMStage2(**{**SMALL, 'frames': frames}, strides=strides)


def test_a_network_cannot_see_what_is_hidden():
    torch.manual_seed(0)
    network, x = MPMStage1(**SMALL).eval(), torch.randn(3, 9, 4, 3)
    masks = MaskSampler(joints=2, ratio=0.5, per_sample=True)(
        3, 9, 4, torch.Generator().manual_seed(0)
    )
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(network(x, '3d', masks).square().sum(), x)
    assert torch.equal(gradient.abs().sum(-1) == 0, masks.hidden)
    ruined = x.detach().masked_fill(masks.joints[..., None], float('nan'))
    torch.testing.assert_close(
        network(ruined, '3d', masks), network(x, '3d', masks), rtol=0, atol=0
    )


@torch.no_grad()
def test_masks_of_samples_are_those_of_samples_alone():
    torch.manual_seed(0)
    network, x = MPMStage1(**SMALL).eval(), torch.randn(4, 9, 4, 2)
    masks = MaskSampler(joints=2, ratio=0.6, per_sample=True)(
        4, 9, 4, torch.Generator().manual_seed(1)
    )
    assert len({tuple(row.tolist()) for row in masks.visible}) > 1
    alone = [network(x[i : i + 1], '2d', (masks.joints[i], masks.frames[i])) for i in range(4)]
    torch.testing.assert_close(network(x, '2d', masks), torch.cat(alone), rtol=0, atol=1e-6)
    shared = MaskSampler(joints=2)(4, 9, 4, torch.Generator().manual_seed(1))
    repeated = Masks(shared.joints.expand(4, 9, 4), shared.visible.expand(4, -1))
    torch.testing.assert_close(
        network(x, '2d', shared), network(x, '2d', repeated), rtol=0, atol=1e-6
    )
    nothing = MaskSampler(joints=0, ratio=0)(4, 9, 4)
    torch.testing.assert_close(network(x, '2d', nothing), network(x), rtol=0, atol=1e-6)


def test_every_weight_learns_but_the_idle_norms():
    torch.manual_seed(0)
    network, sampler = MPMStage1(**SMALL), MaskSampler(joints=1)
    masks = sampler(2, 9, 4)
    x2, x3 = torch.randn(2, 9, 4, 2), torch.randn(2, 9, 4, 3)
    sum(
        pretext_losses(network(x2, '2d', masks), x2, network(x3, '3d', masks), x3).values()
    ).backward()
    idle = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert idle == {
        f'{name}.norm.{key}'
        for name in ('shared_layers_temporal', 'decoder2d', 'decoder3d')
        for key in ('a_2', 'b_2')
    }


def test_half_precision():
    torch.manual_seed(0)
    first, second, masks = (
        MPMStage1(**SMALL).eval(),
        MPMStage2(**SMALL).eval(),
        MaskSampler(joints=2)(2, 9, 4),
    )
    x2, x3 = torch.randn(2, 9, 4, 2), torch.randn(2, 9, 4, 3)

    def run():
        return [first(x2, '2d', masks), first(x3, '3d', masks), *second(x2).values()]

    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = run()
        sum(value.float().square().mean() for value in found).backward()
    for value, expected in zip(found, run()):
        assert 0 < (value.float() - expected).abs().max() < 0.05 * expected.abs().max()
    assert all(
        p.grad.isfinite().all()
        for net in (first, second)
        for p in net.parameters()
        if p.grad is not None
    )


def test_wrong_input():
    first, second = MPMStage1(**SMALL), MPMStage2(**SMALL)
    x = torch.zeros(2, 9, 4, 2)
    with pytest.raises(InputError, match=r'\(2, 9, 4, 2\), expected \(B, 9, 4, 3\)'):
        first(x, '3d')
    with pytest.raises(InputError, match="'2d' or '3d', not '4d'"):
        first(x, '4d')
    with pytest.raises(InputError, match="target is '2d' or '3d'"):
        first(x, '2d', target='4d')
    with pytest.raises(InputError, match=r'\(2, 8, 4, 2\), expected \(B, 9, 4, 2\)'):
        second(x[:, 1:])
    with pytest.raises(InputError, match=r'masks of \(3, 9, 4\) do not fit'):
        first(x, '2d', MaskSampler(joints=1, per_sample=True)(3, 9, 4))
    with pytest.raises(InputError, match='no multiple of heads=3'):
        MPMStage1(**{**SMALL, 'heads': 3})


def test_refinement_blends_x_and_y_and_keeps_depth():
    torch.manual_seed(0)
    network = MPMRefine(joints=4, hidden=8).eval()
    joints3d, seen = torch.randn(2, 3, 1, 4, 3)
    refined = network(joints3d, seen)
    assert torch.equal(refined[..., 2], joints3d[..., 2])
    low, high = torch.minimum(joints3d, seen)[..., :2], torch.maximum(joints3d, seen)[..., :2]
    assert ((refined[..., :2] >= low) & (refined[..., :2] <= high)).all()
    torch.nn.init.constant_(network.post_refine[3].bias, 1e3)
    torch.testing.assert_close(network(joints3d, seen), joints3d)


def test_stage2_keeps_the_norm_of_stage1(tmp_path):
    torch.manual_seed(0)
    size = dict(frames=27, channels=16, hidden=16, layers=1, heads=2)
    stage1 = MPMStage1(**size).eval()
    torch.nn.init.normal_(stage1.encoder_LN.a_2)
    torch.nn.init.normal_(stage1.encoder_LN.b_2)
    path = tmp_path / 'stage1.pth'
    torch.save(stage1.state_dict(), path)
    kept = MPMStage2(**size, encoder_norm=True)
    assert not any(key.startswith('encoder_LN') for key in kept.start_from(str(path)).missing_keys)
    seen = []
    kept.reduce.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    keypoints2d = torch.randn(2, 27, 17, 2)
    with torch.no_grad():
        kept.eval()(keypoints2d)
        torch.testing.assert_close(seen[0], stage1.encode(keypoints2d, '2d'))
    released = MPMStage2(**size)
    assert set(kept.state_dict()) - set(released.state_dict()) == {
        'encoder_LN.a_2',
        'encoder_LN.b_2',
    }


def test_size_of_the_embeddings():
    torch.manual_seed(0)
    size = dict(frames=81, channels=64, layers=1)
    for std in (1.0, 0.02):
        stage1 = MPMStage1(**size, embedding_std=std)
        stage2 = MPMStage2(**size, embedding_std=std)
        embeddings = [
            stage1.shared_layers_temporal.pos_embedding,
            stage1.dec_pos_embedding,
            stage1.temporal_mask_token,
            stage2.shared_layers_temporal.pos_embedding,
            *(getattr(stage2.reduce, f'pos_embedding_{number}') for number in (1, 2, 3)),
        ]
        for embedding in embeddings:
            assert embedding.requires_grad
            assert embedding.std().item() == pytest.approx(std, rel=0.3)
    with pytest.raises(InputError, match='embedding_std=-1'):
        MPMStage1(**size, embedding_std=-1)
