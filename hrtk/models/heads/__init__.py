"""Heads: features to body parameters."""

from hrtk.models.heads.iterative_regressor import IterativeRegressor, RegressorOutput
from hrtk.models.heads.latent_regressor import LatentOutput, LatentRegressor
from hrtk.models.heads.transformer_decoder import TransformerDecoderHead

__all__ = [
    'IterativeRegressor',
    'LatentOutput',
    'LatentRegressor',
    'RegressorOutput',
    'TransformerDecoderHead',
]
