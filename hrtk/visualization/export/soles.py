"""The soles of a moving body, by which stances and the floor are found."""

from __future__ import annotations

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.visualization.export.motion import Motion

SKELETON = 'openpose25'
SOLES = ('heel', 'big_toe', 'small_toe')


def soles_of(motion: Motion, body: BodyModel) -> np.ndarray:
    """(F, 2, 3, 3) heel, big toe and small toe of the left and of the right foot, metres."""
    names = joint_names(SKELETON)
    points = joints_of(motion, body, SKELETON)
    order = [names.index(f'{side}_{part}') for side in ('left', 'right') for part in SOLES]
    return points[:, order].reshape(len(motion), 2, len(SOLES), 3)


@torch.no_grad()
def joints_of(motion: Motion, body: BodyModel, skeleton: str) -> np.ndarray:
    """(F, J, 3) metres in the camera frame, float64."""
    template = body.template
    joints = body.joints(motion.rotmat.to(template), motion.betas.to(template), skeleton)
    return (joints.double().cpu() + motion.translation[:, None]).numpy()
