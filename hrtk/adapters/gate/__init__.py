"""DoNoHarm: a gate around any adapter."""

from hrtk.adapters.gate.adapter import DoNoHarm

__all__ = ['DoNoHarm']
