"""Keypoints of sequences through networks over windows: mapping, placement and windows against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.joint_orders import H36M17, mirror_order
from hrtk.body_models.skeletons import flip_map, joint_names
from hrtk.datasets.lifting import MocapLifting
from hrtk.datasets.motion import load_motion
from hrtk.errors import InputError
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.models.lifting import (
    HoleSampler,
    JointMapping,
    KeypointCompleter,
    MPMStage1,
    MPMStage2,
    SequenceLifter,
)
from hrtk.models.lifting.lifter import anchored
from hrtk.models.lifting.placement import place_image, place_person
from hrtk.models.lifting.windowed import window_frames
from hrtk.registry import LIFTERS
from hrtk.structures import Keypoints2D, Sequence

SMALL = dict(frames=9, channels=16, hidden=24, layers=1, heads=2)
STAGE1, STAGE2 = dict(type='MPMStage1', **SMALL), dict(type='MPMStage2', **SMALL)


class NoPictures:
    """Frames that must not be read."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        raise AssertionError('a picture was read')


def sequence(xy, confidence=None, skeleton='human36m17', fps=25.0, frames=None):
    xy = torch.as_tensor(xy, dtype=torch.float32)
    confidence = torch.ones(xy.shape[:2]) if confidence is None else confidence
    return Sequence(
        'clip',
        frames or NoPictures(len(xy)),
        torch.ones(len(xy), 3),
        Keypoints2D(xy, confidence, skeleton, 'test'),
        fps=fps,
    )


@pytest.fixture(scope='module')
def windows():
    return MocapLifting('test', frames=9, stride=60, flip=False)


@pytest.fixture
def person(windows):
    """(24, 17, 2) px of a person who is small in a large picture."""
    return windows.keypoints2d[:24] * 130 + torch.tensor([900.0, 400.0])


@pytest.fixture(scope='module')
def posed():
    """Joints of several skeletons of one posed body, metres."""
    poses = np.concatenate([clip.poses for clip in load_motion('test')])[::150]
    rotmat, body = axis_angle_to_rotmat(torch.from_numpy(poses)), BodyModel('open')
    with torch.no_grad():
        return {
            name: body.joints(rotmat, torch.zeros(len(rotmat), 10), name)
            for name in ('coco17', 'openpose25', 'smpl24', 'spin49', 'spin24', 'human36m17')
        }


def test_order_of_the_network_is_that_of_the_data():
    assert joint_names('human36m17') == H36M17 and flip_map('human36m17') == mirror_order('h36m17')
    assert flip_map('human36m16') == mirror_order('h36m16')
    assert H36M17[:7] == tuple(
        f'{name}_mocap'
        for name in (
            'pelvis',
            'right_hip',
            'right_knee',
            'right_ankle',
            'left_hip',
            'left_knee',
            'left_ankle',
        )
    )


@pytest.mark.parametrize(
    'skeleton, worst', [('coco17', 25), ('openpose25', 25), ('spin49', 25), ('spin24', 25)]
)
def test_derived_joints_are_where_the_body_has_them(posed, skeleton, worst):
    points = posed[skeleton]
    for axes in ([0, 1], [2, 1]):  # from the front and from the side
        pose, seen = JointMapping(skeleton, 'human36m17')(
            points[..., axes], torch.ones(points.shape[:2]).bool()
        )
        assert seen.all()
        error = 1000 * (pose - posed['human36m17'][..., axes]).norm(dim=-1).mean(0)
        assert error.max() < worst, dict(zip(H36M17, error.tolist()))


def test_coco_by_hand():
    names = joint_names('coco17')
    xy = torch.randn(1, 17, 2, dtype=torch.float64)
    point = {name: xy[0, k] for k, name in enumerate(names)}
    shoulders, hips, ears = (
        (point[f'left_{name}'] + point[f'right_{name}']) / 2
        for name in ('shoulder', 'hip_lsp', 'ear')
    )
    pose, seen = JointMapping('coco17', 'human36m17')(xy, torch.ones(1, 17).bool())
    joint = {name.removesuffix('_mocap'): pose[0, j] for j, name in enumerate(H36M17)}
    expected = dict(
        pelvis=hips,
        spine=0.52 * shoulders + 0.48 * hips,
        neck=1.11 * shoulders - 0.11 * hips,
        jaw=0.31 * point['nose'] + 0.27 * shoulders + 0.42 * ears,
        head=1.23 * ears - 0.23 * shoulders,
        left_hip=point['left_hip_lsp'],
        right_wrist=point['right_wrist'],
        left_knee=point['left_knee'],
    )
    assert seen.all()
    for name, value in expected.items():
        torch.testing.assert_close(joint[name], value, atol=1e-7, rtol=0)  # weights are float32


def test_hidden_points_hide_what_is_made_of_them():
    xy = torch.randn(2, 17, 2)
    visible = torch.ones(2, 17, dtype=torch.bool)
    visible[1, joint_names('coco17').index('left_hip_lsp')] = False
    xy[1, joint_names('coco17').index('left_hip_lsp')] = torch.nan
    pose, seen = JointMapping('coco17', 'human36m17')(xy, visible)
    lost = {H36M17[j] for j in (~seen[1]).nonzero()[:, 0].tolist()}
    assert seen[0].all() and lost == {
        f'{name}_mocap' for name in ('pelvis', 'left_hip', 'spine', 'neck')
    }
    assert pose.isfinite().all()


def test_both_blocks_of_spin49_are_read():
    xy, visible = torch.randn(1, 49, 2), torch.zeros(1, 49, dtype=torch.bool)
    visible[:, 25:] = True  # files often fill this one alone
    pose, seen = JointMapping('spin49', 'human36m17')(xy, visible)
    assert seen.all()
    assert torch.equal(
        pose[0, H36M17.index('left_knee_mocap')],
        xy[0, 25 + joint_names('spin24').index('left_knee')],
    )


def test_windows_cover_every_frame():
    for length, frames, step, hop in (
        (1, 9, 1, 4),
        (40, 9, 1, 4),
        (41, 9, 3, 4),
        (7, 27, 2, 13),
        (30, 8, 2, 4),
    ):
        found = window_frames(length, frames, step, hop)
        assert set(range(length)) <= set(found.flatten().tolist())
        middle = found[:, frames // 2]
        assert (found.diff(dim=1) == step).all() and ((middle >= 0) & (middle < length)).all()
    assert window_frames(5, 3, 1, 1).tolist() == [
        [-1, 0, 1],
        [0, 1, 2],
        [1, 2, 3],
        [2, 3, 4],
        [3, 4, 5],
    ]


@torch.no_grad()
def test_placement_finds_training_size_from_any_part(windows):
    """A person of the training data, moved and scaled anywhere, comes back to a like place and size."""
    rows = torch.arange(0, len(windows.keypoints2d), 25)
    pose, depth, every = (
        windows.keypoints2d[rows],
        windows.root[rows, 2],
        torch.arange(len(rows))[:, None],
    )
    moved = pose * 37.0 + torch.tensor([210.0, 90.0])
    legs_hidden = torch.ones(len(rows), 17, dtype=torch.bool)
    legs_hidden[:, 1:7] = False
    first = place_person(pose, torch.ones_like(legs_hidden), every, 'human36m17')
    second = place_person(moved, torch.ones_like(legs_hidden), every, 'human36m17')
    torch.testing.assert_close(second.unit, first.unit * 37, rtol=1e-3, atol=0)
    torch.testing.assert_close(
        second.to_network(moved[:, None]), first.to_network(pose[:, None]), atol=2e-3, rtol=0
    )
    again = second.to_pixels(second.to_network(moved[:, None]))
    torch.testing.assert_close(again, moved[:, None], atol=2e-3, rtol=1e-5)
    shown = first.unit * 0.425 * depth / 2.292  # 1 where the size is told exactly
    assert shown.median() == pytest.approx(1, abs=0.03) and shown.log().std() < 0.08
    hidden = place_person(moved, legs_hidden, every, 'human36m17')
    assert (hidden.unit / second.unit).log().abs().mean() < 0.1
    assert ((hidden.centre - second.centre) / 37).norm(dim=1).mean() < 0.08


def test_nothing_seen_has_no_size():
    pose, seen = torch.rand(4, 17, 2), torch.zeros(4, 17, dtype=torch.bool)
    frames = torch.arange(4)[:, None]
    assert place_person(pose, seen, frames, 'human36m17').unit.isnan().all()
    seen[0, 3] = True  # an ankle alone has no length
    assert place_person(pose, seen, frames, 'human36m17').unit.isnan().all()
    seen[0, 2] = True
    assert place_person(pose, seen, frames, 'human36m17').unit.isfinite().tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_picture_as_in_training():
    place = place_image(1000, 1002, torch.zeros(1, 3, dtype=torch.int64))
    found = place.to_network(
        torch.tensor([[0.0, 0.0], [1000.0, 1002.0], [500.0, 501.0]]).view(1, 1, 3, 2)
    )
    torch.testing.assert_close(
        found[0, 0], torch.tensor([[-1.0, -1.002], [1.0, 1.002], [0.0, 0.0]])
    )


@torch.no_grad()
@pytest.mark.parametrize('network', [STAGE1, STAGE2])
@pytest.mark.parametrize('fps, hop', [(None, 3), (12.5, 2), (None, 1)])
def test_lift_against_a_plain_loop(person, network, fps, hop):
    """The weighted mean over windows and mirror images, written out frame by frame."""
    torch.manual_seed(0)
    lifter = SequenceLifter(network, fps=fps, hop=hop, placement='picture')
    picture = np.zeros((720, 1280, 3), np.uint8)
    found = lifter.lift(sequence(person, frames=[picture] * len(person)))
    step, order = 2 if fps else 1, list(mirror_order('h36m17'))
    normal = person / 1280 * 2 - torch.tensor([1, 720 / 1280])
    middles = [t for t in range(len(person)) if (t // step) % hop == 0]
    total, mass = torch.zeros(len(person), 17, 3), torch.zeros(len(person))

    def call(window):
        if network is STAGE1:
            return lifter.network(window[None], '2d', target='3d')[0]
        out = lifter.network(window[None])
        return out['joints3d_seq'][0] if hop > 1 else out['joints3d'][0].expand(9, -1, -1)

    for middle in middles:
        frames = [middle + step * (i - 4) for i in range(9)]
        window = torch.stack([normal[min(max(t, 0), len(person) - 1)] for t in frames])
        image = call(window[:, order] * torch.tensor([-1.0, 1.0]))[:, order] * torch.tensor(
            [-1.0, 1.0, 1.0]
        )
        both = (call(window) + image) / 2
        for i, t in enumerate(frames):
            if 0 <= t < len(person):
                weight = 1 - abs(i - 4) / 5
                if network is STAGE2 and hop == 1:
                    weight = float(i == 4)
                total[t] += weight * both[i]
                mass[t] += weight
    expected = total / mass[:, None, None]
    expected[:, 0] = 0
    assert found.shape == (24, 17, 3)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@torch.no_grad()
def test_stage1_is_shown_neither_hidden_joints_nor_empty_frames(person):
    torch.manual_seed(0)
    lifter = SequenceLifter(STAGE1, hop=1)
    confidence = torch.ones(24, 17)
    confidence[3, [5, 6]], confidence[10:12] = 0, 0
    first = lifter.lift(sequence(person, confidence))
    junk = torch.where(confidence[..., None] > 0, person, torch.tensor(torch.nan))
    torch.testing.assert_close(lifter.lift(sequence(junk, confidence)), first)
    assert first.isfinite().all() and not torch.equal(first, lifter.lift(sequence(person)))


@torch.no_grad()
def test_masks_are_mirrored():
    lifter, order = KeypointCompleter(STAGE1), list(mirror_order('h36m17'))
    calls = []
    lifter.network.forward = lambda poses, kind, masks, target: calls.append(masks.joints) or poses
    seen = torch.ones(2, 9, 17, dtype=torch.bool)
    seen[0, :, [4, 5, 6]] = False
    poses = torch.randn(2, 9, 17, 2)
    torch.testing.assert_close(lifter._predict(poses, seen, '2d'), poses)
    hidden = calls[0]
    assert torch.equal(hidden[:2], ~seen) and hidden[2, 0].nonzero()[:, 0].tolist() == [1, 2, 3]
    assert torch.equal(hidden[2:], ~seen[..., order])


@torch.no_grad()
def test_lift_does_not_depend_on_place_or_size(person):
    torch.manual_seed(0)
    lifter = SequenceLifter(STAGE2)
    first = lifter.lift(sequence(person))
    torch.testing.assert_close(lifter.lift(sequence(person * 3.3 - 50)), first, atol=5e-4, rtol=0)


@torch.no_grad()
def test_frames_without_any_evidence_are_unknown(person):
    confidence = torch.ones(60, 17)
    confidence[20:40] = 0
    xy = torch.cat([person, person, person])[:60]
    for network in (STAGE1, STAGE2):
        lifter = SequenceLifter(network, completer=STAGE1, hop=1)
        unknown = lifter.lift(sequence(xy, confidence)).isnan().any(2).any(1)
        assert unknown.nonzero()[:, 0].tolist() == list(range(28, 32)), network[
            'type'
        ]  # windows reach 8 frames
        assert lifter.lift(sequence(xy, 0 * confidence)).isnan().all()


def test_stage2_needs_a_completer(person):
    confidence = torch.ones(24, 17)
    confidence[5, 3] = 0.2
    with pytest.raises(InputError, match='clip: 1 of the 408 joints.*completer'):
        SequenceLifter(STAGE2, threshold=0.2).lift(sequence(person, confidence))
    lifted = SequenceLifter(STAGE2, STAGE1, threshold=0.2).lift(sequence(person, confidence))
    assert lifted.isfinite().all() and (lifted[:, 0] == 0).all()


def test_anchoring_is_kriging_of_the_seen_errors(monkeypatch):
    """Every joint and coordinate by itself, over the frames that saw it alone, by numpy."""
    generator = torch.Generator().manual_seed(0)
    found, pose = (torch.randn(40, 3, 2, generator=generator) for _ in range(2))
    seen = torch.rand(40, 3, generator=generator) < 0.4
    seen[:, 2] = False
    expected, frames = found.double().numpy().copy(), np.arange(40)

    def covariance(one, other):
        scaled = np.sqrt(3) * abs(one[:, None] - other) / 2.5
        return (1 + scaled) * np.exp(-scaled)

    for j in range(2):
        known = frames[seen[:, j].numpy()]
        error = (pose - found)[known, j].double().numpy()
        solved = np.linalg.solve(covariance(known, known) + 0.05 * np.eye(len(known)), error)
        expected[:, j] += covariance(frames, known) @ solved
    np.testing.assert_allclose(anchored(found, pose, seen, 2.5).numpy(), expected, atol=2e-6)
    monkeypatch.setattr('hrtk.models.lifting.lifter.BLOCK', 16)
    np.testing.assert_allclose(
        anchored(found, pose, seen, 2.5).numpy(), expected, atol=2e-3
    )  # no further than 15


def test_holes_have_every_density():
    masks = HoleSampler()(400, 27, 17, torch.Generator().manual_seed(0))
    share = masks.joints.float().mean((1, 2))
    assert share.min() < 0.02 and share.max() > 0.5 and masks.joints.shape == (400, 27, 17)
    whole = masks.joints[:, :, 1:4].all(2).sum(1)  # the right leg
    assert (whole > 20).any() and (whole == 0).any()
    counts = {
        HoleSampler()(2, 20, 17, torch.Generator().manual_seed(seed)).visible.shape[1]
        for seed in range(60)
    }
    assert 20 in counts and min(counts) >= 8 and len(counts) > 5
    again = HoleSampler()(400, 27, 17, torch.Generator().manual_seed(0))
    assert torch.equal(again.joints, masks.joints) and torch.equal(again.visible, masks.visible)


def test_built_by_name_and_always_in_evaluation_mode():
    lifter = LIFTERS.build(dict(type='SequenceLifter', network=STAGE2, completer=STAGE1))
    assert isinstance(lifter.network, MPMStage2) and isinstance(lifter.completer.network, MPMStage1)
    assert not any(module.training for module in lifter.train().modules() if module is not lifter)
    sixteen = SequenceLifter(dict(STAGE1, joints=16))
    assert sixteen.skeleton == 'human36m16' and 'jaw_mocap' not in joint_names(sixteen.skeleton)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(threshold=1.0), r'threshold=1.0'),
        (dict(fps=0), 'fps=0'),
        (dict(hop=5), '1 to 4'),
        (dict(placement='crop'), "'person', 'picture'"),
        (dict(skeleton='coco17', network=dict(STAGE1, joints=16)), '16'),
        (dict(network=STAGE2), 'stage I'),
        (dict(anchor=-1.0), 'anchor'),
        (dict(network=dict(type='MPMRefine')), 'MPMRefine'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        KeypointCompleter(**{'network': STAGE1, **options})
