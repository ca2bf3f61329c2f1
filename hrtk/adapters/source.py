"""No adaptation: the baseline of every comparison."""

from __future__ import annotations

import dataclasses

from hrtk.adapters.base import Adapter, FrozenSession
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class Source(Adapter):
    """The frozen source model.

    Args:
        batch_size: frames per forward pass.
    """

    batch_size: int = 32

    def start(self, estimator: Estimator) -> FrozenSession:
        """Starts a session with unchanged weights."""
        return FrozenSession(estimator, self.batch_size)
