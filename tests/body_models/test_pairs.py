"""Pairs of left and right joints by name, and the height of a body by its bones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hrtk.body_models.pairs import body_bones, body_height, joint_pairs, split_side
from hrtk.body_models.skeletons import SKELETONS, flip_map, joint_names
from hrtk.errors import InputError

COCO = joint_names('coco17')


@pytest.mark.parametrize('skeleton', sorted(SKELETONS))
def test_pairs_are_those_that_mirroring_exchanges(skeleton):
    pairs = joint_pairs(skeleton)
    order = list(range(len(joint_names(skeleton))))
    for left, right in zip(pairs.left, pairs.right):
        order[left], order[right] = right, left
    assert tuple(order) == flip_map(skeleton)


def test_names_of_other_programs():
    names = ('nose', 'mouth_right', 'mouth_left', 'left_foot_index', 'right_foot_index', 'left_ear')
    pairs = joint_pairs(names)
    assert (pairs.left, pairs.right) == ((2, 3), (1, 4))
    assert pairs.joints == ('mouth', 'foot_index') and pairs.lower == (False, True)
    assert split_side('right_hip_lsp') == split_side('right_hip_mocap') == ('right', 'hip')
    with pytest.raises(InputError, match='left_knee'):
        joint_pairs(('nose', 'left_ear'))


def test_halves_of_the_body():
    pairs = joint_pairs('openpose25')
    lower = {joint for joint, of_lower in zip(pairs.joints, pairs.lower) if of_lower}
    assert lower == {'hip', 'knee', 'ankle', 'big_toe', 'small_toe', 'heel'}
    assert pairs.of(('wrist',)).left == (joint_names('openpose25').index('left_wrist'),)


def figure(height):
    """An upright person in the plane with Drillis and Contini's lengths; a face is not needed."""
    points = np.zeros((17, 2))
    for side, x in (('left', 10.0), ('right', -10.0)):
        heights = dict(
            shoulder=0.818, elbow=0.632, wrist=0.486, hip_lsp=0.53, knee=0.285, ankle=0.039
        )
        for joint, share in heights.items():
            points[COCO.index(f'{side}_{joint}')] = (x, -share * height)
    return points


def test_height_of_an_upright_figure():
    points = figure(300.0)[None].repeat(4, axis=0)
    visible = np.ones((4, 17), bool)
    np.testing.assert_allclose(body_height(points, visible, COCO, 25), 300)
    visible[:, 5:13] = False  # of the bones only the shins are left
    np.testing.assert_allclose(body_height(points, visible, COCO, 25), 300)
    mirrored = points[:, list(flip_map('coco17'))]
    np.testing.assert_allclose(body_height(mirrored, visible, COCO, 25), 300)


def test_foreshortening_gaps_and_zoom():
    upright = np.concatenate([figure(1.0), np.zeros((17, 1))], axis=1)
    frames = np.arange(200)
    scale = 200 + frames  # the person comes nearer
    angles = 20 + 15 * np.sin(
        frames / 7
    )  # the body leans out of the image, at times by 5 degrees only
    tilt = Rotation.from_euler('x', angles[:, None], degrees=True).as_matrix()
    turned = np.einsum('fij,kj->fki', tilt, upright)
    points = scale[:, None, None] * turned[..., :2]
    visible = np.ones((200, 17), bool)
    visible[60:70] = False
    height = body_height(points, visible, 'coco17', 25)
    assert (np.abs(height / scale - 1) < 0.15).all()
    assert np.isnan(body_height(points, np.zeros_like(visible), 'coco17', 25)).all()


def test_bones_are_named_parts():
    for start, end, length in body_bones('openpose25'):
        names = joint_names('openpose25')
        assert names[start].split('_')[0] == names[end].split('_')[0] and 0.1 < length < 0.3
    assert len(body_bones('coco17')) == len(body_bones('smpl24')) == 8
