"""Temporal networks: features of consecutive frames to body parameters, of the middle frame or of all of them."""

from hrtk.models.temporal.attention import ScoredSum
from hrtk.models.temporal.base import MIDDLE, WINDOW, TemporalNetwork
from hrtk.models.temporal.mpsnet import MPSNet
from hrtk.models.temporal.tcmr import TCMR
from hrtk.models.temporal.vibe import VIBE

__all__ = ['MIDDLE', 'WINDOW', 'MPSNet', 'ScoredSum', 'TCMR', 'TemporalNetwork', 'VIBE']
