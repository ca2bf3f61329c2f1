"""Losses: functions of tensors. Their loss weights are options of the methods that use them."""

from hrtk.losses.keypoint import hips, keypoint2d_loss, keypoint3d_loss, motion_loss
from hrtk.losses.log_ratio import (
    LogRatioLoss,
    Triplets,
    log_distance,
    log_pose_distance,
    log_ratio_loss,
    ranked_triplets,
    video_triplets,
)
from hrtk.losses.masked_pose import joint_distance, lifting_losses, pretext_losses
from hrtk.losses.segmentation import segmentation_losses, soft_iou_loss, weighted_cross_entropy
from hrtk.losses.smpl_params import betas_loss, parameter_loss, rotmat_loss, shape_prior
from hrtk.losses.topology import (
    alignment_losses,
    mask_l2,
    silhouette_loss,
    silhouette_target,
    skeleton_l2,
    topology_loss,
)

__all__ = [
    'LogRatioLoss',
    'Triplets',
    'alignment_losses',
    'betas_loss',
    'hips',
    'joint_distance',
    'keypoint2d_loss',
    'keypoint3d_loss',
    'lifting_losses',
    'log_distance',
    'log_pose_distance',
    'log_ratio_loss',
    'mask_l2',
    'motion_loss',
    'parameter_loss',
    'pretext_losses',
    'ranked_triplets',
    'rotmat_loss',
    'segmentation_losses',
    'shape_prior',
    'silhouette_loss',
    'silhouette_target',
    'skeleton_l2',
    'soft_iou_loss',
    'topology_loss',
    'video_triplets',
    'weighted_cross_entropy',
]
