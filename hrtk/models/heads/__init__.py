"""Heads: features to body parameters."""

from hrtk.models.heads.iterative_regressor import IterativeRegressor

__all__ = ['IterativeRegressor']
