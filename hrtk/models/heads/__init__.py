"""Heads: features to body parameters."""

from hrtk.models.heads.iterative_regressor import IterativeRegressor, RegressorOutput
from hrtk.models.heads.latent_regressor import LatentOutput, LatentRegressor

__all__ = ['IterativeRegressor', 'LatentOutput', 'LatentRegressor', 'RegressorOutput']
