"""3DHR-Co: pre-adaptation with a temporal teacher, then online adaptation that is reset at every sequence."""

from hrtk.adapters.collaborative.corruption import (
    Blur,
    GaussianNoise,
    LowResolution,
    PatchOcclusion,
)
from hrtk.adapters.collaborative.pre_adapt import PreAdapt
from hrtk.adapters.collaborative.regeneration import Regeneration

__all__ = ['Blur', 'GaussianNoise', 'LowResolution', 'PatchOcclusion', 'PreAdapt', 'Regeneration']
