"""Scores: per-frame errors, named protocols, and the evaluator that reports them."""

from hrtk.evaluation.evaluator import MeshEvaluator
from hrtk.evaluation.functional import accel_error, mpjpe, pa_mpjpe, pck, procrustes, pve, reprojection_error_px
from hrtk.evaluation.protocols import MeshError, Protocol, get_protocol, register_protocol

__all__ = ['MeshError', 'MeshEvaluator', 'Protocol', 'accel_error', 'get_protocol', 'mpjpe', 'pa_mpjpe', 'pck',
           'procrustes', 'pve', 'register_protocol', 'reprojection_error_px']
