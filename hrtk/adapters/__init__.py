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
from hrtk.adapters.gate import DoNoHarm
from hrtk.adapters.rivals import ClosedForm, CycleAdapt, KeypointFit, NormAdapt, SMPLify
from hrtk.adapters.source import Source
from hrtk.adapters.topology import TopologyAdapter
from hrtk.adapters.track import TrackFit

__all__ = [
    'FROZEN',
    'RESETS',
    'Adapter',
    'Bilevel',
    'ClosedForm',
    'CycleAdapt',
    'DoNoHarm',
    'DynamicBilevel',
    'Effort',
    'FewShotMetric',
    'FrozenSession',
    'KeypointFit',
    'NormAdapt',
    'PreAdapt',
    'Preparation',
    'PreparationStep',
    'Regeneration',
    'SMPLify',
    'Session',
    'Source',
    'TopologyAdapter',
    'TrackFit',
    'predict',
]
