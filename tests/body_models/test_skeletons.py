"""Joint lists against the tables of SPIN, VIBE and COCO as their papers and code give them."""

from __future__ import annotations

import pytest

from hrtk.body_models.skeletons import (
    EXTRA9,
    NEAREST,
    PARENTS24,
    SKELETONS,
    SMPL_VERTEX_IDS,
    flip_map,
    index_map,
    joint_names,
    limbs,
)
from hrtk.errors import InputError

# The 54 points that SPIN selects from: 24 SMPL joints, vertices (finger tips are never selected), 9 regressed joints.
SMPL = (
    'pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot '
    'right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist '
    'right_wrist left_hand right_hand'
).split()
VERTICES = {
    24: ('nose', 332),
    25: ('right_eye', 6260),
    26: ('left_eye', 2800),
    27: ('right_ear', 4071),
    28: ('left_ear', 583),
    29: ('left_big_toe', 3216),
    30: ('left_small_toe', 3226),
    31: ('left_heel', 3387),
    32: ('right_big_toe', 6617),
    33: ('right_small_toe', 6624),
    34: ('right_heel', 6787),
}
EXTRA = (
    'right_hip_lsp left_hip_lsp neck_lsp headtop_lsp pelvis_mpii thorax_mpii spine_h36m jaw_h36m '
    'head_h36m'
).split()
SOURCES49 = [
    24,
    12,
    17,
    19,
    21,
    16,
    18,
    20,
    0,
    2,
    5,
    8,
    1,
    4,
    7,
    25,
    26,
    27,
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    8,
    5,
    45,
    46,
    4,
    7,
    21,
    19,
    17,
    16,
    18,
    20,
    47,
    48,
    49,
    50,
    51,
    52,
    53,
    24,
    26,
    25,
    28,
    27,
]
FLIP24 = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 20, 23, 22]
FLIP25 = [0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21]
FLIP_SMPL = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]


def test_the_49_joints_of_spin():
    points = {
        **dict(enumerate(SMPL)),
        **{i: name for i, (name, _) in VERTICES.items()},
        **{45 + i: name for i, name in enumerate(EXTRA)},
    }
    assert list(joint_names('spin49')) == [points[source] for source in SOURCES49]
    assert list(joint_names('smpl24')) == SMPL
    assert list(EXTRA9) == EXTRA
    assert SMPL_VERTEX_IDS == {name: vertex for name, vertex in VERTICES.values()}
    assert PARENTS24 == (
        -1,
        0,
        0,
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        9,
        9,
        12,
        13,
        14,
        16,
        17,
        18,
        19,
        20,
        21,
    )


def test_blocks_of_the_49_map_to_themselves():
    assert index_map('spin49', 'spin24') == tuple(range(25, 49))
    assert index_map('spin49', 'openpose25') == tuple(range(25))
    for name in SKELETONS:
        assert index_map(name, name) == tuple(range(len(SKELETONS[name])))


def test_coco_in_the_24():
    assert index_map('spin24', 'coco17') == (
        19,
        20,
        21,
        22,
        23,
        9,
        8,
        10,
        7,
        11,
        6,
        3,
        2,
        4,
        1,
        5,
        0,
    )


def test_coco_as_published():
    plain = [name.removesuffix('_lsp') for name in joint_names('coco17')]
    assert (
        plain
        == (
            'nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow '
            'left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle'
        ).split()
    )


def test_openpose18_in_body25():
    # OpenPose's COCO model has BODY_25's points but for the hip's middle and the feet.
    assert index_map('openpose25', 'openpose18') == (
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
        16,
        17,
        18,
    )


def test_evaluation_joints_of_the_h36m_regressor():
    assert index_map('h36m17', 'j17') == (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)
    assert index_map('h36m17', 'lsp14') == (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)


@pytest.mark.parametrize(
    'skeleton, permutation',
    [
        ('spin24', FLIP24),
        ('openpose25', FLIP25),
        ('spin49', FLIP25 + [25 + i for i in FLIP24]),
        ('smpl24', FLIP_SMPL),
        ('coco17', [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]),
        ('h36m17', [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]),
    ],
)
def test_flips(skeleton, permutation):
    assert list(flip_map(skeleton)) == permutation


def test_missing_points_and_the_nearest_ones():
    exact = index_map('openpose25', 'spin24')
    near = index_map('openpose25', 'spin24', nearest=True)
    names = joint_names('spin24')
    assert exact[names.index('right_hip_lsp')] == -1 and near[names.index('right_hip_lsp')] == 9
    assert near[names.index('left_hip_lsp')] == 12
    assert near[names.index('headtop_lsp')] == -1
    assert [
        i for i, (a, b) in enumerate(zip(exact, near)) if a != b and names[i] not in NEAREST
    ] == []


@pytest.mark.parametrize('skeleton', ['coco17', 'spin24', 'spin49', 'openpose18', 'openpose25'])
def test_limbs_join_the_named_ends_and_mirror(skeleton):
    names = joint_names(skeleton)
    flip = flip_map(skeleton)
    pairs = [frozenset(pair) for pair in limbs(skeleton)]
    assert len(pairs) == len(set(pairs)) == 16
    assert frozenset((names.index('left_knee'), names.index('left_ankle'))) in pairs
    assert {frozenset(flip[i] for i in pair) for pair in pairs} == set(pairs)


def test_limbs_of_a_body_without_a_face():
    assert len(limbs('smpl24')) == 12


def test_unknown_skeleton():
    with pytest.raises(InputError, match="'coco19'.*coco17"):
        joint_names('coco19')
