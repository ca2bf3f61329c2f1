"""Adapters: methods that improve an estimator on its target."""

from hrtk.adapters.base import (
    FROZEN,
    RESETS,
    Adapter,
    Effort,
    FrozenSession,
    Preparation,
    PreparationStep,
    Session,
    predict,
)
from hrtk.adapters.bilevel import Bilevel, DynamicBilevel
from hrtk.adapters.collaborative import PreAdapt, Regeneration
from hrtk.adapters.few_shot import FewShotMetric
from hrtk.adapters.source import Source
from hrtk.adapters.topology import TopologyAdapter
from hrtk.adapters.track import TrackFit

__all__ = [
    'FROZEN',
    'RESETS',
    'Adapter',
    'Bilevel',
    'DynamicBilevel',
    'Effort',
    'FewShotMetric',
    'FrozenSession',
    'PreAdapt',
    'Preparation',
    'PreparationStep',
    'Regeneration',
    'Session',
    'Source',
    'TopologyAdapter',
    'TrackFit',
    'predict',
]
