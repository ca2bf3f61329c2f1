"""Scores: per-frame errors, named protocols, and the evaluator that reports them."""

from hrtk.evaluation.evaluator import MeshEvaluator
from hrtk.evaluation.functional import accel_error, mpjpe, pa_mpjpe, pck, procrustes, pve, reprojection_error_px
from hrtk.evaluation.lifting import LiftingEvaluator, average_with_mirror, lifting_errors
from hrtk.evaluation.protocols import MeshError, Protocol, get_protocol, register_protocol

__all__ = ['LiftingEvaluator', 'MeshError', 'MeshEvaluator', 'Protocol', 'accel_error', 'average_with_mirror',
           'get_protocol', 'lifting_errors', 'mpjpe', 'pa_mpjpe', 'pck', 'procrustes', 'pve', 'register_protocol',
           'reprojection_error_px']
