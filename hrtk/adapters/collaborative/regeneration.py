"""The whole of 3DHR-Co: pre-adaptation, then online adaptation that starts anew from it at every sequence."""

from __future__ import annotations

from typing import Any, Iterator, Optional

from torch import Tensor

from hrtk.adapters.base import Adapter, Preparation
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction, Sequence


@ADAPTERS.register_module()
class Regeneration(Adapter):
    """Algorithm 1 of 3DHR-Co: lines 3-11 by ``pre``, lines 12-18 by ``online``.

    Whenever the name of the sequence changes, the weights return to f_s, those that ``pre`` made, and with them all
    that the online adapter carries: Adam's moments, the mean teacher (which begins as f_s) and the motion history.
    The paper speaks of the weights alone; the rest would drag the last person into the next.

    Args:
        pre: config of an adapter that prepares, e.g. ``PreAdapt``; None starts every sequence from the given weights.
        online: config of an adapter, e.g. ``DynamicBilevel``. Its ``reset`` is set here.
        reset: ``'sequence'``, the method; ``'never'``, the paper's point of comparison that carries on.
    """

    def __init__(self, online: dict, pre: Optional[dict] = None, reset: str = 'sequence') -> None:
        super().__init__(reset)
        self.pre: Optional[Adapter] = ADAPTERS.build(pre) if pre is not None else None
        self.online: Adapter = ADAPTERS.build(dict(online, reset=reset))

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Optional[Preparation] = None
    ) -> Optional[dict[str, Tensor]]:
        """Prepares both parts; ``online`` first, whose exemplars are described by the source model."""
        weights = self.online.prepare(estimator, dataset)
        if self.pre is None:
            return weights
        if weights is not None:
            estimator.load_state_dict(weights)
        return self.pre.prepare(estimator, dataset, preparation)

    def adapt(self, estimator: Estimator, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the online adapter's predictions."""
        return self.online.adapt(estimator, sequence)

    def report(self) -> dict[str, float]:
        """The online adapter's numbers."""
        return self.online.report()

    def state_dict(self) -> dict[str, Any]:
        """The online adapter's state."""
        return self.online.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Gives the online adapter its state back."""
        self.online.load_state_dict(state)

    def fingerprint(self) -> dict[str, str]:
        """Hashes of both parts."""
        parts = dict(pre=self.pre, online=self.online)
        return {
            f'{name}.{key}': value
            for name, part in parts.items()
            if part is not None
            for key, value in part.fingerprint().items()
        }
