"""Bilevel online adaptation: BOA, and DynaBOA with exemplars and dynamic steps."""

from hrtk.adapters.bilevel.boa import Bilevel
from hrtk.adapters.bilevel.dynamic import DynamicBilevel

__all__ = ['Bilevel', 'DynamicBilevel']
