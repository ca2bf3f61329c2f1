"""Heads: features to body parameters."""

from hrtk.models.heads.iterative_regressor import IterativeRegressor, RegressorOutput

__all__ = ['IterativeRegressor', 'RegressorOutput']
