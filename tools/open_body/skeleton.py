"""The 24 joints in SMPL's order and the left-right mirror under which every array of the body is symmetric."""

from __future__ import annotations

import numpy as np

# fmt: off
JOINTS = ('pelvis', 'left_hip', 'right_hip', 'spine1', 'left_knee', 'right_knee', 'spine2', 'left_ankle',
          'right_ankle', 'spine3', 'left_foot', 'right_foot', 'neck', 'left_collar', 'right_collar', 'head',
          'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hand',
          'right_hand')
# fmt: on
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
INDEX = {name: i for i, name in enumerate(JOINTS)}
REFLECT = np.array([-1.0, 1.0, 1.0])


def other_side(name: str) -> str:
    """The name of the joint or landmark on the other side of the body; central names map to themselves."""
    if name.startswith('left_'):
        return 'right_' + name[len('left_') :]
    if name.startswith('right_'):
        return 'left_' + name[len('right_') :]
    return name


MIRROR_JOINTS = np.array([INDEX[other_side(name)] for name in JOINTS])
