"""The complete 3DHR-Co: pre-adaptation, then online adaptation that is reset to its weights at every sequence.

Any adapter that prepares can take the place of pre-adaptation, e.g. few-shot adaptation.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Optional

from torch import Tensor

from hrtk.adapters.base import Adapter, Preparation, Session
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class Regeneration(Adapter):
    """Algorithm 1 of 3DHR-Co: lines 3 to 11 by ``pre``, lines 12 to 18 by ``online``.

    At every new sequence, the weights are reset to f_s, the result of ``pre``, and so is the state of the online
    adapter: Adam's moments, the mean teacher (initially f_s) and the motion history. The paper mentions only the
    weights; without the other resets, one person's state would affect the next person.

    Args:
        pre: config of an adapter that prepares, e.g. ``PreAdapt`` or ``FewShotMetric``; None starts every sequence
            from the source model's weights.
        online: config of an adapter, e.g. ``DynamicBilevel``. Its own ``reset`` has no effect.
        reset: ``'sequence'`` for the method; ``'never'`` for the paper's baseline, in which the weights carry over.
    """

    online: Mapping[str, Any]
    pre: Optional[Mapping[str, Any]] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # Build these now, so that bad options fail at construction.
        self.pre_adapter
        self.online_adapter

    @functools.cached_property
    def online_adapter(self) -> Adapter:
        """The adapter that adapts to each sequence."""
        return ADAPTERS.build(dict(self.online))

    @functools.cached_property
    def pre_adapter(self) -> Optional[Adapter]:
        """The adapter that prepares on the whole target, or None."""
        if self.pre is None:
            return None
        return ADAPTERS.build(dict(self.pre))

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states of both adapters."""
        states = self.online_adapter.states
        if self.pre_adapter is not None:
            states += self.pre_adapter.states
        return states

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Preparation
    ) -> Optional[dict[str, Tensor]]:
        """Prepares ``online``, whose exemplars need features of the source model, and then ``pre``."""
        if self.pre_adapter is None:
            return self.online_adapter.prepare(estimator, dataset, preparation)
        weights = self.online_adapter.prepare(estimator, dataset, Preparation())
        if weights is not None:
            estimator.load_state_dict(weights)
        prepared = self.pre_adapter.prepare(estimator, dataset, preparation)
        if prepared is None:
            return weights
        return prepared

    def start(self, estimator: Estimator) -> Session:
        """Starts a session of the online adapter."""
        return self.online_adapter.start(estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns the hashes of both adapters."""
        hashes = {}
        for key, value in self.online_adapter.fingerprint().items():
            hashes[f'online.{key}'] = value
        if self.pre_adapter is not None:
            for key, value in self.pre_adapter.fingerprint().items():
                hashes[f'pre.{key}'] = value
        return hashes
