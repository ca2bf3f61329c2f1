"""Estimators: image crops to body parameters."""

from hrtk.models.estimators.base import Estimator, hash_tensors
from hrtk.models.estimators.hmr import HMR

__all__ = ['Estimator', 'HMR', 'hash_tensors']
