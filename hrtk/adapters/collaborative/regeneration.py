"""The whole of 3DHR-Co: pre-adaptation, then online adaptation that starts anew from it at every sequence."""

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

    Whenever the name of the sequence changes, the weights return to f_s, the weights that ``pre`` made, and with them
    all that the online adapter remembers: Adam's moments, the mean teacher (which starts as f_s) and the motion
    history. The paper speaks of the weights alone; the rest would carry one person over to the next.

    Args:
        pre: config of an adapter that prepares, e.g. ``PreAdapt``; None starts every sequence from the given weights.
        online: config of an adapter, e.g. ``DynamicBilevel``. Its own ``reset`` has no effect.
        reset: ``'sequence'``, the method; ``'never'``, the paper's comparison, in which the weights carry over.
    """

    online: Mapping[str, Any]
    pre: Optional[Mapping[str, Any]] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pre_adapter  # a wrong config is reported now
        self.online_adapter

    @functools.cached_property
    def online_adapter(self) -> Adapter:
        """The adapter of each sequence."""
        return ADAPTERS.build(dict(self.online))

    @functools.cached_property
    def pre_adapter(self) -> Optional[Adapter]:
        """The adapter of the whole target."""
        if self.pre is None:
            return None
        return ADAPTERS.build(dict(self.pre))

    @property
    def states(self) -> tuple[str, ...]:
        """The states of both parts."""
        states = self.online_adapter.states
        if self.pre_adapter is not None:
            states += self.pre_adapter.states
        return states

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Preparation
    ) -> Optional[dict[str, Tensor]]:
        """Prepares both parts; ``online`` first, whose exemplars are described by the source model."""
        if self.pre_adapter is None:
            return self.online_adapter.prepare(estimator, dataset, preparation)
        weights = self.online_adapter.prepare(estimator, dataset, Preparation())
        if weights is not None:
            estimator.load_state_dict(weights)
        return self.pre_adapter.prepare(estimator, dataset, preparation)

    def start(self, estimator: Estimator) -> Session:
        """Starts a session of the online adapter."""
        return self.online_adapter.start(estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns the hashes of both parts."""
        hashes = {}
        for key, value in self.online_adapter.fingerprint().items():
            hashes[f'online.{key}'] = value
        if self.pre_adapter is not None:
            for key, value in self.pre_adapter.fingerprint().items():
                hashes[f'pre.{key}'] = value
        return hashes
