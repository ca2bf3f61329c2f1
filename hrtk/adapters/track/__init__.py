"""Adaptation to whole tracks."""

from hrtk.adapters.track.fit import TrackFit

__all__ = ['TrackFit']
