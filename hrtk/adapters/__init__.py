"""Adapters: methods that make an estimator better on its target."""

from hrtk.adapters.base import RESETS, STATES, Adapter, Preparation, predict
from hrtk.adapters.bilevel import Bilevel
from hrtk.adapters.dynamic_bilevel import DynamicBilevel
from hrtk.adapters.few_shot import FewShotMetric
from hrtk.adapters.pre_adapt import PreAdapt
from hrtk.adapters.regeneration import Regeneration
from hrtk.adapters.source import Source
from hrtk.adapters.topology import TopologyAdapter

__all__ = [
    'RESETS',
    'STATES',
    'Adapter',
    'Bilevel',
    'DynamicBilevel',
    'FewShotMetric',
    'PreAdapt',
    'Preparation',
    'Regeneration',
    'Source',
    'TopologyAdapter',
    'predict',
]
