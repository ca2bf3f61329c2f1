"""Lifting: windows of 2D joints to 3D joints."""

from hrtk.models.lifting.masking import LIMBS, PARTS_2D, PARTS_3D, Masks, MaskSampler, PartSampler, step_generator
from hrtk.models.lifting.mpm import MPMStage1, MPMStage2
from hrtk.models.lifting.refine import MPMRefine, back_project

__all__ = ['LIMBS', 'PARTS_2D', 'PARTS_3D', 'MPMRefine', 'MPMStage1', 'MPMStage2', 'MaskSampler', 'Masks',
           'PartSampler', 'back_project', 'step_generator']
