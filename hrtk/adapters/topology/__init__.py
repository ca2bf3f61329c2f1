"""Adaptation to foreground masks by silhouettes and their topology."""

from hrtk.adapters.topology.adapter import TopologyAdapter

__all__ = ['TopologyAdapter']
