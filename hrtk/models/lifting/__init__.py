"""Lifting: windows of 2D joints to 3D joints, and whole sequences of keypoints."""

from hrtk.models.lifting.holes import HoleSampler
from hrtk.models.lifting.keypoints import JointMapping
from hrtk.models.lifting.lifter import KeypointCompleter, SequenceLifter
from hrtk.models.lifting.masking import (
    PARTS_2D,
    PARTS_3D,
    Masks,
    MaskSampler,
    PartSampler,
    step_generator,
)
from hrtk.models.lifting.mpm import MPMStage1, MPMStage2
from hrtk.models.lifting.refine import MPMRefine, back_project

__all__ = [
    'PARTS_2D',
    'PARTS_3D',
    'HoleSampler',
    'JointMapping',
    'KeypointCompleter',
    'MPMRefine',
    'MPMStage1',
    'MPMStage2',
    'MaskSampler',
    'Masks',
    'PartSampler',
    'SequenceLifter',
    'back_project',
    'step_generator',
]
