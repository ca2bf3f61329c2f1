"""Temporal networks: features of a window of frames to body parameters of its middle frame."""

from hrtk.models.temporal.attention import ScoredSum
from hrtk.models.temporal.base import MIDDLE, WINDOW, TemporalNetwork
from hrtk.models.temporal.mpsnet import MPSNet
from hrtk.models.temporal.tcmr import TCMR

__all__ = ['MIDDLE', 'WINDOW', 'MPSNet', 'ScoredSum', 'TCMR', 'TemporalNetwork']
