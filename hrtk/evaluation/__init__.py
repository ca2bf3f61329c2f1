"""Per-frame errors, named evaluation protocols, and the evaluators that report them."""

from hrtk.evaluation.evaluator import MeshEvaluator
from hrtk.evaluation.features import FeatureDistances, feature_distances
from hrtk.evaluation.foreground import ForegroundIoU, foreground_iou
from hrtk.evaluation.functional import (
    accel_error,
    mpjpe,
    n_mpjpe,
    pa_mpjpe,
    pck,
    procrustes,
    pve,
    reprojection_error_px,
)
from hrtk.evaluation.lifting import LiftingEvaluator, average_with_mirror, lifting_errors
from hrtk.evaluation.protocols import MeshError, Protocol, get_protocol, register_protocol
from hrtk.evaluation.stored_joints import StoredJoints, read_joints

__all__ = [
    'FeatureDistances',
    'ForegroundIoU',
    'LiftingEvaluator',
    'MeshError',
    'MeshEvaluator',
    'Protocol',
    'StoredJoints',
    'accel_error',
    'average_with_mirror',
    'feature_distances',
    'foreground_iou',
    'get_protocol',
    'lifting_errors',
    'mpjpe',
    'n_mpjpe',
    'pa_mpjpe',
    'pck',
    'procrustes',
    'pve',
    'read_joints',
    'register_protocol',
    'reprojection_error_px',
]
