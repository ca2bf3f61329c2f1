"""Estimators: image crops to body parameters."""

from hrtk.models.estimators.base import Estimator
from hrtk.models.estimators.hmr import HMR

__all__ = ['Estimator', 'HMR']
