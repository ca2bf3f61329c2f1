"""Per-frame errors, named evaluation protocols, and the evaluators that report them."""

from hrtk.evaluation.evaluator import MeshEvaluator
from hrtk.evaluation.features import FeatureDistances, feature_distances
from hrtk.evaluation.foreground import ForegroundIoU, foreground_iou
from hrtk.evaluation.functional import (
    accel_error,
    mpjpe,
    pa_mpjpe,
    pck,
    procrustes,
    pve,
    reprojection_error_px,
)
from hrtk.evaluation.lifting import LiftingEvaluator, average_with_mirror, lifting_errors
from hrtk.evaluation.protocols import MeshError, Protocol, get_protocol, register_protocol

__all__ = [
    'FeatureDistances',
    'ForegroundIoU',
    'LiftingEvaluator',
    'MeshError',
    'MeshEvaluator',
    'Protocol',
    'accel_error',
    'average_with_mirror',
    'feature_distances',
    'foreground_iou',
    'get_protocol',
    'lifting_errors',
    'mpjpe',
    'pa_mpjpe',
    'pck',
    'procrustes',
    'pve',
    'register_protocol',
    'reprojection_error_px',
]
