"""Temporal networks: features of consecutive frames to body parameters, of the middle frame or of all frames."""

from hrtk.models.temporal.attention import ScoredSum
from hrtk.models.temporal.base import MIDDLE, WINDOW, FeatureNetwork, TemporalNetwork
from hrtk.models.temporal.mpsnet import MPSNet
from hrtk.models.temporal.tcmr import TCMR
from hrtk.models.temporal.vibe import VIBE

__all__ = [
    'MIDDLE',
    'WINDOW',
    'FeatureNetwork',
    'MPSNet',
    'ScoredSum',
    'TCMR',
    'TemporalNetwork',
    'VIBE',
]
