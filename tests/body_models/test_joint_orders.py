"""Root, limbs and sides of every joint order of lifting, against numbers of the official projects."""

import pytest
import torch

from hrtk.body_models.joint_orders import ORDERS, check_number, limb_joints, mirror_order, root_of
from hrtk.errors import InputError
from hrtk.models.lifting import HoleSampler, PartSampler

# VideoPose3D's and P-STMO's lists of left and right joints, hip before knee before ankle, shoulder before elbow before
# wrist, and the joint that all others are relative to.
OFFICIAL = {
    'h36m17': (0, dict(left=([4, 5, 6], [11, 12, 13]), right=([1, 2, 3], [14, 15, 16]))),
    'h36m16': (0, dict(left=([4, 5, 6], [10, 11, 12]), right=([1, 2, 3], [13, 14, 15]))),
    'mpi17': (14, dict(left=([11, 12, 13], [5, 6, 7]), right=([8, 9, 10], [2, 3, 4]))),
}


def test_every_order_is_tested():
    assert set(OFFICIAL) == set(ORDERS)


@pytest.mark.parametrize('order', OFFICIAL)
def test_root_limbs_and_sides(order):
    root, sides = OFFICIAL[order]
    assert root_of(order) == root
    mirror = mirror_order(order)
    for side, (leg, arm) in sides.items():
        assert list(limb_joints(order, f'{side}_leg')) == leg
        assert list(limb_joints(order, f'{side}_arm')) == arm
    for left, right in zip(sides['left'], sides['right']):
        assert [mirror[joint] for joint in left] == right
        assert [mirror[joint] for joint in right] == left
    middle = set(range(len(mirror))) - {
        joint for pair in sides.values() for limb in pair for joint in limb
    }
    assert all(mirror[joint] == joint for joint in middle)


@pytest.mark.parametrize('order', OFFICIAL)
def test_samplers_hide_the_limbs_of_the_order(order):
    joints = len(ORDERS[order])
    _, sides = OFFICIAL[order]
    for side, (leg, arm) in sides.items():
        masks = PartSampler([f'{side}_leg+{side}_arm'], order)(2, 3, joints)
        expected = torch.zeros(joints, dtype=torch.bool)
        expected[leg + arm] = True
        assert torch.equal(masks.joints, expected.expand(2, 3, joints))
    # Without single joints and frames, only whole limbs are hidden.
    masks = HoleSampler(joints=0.0, limbs=1.0, frames=0.0, order=order)(200, 4, joints)
    limbs = [tuple(sorted(limb)) for pair in sides.values() for limb in pair]
    trunk = sorted(set(range(joints)) - {joint for limb in limbs for joint in limb})
    assert not masks.joints[..., trunk].any()
    for limb in limbs:
        hidden = masks.joints[..., list(limb)]
        assert hidden.any() and torch.equal(hidden.all(-1), hidden.any(-1))


def test_a_number_is_no_order():
    with pytest.raises(InputError, match="'mpi17' has 17 joints, not 16"):
        check_number('mpi17', 16, 'network')
    with pytest.raises(InputError, match="joints is one of 'h36m17', 'h36m16', 'mpi17', not 17"):
        check_number(17, 17, 'network')
    with pytest.raises(InputError, match='17 joints, not 16'):
        HoleSampler()(1, 9, 16)
