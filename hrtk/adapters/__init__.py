"""Adapters: methods that make an estimator better on its target."""

from hrtk.adapters.base import RESETS, Adapter, Preparation, predict
from hrtk.adapters.bilevel import Bilevel
from hrtk.adapters.dynamic_bilevel import DynamicBilevel
from hrtk.adapters.pre_adapt import PreAdapt
from hrtk.adapters.regeneration import Regeneration
from hrtk.adapters.source import Source
from hrtk.adapters.topology import TopologyAdapter

__all__ = ['RESETS', 'Adapter', 'Bilevel', 'DynamicBilevel', 'PreAdapt', 'Preparation', 'Regeneration', 'Source',
           'TopologyAdapter', 'predict']
