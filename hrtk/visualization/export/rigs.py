"""The names that other programs give to SMPL's joints."""

from __future__ import annotations

from hrtk.body_models.skeletons import joint_names

# fmt: off
# SMPL's rig in the order of its joints, without the prefix `m_avg_` of its Maya and Unity files.
SMPL_RIG = (
    'Pelvis', 'L_Hip', 'R_Hip', 'Spine1', 'L_Knee', 'R_Knee', 'Spine2', 'L_Ankle', 'R_Ankle', 'Spine3', 'L_Foot',
    'R_Foot', 'Neck', 'L_Collar', 'R_Collar', 'Head', 'L_Shoulder', 'R_Shoulder', 'L_Elbow', 'R_Elbow', 'L_Wrist',
    'R_Wrist', 'L_Hand', 'R_Hand')

# The same joints by the names of MotionBuilder's HumanIK, which Mixamo and most retargeting tools map by themselves.
# HumanIK has no joint in the palm; SMPL's hand joint is named after the first one of the middle finger.
HUMAN_IK = (
    'Hips', 'LeftUpLeg', 'RightUpLeg', 'Spine', 'LeftLeg', 'RightLeg', 'Spine1', 'LeftFoot', 'RightFoot', 'Spine2',
    'LeftToeBase', 'RightToeBase', 'Neck', 'LeftShoulder', 'RightShoulder', 'Head', 'LeftArm', 'RightArm',
    'LeftForeArm', 'RightForeArm', 'LeftHand', 'RightHand', 'LeftHandMiddle1', 'RightHandMiddle1')
# fmt: on

# The markers of TRC and C3D: OpenPose's 25 points by the names that Pose2Sim's OpenSim models have.
MARKER_SKELETON = 'openpose25'
_PARTS = {
    'big_toe': 'BigToe',
    'small_toe': 'SmallToe',
    'pelvis': 'CHip',
}


def marker_names() -> tuple[str, ...]:
    """The 25 names of markers: CHip, RHip, RKnee, ..., in the order of :data:`MARKER_SKELETON`."""
    return tuple(_marker(name) for name in joint_names(MARKER_SKELETON))


def _marker(name: str) -> str:
    """``right_big_toe`` -> ``RBigToe``."""
    side, _, part = name.partition('_')
    if side not in ('left', 'right'):
        return _PARTS.get(name, name.capitalize())
    return side[0].upper() + _PARTS.get(part, part.capitalize())
