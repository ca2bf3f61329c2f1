"""Losses: functions of tensors. Every weight belongs to the method that uses them and is set in its config."""

from hrtk.losses.keypoint import hips, keypoint2d_loss, keypoint3d_loss, motion_loss
from hrtk.losses.smpl_params import betas_loss, parameter_loss, rotmat_loss, shape_prior

__all__ = ['betas_loss', 'hips', 'keypoint2d_loss', 'keypoint3d_loss', 'motion_loss', 'parameter_loss', 'rotmat_loss',
           'shape_prior']
