"""Adapters: methods that make an estimator better on its target."""

from hrtk.adapters.base import RESETS, STATES, Adapter, Preparation, predict
from hrtk.adapters.bilevel import Bilevel, DynamicBilevel
from hrtk.adapters.collaborative import PreAdapt, Regeneration
from hrtk.adapters.few_shot import FewShotMetric
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
