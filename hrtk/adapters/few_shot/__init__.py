"""Adaptation to a few labelled frames of the target."""

from hrtk.adapters.few_shot.metric import FewShotMetric

__all__ = ['FewShotMetric']
