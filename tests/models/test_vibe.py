"""VIBE and its motion critic against numbers of the released classes, and VIBE behind an image network."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_rule import generator, golden_weights, normal

from hrtk.adapters import Source
from hrtk.apis import build_model, list_models
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.models.checkpoints import load_official, load_weights
from hrtk.models.estimators import VideoHMR, predict_sequence
from hrtk.models.priors import MotionDiscriminator
from hrtk.models.temporal import VIBE
from hrtk.registry import ESTIMATORS, MODELS, TEMPORAL
from hrtk.structures import Keypoints2D, Prediction, Sequence

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'data' / 'vibe_golden.npz', allow_pickle=False))
TOLERANCE = 1e-5  # the reference's float32 and float64 runs differ by up to 5e-7
SMALL = dict(features=32, hidden=6, regressor=dict(type='IterativeRegressor', hidden=8))
IMAGE = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=18, width=4),
    resolution=32,
    head=dict(type='IterativeRegressor', hidden=8),
)


def features_of(name, clips, frames):
    """The goldens' input: features like those of an image network, near to each other within a clip."""
    random = generator(f'input:features:{name}')
    base = 0.5 * torch.randn((clips, 1, 2048), generator=random)
    return (base + 0.05 * torch.randn((clips, frames, 2048), generator=random)).relu()


def near(found, name):
    """Asserts that numbers are those of the golden."""
    assert np.abs(found.detach().numpy() - GOLDEN[name]).max() < TOLERANCE


@pytest.fixture(scope='module')
def released():
    """The published network with the golden weights."""
    network = VIBE().eval()
    report = load_official(network, {'gen_state_dict': golden_weights(GOLDEN, 'vibe_')})
    assert report.missing_keys == report.unexpected_keys == report.dropped == ()
    return network


@pytest.fixture(scope='module')
def clips():
    clips = features_of('vibe', 2, 16)
    np.testing.assert_array_equal(clips[clips > 0][:4].numpy(), GOLDEN['vibe_input_first'])
    return clips


@torch.no_grad()
def test_golden(released, clips):
    prediction = released(clips)
    near(prediction.rotmat, 'vibe_rotmat')
    near(prediction.betas, 'vibe_betas')
    near(prediction.camera, 'vibe_cam')
    near(prediction.features[..., :64], 'vibe_features')
    near(rotmat_to_axis_angle(prediction.rotmat).flatten(2), 'vibe_pose_aa')
    joints = (0.3 * normal('stub:joints', (49, 3))).expand(32, -1, -1)
    near(project(joints, prediction.camera.flatten(0, 1)).unflatten(0, (2, 16)), 'vibe_kp_2d')


@torch.no_grad()
def test_golden_of_a_clip_of_another_length(released):
    clip = features_of('vibe_full', 1, 37)
    np.testing.assert_array_equal(clip[clip > 0][:4].numpy(), GOLDEN['vibe_full_input_first'])
    prediction = released(clip)
    near(prediction.rotmat[:, ::4], 'vibe_full37_rotmat')
    near(prediction.betas, 'vibe_full37_betas')
    near(prediction.camera, 'vibe_full37_cam')
    near(prediction.features[..., :64], 'vibe_full37_features')


@pytest.mark.parametrize(
    'name, options',
    [('1layer2048', dict(hidden=2048, layers=1)), ('bidir', dict(bidirectional=True))],
)
@torch.no_grad()
def test_golden_of_other_encoders(name, options, clips):
    network = VIBE(**options).eval()
    report = load_official(network, golden_weights(GOLDEN, f'vibe_{name}_'))
    assert (
        all(key.startswith('regressor.') for key in report.missing_keys)
        and not report.unexpected_keys
    )
    near(network.encode(clips)[..., :64], f'vibe_{name}_features')


@torch.no_grad()
def test_golden_of_the_critic():
    critic = MODELS.build(dict(type='MotionDiscriminator')).eval()
    report = load_official(critic, golden_weights(GOLDEN, 'critic_'))
    assert report.missing_keys == report.unexpected_keys == report.dropped == ()
    motion = 0.5 * normal('input:motion', (3, 16, 69))
    near(critic(motion), 'critic_score')
    near(critic.attention_weights(critic.gru(motion)[0]), 'critic_attention')
    near(torch.cat([critic(motion[i : i + 1]) for i in range(3)]), 'critic_score')


@torch.no_grad()
def test_official_checkpoint_with_critic_body_model_and_numpy_scalars(tmp_path, clips):
    weights, critic = golden_weights(GOLDEN, 'vibe_'), golden_weights(GOLDEN, 'critic_')
    smpl = {
        'regressor.smpl.v_template': torch.zeros(6890, 3),
        'regressor.smpl.faces_tensor': torch.zeros(13776, 3),
    }
    path = tmp_path / 'vibe_model_wo_3dpw.pth.tar'
    torch.save(
        {
            'epoch': 3,
            'performance': np.float32(56.56),
            'gen_state_dict': {**weights, **smpl},
            'disc_motion_state_dict': critic,
        },
        path,
        _use_new_zipfile_serialization=False,
    )
    network = VIBE()
    report = load_weights(network, path)
    assert set(report.dropped) == set(smpl) and set(report.loaded) == set(weights)
    near(network.eval()(clips).rotmat, 'vibe_rotmat')
    near(
        MotionDiscriminator(weights=str(path)).eval()(0.5 * normal('input:motion', (3, 16, 69))),
        'critic_score',
    )


def test_another_checkpoint_is_refused(tmp_path):
    torch.save({'gen_state_dict': VIBE(**SMALL).state_dict()}, tmp_path / 'small.pt')
    with pytest.raises(InputError, match='small.pt: not a checkpoint of VIBE'):
        VIBE(weights=str(tmp_path / 'small.pt'))
    with pytest.raises(InputError, match='small.pt: not a checkpoint of MotionDiscriminator'):
        MotionDiscriminator(weights=str(tmp_path / 'small.pt'))
    half = {
        key: value
        for key, value in MotionDiscriminator(8, 1, 8).state_dict().items()
        if key.startswith('gru')
    }
    torch.save(half, tmp_path / 'half.pt')
    with pytest.raises(
        InputError,
        match=r'half\.pt: not a checkpoint of MotionDiscriminator as configured: \d+ missing',
    ):
        MotionDiscriminator(8, 1, 8, weights=str(tmp_path / 'half.pt'))


def test_own_weights_load_again(tmp_path):
    for build in (
        functools.partial(VIBE, **SMALL),
        functools.partial(MotionDiscriminator, 8, 1, 8),
    ):
        network = build()
        torch.save(network.state_dict(), tmp_path / 'own.pt')
        again = build(weights=str(tmp_path / 'own.pt')).state_dict()
        assert all(torch.equal(again[key], value) for key, value in network.state_dict().items())


def test_by_name():
    assert 'vibe' in list_models()
    with torch.no_grad():
        prediction = build_model('vibe')(torch.rand(2, 3, 2048))
    assert isinstance(prediction, Prediction)
    assert (
        prediction.rotmat.shape,
        prediction.betas.shape,
        prediction.camera.shape,
        prediction.features.shape,
    ) == ((2, 3, 24, 3, 3), (2, 3, 10), (2, 3, 3), (2, 3, 2048))


@pytest.mark.parametrize('bidirectional', [False, True])
def test_the_released_encoder_looks_back_only(bidirectional):
    torch.manual_seed(0)
    network = TEMPORAL.build(dict(type='VIBE', bidirectional=bidirectional, **SMALL)).eval()
    clips = torch.randn(2, 9, 32, requires_grad=True)
    prediction = network(clips)
    (gradient,) = torch.autograd.grad(
        prediction.camera[0, 4].sum() + prediction.features[0, 4].sum(), clips
    )
    assert gradient[1].abs().max() == 0
    assert gradient[0].abs().sum(1).nonzero().flatten().tolist() == list(
        range(9 if bidirectional else 5)
    )


def test_wrong_input():
    with pytest.raises(InputError, match=r'\(B, T, 32\) features, not \(2, 5, 31\)'):
        VIBE(**SMALL)(torch.zeros(2, 5, 31))
    with pytest.raises(InputError, match=r'body_pose is \(2, 5, 72\), expected \(B, T, 69\)'):
        MotionDiscriminator(8, 1, 8)(torch.zeros(2, 5, 72))


@pytest.fixture(scope='module')
def video():
    """The estimator in small, and a sequence of noise for it."""
    torch.manual_seed(0)
    estimator = ESTIMATORS.build(
        dict(type='VideoHMR', image=IMAGE, network=dict(type='VIBE', **SMALL))
    ).eval()
    frames = np.random.default_rng(0).integers(0, 256, (37, 40, 40, 3), dtype=np.uint8)
    points = Keypoints2D(torch.zeros(37, 17, 2), torch.zeros(37, 17), 'coco17', 'none')
    return estimator, Sequence(
        'noise', frames, torch.tensor([[20.0, 20.0, 36.0]]).expand(37, 3), points
    )


@torch.no_grad()
def test_video_estimator_in_the_loop_and_under_source(video):
    estimator, sequence = video
    features = torch.cat(
        [estimator.image(estimator.image.crops(sequence, [t])).features for t in range(37)]
    )
    parts = [estimator.network(features[None, t : t + 16]) for t in (0, 16, 32)]
    with torch.enable_grad():
        adapted = Prediction.cat(list(Source().start(estimator).run(sequence)))
    for found in (predict_sequence(estimator, sequence), adapted):
        assert len(found) == 37
        for name in ('rotmat', 'betas', 'camera', 'features'):
            expected = torch.cat([getattr(part, name)[0] for part in parts])
            torch.testing.assert_close(getattr(found, name), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_clips_do_not_see_each_other(video):
    estimator, sequence = video
    clips = torch.cat([estimator.crops(sequence, range(t, t + 5)) for t in (0, 7)])
    both = estimator(clips)
    for i in range(2):
        torch.testing.assert_close(
            both.rotmat[5 * i : 5 * i + 5], estimator(clips[i : i + 1]).rotmat, rtol=1e-4, atol=1e-5
        )


def test_video_estimator_refuses_what_is_no_clip(video):
    estimator, sequence = video
    for frames in ([0, 2], [1, 0], [3, 3]):
        with pytest.raises(InputError, match='frames of a video in their order'):
            estimator.crops(sequence, frames)
    with pytest.raises(
        InputError, match=r'clips \(V, T, 3, R, R\) of consecutive frames, not \(4, 3, 32, 32\)'
    ):
        estimator(torch.zeros(4, 3, 32, 32))
    with pytest.raises(InputError, match='window is a number of frames from 1 on, not 0'):
        VideoHMR(IMAGE, window=0)
    middle = VideoHMR(
        IMAGE, dict(type='TCMR', features=32, hidden=6, attention=4, regressor=SMALL['regressor'])
    )
    with pytest.raises(InputError, match='TCMR predicts one frame of a window'):
        middle(torch.zeros(1, 16, 3, 32, 32))


def test_fingerprint_of_the_video_estimator_knows_both_networks(video):
    estimator, _ = video
    before = estimator.fingerprint()
    assert set(before) == {'weights', 'body'}
    for weights in (estimator.image.backbone.conv1.weight, estimator.network.gru.weight_hh_l0):
        with torch.no_grad():
            weights.mul_(2)
        assert estimator.fingerprint()['weights'] != before['weights']
        with torch.no_grad():
            weights.div_(2)


def test_a_teacher_wants_a_network_for_the_middle_frame():
    from hrtk.registry import TEACHERS

    with pytest.raises(InputError, match='VIBE does not label the middle frame'):
        TEACHERS.build(
            dict(type='TemporalTeacher', network=dict(type='VIBE', features=8, hidden=8))
        )
