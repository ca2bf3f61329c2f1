"""Evidence that a track is wrong, against numbers written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hrtk.body_models.pairs import SIDES
from hrtk.body_models.skeletons import joint_names
from hrtk.errors import InputError
from hrtk.evaluation.evidence import DoubtLimits, find_doubts, track_evidence

COCO = joint_names('coco17')
F = 40


def upright(height=500.0, frames=F):
    """Drillis and Contini's person, who walks 1 px per frame."""
    points = np.zeros((frames, 17, 3))
    heights = dict(shoulder=0.818, elbow=0.632, wrist=0.486, hip_lsp=0.53, knee=0.285, ankle=0.039)
    for side, x in (('left', 40.0), ('right', -40.0)):
        for joint, share in heights.items():
            points[:, COCO.index(f'{side}_{joint}')] = (x, 600 - share * height, 1)
    points[:, 5:, 0] += np.arange(frames)[:, None]
    return points


def test_a_calm_track_is_not_doubtful():
    evidence = track_evidence(upright(), 'coco17', 30)
    doubts = find_doubts(evidence)
    np.testing.assert_allclose(evidence.jump[1:-1], 0, atol=1e-12)
    assert np.isnan(evidence.jump[[0, -1]]).all() and (evidence.visible == 1).all()
    for missing in ('exchanged', 'side_disagreement', 'bone_deviation', 'reprojection'):
        assert np.isnan(getattr(evidence, missing)).all()
    assert not doubts.doubtful and doubts.reasons == () and not doubts.frames.any()


def test_jump_and_missing_joints():
    points = upright()
    points[20, :, :2] += (0, 60)  # 12 % of the height
    points[30, 5:12, 2] = 0
    evidence = track_evidence(points, 'coco17', 30)
    np.testing.assert_allclose(evidence.jump[[19, 20, 21]], [0.06, 0.12, 0.06], atol=1e-6)
    assert evidence.visible[30] == pytest.approx(5 / 12)
    doubts = find_doubts(evidence)
    assert np.flatnonzero(doubts.frames).tolist() == [20, 30]  # not those beside
    assert doubts.reasons_of(20) == ('jump',) and doubts.reasons_of(30) == ('visible', 'unseen')
    assert doubts.reasons_of(5) == () and not doubts.doubtful
    slow = find_doubts(track_evidence(points, 'coco17', 10))
    assert slow.frames[20]  # people accelerate more between frames, but not that much
    shaking = upright()
    shaking[::2, :, 1] += 40
    assert find_doubts(track_evidence(shaking, 'coco17', 30)).frames[1:-1].all()


def test_legs_that_the_image_does_not_show():
    points = upright()  # knees at y = 457.5, ankles at 580.5
    points[..., 0] += 100
    cut = track_evidence(points, 'coco17', 30, image_size=(640, 440))
    np.testing.assert_allclose(cut.visible, 8 / 12)
    np.testing.assert_allclose(cut.unseen, 1)
    assert find_doubts(cut).reasons == ('unseen',)
    with_knees = track_evidence(points, 'coco17', 30, image_size=(640, 480))
    np.testing.assert_allclose(with_knees.unseen[1:], 0.5)
    assert not find_doubts(with_knees).doubtful
    assert (track_evidence(points, 'coco17', 30).unseen == 0).all()


def test_arms_that_are_hidden():
    points = upright()
    points[:9, [COCO.index('left_elbow'), COCO.index('left_wrist')], 2] = 0
    evidence = track_evidence(points, 'coco17', 30)
    assert evidence.unseen[0] == 0.5 and not find_doubts(evidence).frames.any()
    points[:9, COCO.index('right_wrist'), 2] = 0
    doubts = find_doubts(track_evidence(points, 'coco17', 30))
    assert doubts.reasons == ('unseen',) and doubts.frames.sum() == 9
    legs = [
        COCO.index(f'{side}_{joint}') for side in SIDES for joint in ('hip_lsp', 'knee', 'ankle')
    ]
    names = [COCO[index] for index in legs]
    only_legs = track_evidence(points[:, legs], names, 30)
    assert (only_legs.unseen == 0).all()  # the list has no arms


def test_bones_that_change_their_length():
    points = upright()
    joints = np.concatenate([points[..., :2], np.zeros((F, 17, 1))], axis=-1)
    thigh, shin = COCO.index('left_knee'), COCO.index('left_ankle')
    joints[10, thigh, 1] += 30  # the thigh is longer and the shin shorter
    joints[11] = np.nan
    evidence = track_evidence(points, 'coco17', 30, landmarks3d=joints)
    lengths = np.array([0.245 * 500 + 30, 0.246 * 500 - 30]) / (np.array([0.245, 0.246]) * 500)
    assert evidence.bone_deviation[10] == pytest.approx(np.abs(np.log(lengths)).sum() / 8)
    assert evidence.bone_deviation[9] == pytest.approx(0) and np.isnan(evidence.bone_deviation[11])
    assert shin != thigh
    limits = DoubtLimits(bone_deviation=0.05)
    assert find_doubts(evidence, limits).reasons_of(10) == ('bone_deviation',)


def test_reprojection_in_body_heights():
    points = upright()
    points[3, 0] = 0  # the nose is missing there
    projected = points[..., :2] + (30, 40)
    projected[5, 6] = np.nan  # the body lacks this joint
    projected[7:20] += 100
    evidence = track_evidence(points, 'coco17', 30, projected2d=projected)
    np.testing.assert_allclose(evidence.reprojection[[0, 3, 5]], 0.1)
    doubts = find_doubts(evidence)
    assert doubts.frames.all() and doubts.reasons == ('reprojection',)
    assert find_doubts(evidence, DoubtLimits(reprojection=0.2)).frames.sum() == 13


def test_sides():
    exchanged = np.zeros((F, 2), bool)
    exchanged[4:10, 1] = True
    disagreement = np.zeros((F, 2))
    disagreement[6:12] = 0.9
    disagreement[0] = np.nan
    evidence = track_evidence(
        upright(),
        'coco17',
        30,
        exchanged=exchanged,
        side_disagreement=disagreement,
        side_margin=5.0,
    )
    assert evidence.exchanged.sum() == 6 and np.isnan(evidence.side_disagreement[0])
    doubts = find_doubts(evidence)
    assert doubts.reasons_of(6) == ('exchanged', 'side_disagreement')
    # Neither reason concerns more than a fifth of the frames, and both together do not either: 8 of 40.
    assert doubts.frames.sum() == 8 and not doubts.doubtful
    assert find_doubts(evidence, DoubtLimits(share=0.18)).reasons == ('frames',)
    assert find_doubts(evidence, DoubtLimits(side_margin=6.0)).reasons == ('side_margin',)


@pytest.mark.parametrize(
    'change, complaint',
    [
        (dict(keypoints2d=np.zeros((4, 12, 3))), 'keypoints2d are'),
        (dict(landmarks3d=np.zeros((F, 17, 2))), 'landmarks3d are'),
        (dict(projected2d=np.zeros((F, 16, 2))), 'projected2d are'),
        (dict(exchanged=np.zeros((F - 1, 2))), 'exchanged or side_disagreement are'),
    ],
)
def test_refuses(change, complaint):
    arguments = dict(keypoints2d=upright(), skeleton='coco17', fps=30)
    with pytest.raises(InputError, match=complaint):
        track_evidence(**{**arguments, **change})


def test_an_estimator_that_expects_large_errors():
    points = np.zeros((4, 17, 3))
    points[..., :2] = np.random.default_rng(0).uniform(0, 100, (17, 2))
    points[..., 2] = 1
    spread = np.full((4, 24), 0.05)
    sure = track_evidence(points, 'coco17', 25.0, joint_spread=spread)
    assert sure.spread.tolist() == pytest.approx([0.05] * 4)
    assert 'spread' not in find_doubts(sure).reasons
    unsure = track_evidence(points, 'coco17', 25.0, joint_spread=spread + 0.15)
    assert 'spread' in find_doubts(unsure).reasons


def test_one_uncertain_crossing_makes_a_track_doubtful():
    margins = np.full(F, np.nan)
    margins[7:9] = (2.0, 30.0)
    doubts = find_doubts(track_evidence(upright(), 'coco17', 30, identity=margins))
    assert doubts.doubtful and doubts.reasons == ('identity',)
    assert np.flatnonzero(doubts.frames).tolist() == [7] and doubts.reasons_of(7) == ('identity',)
    assert not find_doubts(track_evidence(upright(), 'coco17', 30, identity=margins + 4)).doubtful
    with pytest.raises(InputError, match='identity'):
        track_evidence(upright(), 'coco17', 30, identity=margins[1:])
