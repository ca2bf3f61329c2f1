"""Adapters: methods that make an estimator better on its target."""

from hrtk.adapters.base import RESETS, Adapter, predict
from hrtk.adapters.bilevel import Bilevel
from hrtk.adapters.source import Source

__all__ = ['RESETS', 'Adapter', 'Bilevel', 'Source', 'predict']
