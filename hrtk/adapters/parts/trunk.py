"""The part of a network that no adapting weight touches: run once per crop, remembered for crops that come again."""

from __future__ import annotations

from typing import Callable, Iterable

import torch
from torch import Tensor

from hrtk.models.estimators import Estimator, hash_tensors

BUDGET = 1 << 29  # bytes of maps of labelled crops; ResNet-50 at 224 px has 0.8 MB of them per crop


class Trunk:
    """Crops to the maps at the estimator's cut where every adapting weight lies behind it, else crops to themselves.

    Args:
        model: the estimator.
        names: the weights that adapt.

    Attributes:
        shared: whether the trunk is frozen, so that its maps serve every pass over a crop.
    """

    def __init__(self, model: Estimator, names: Iterable[str]) -> None:
        self.model = model
        frozen = {
            key: value for key, value in model.state_dict().items() if not model.behind_trunk(key)
        }
        self.shared = bool(frozen) and all(map(model.behind_trunk, names))
        self._hash = hash_tensors(frozen) if self.shared else ''
        self._maps: dict[int, Tensor] = {}

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> what the rest of the network takes."""
        images = images.to(next(self.model.parameters()).dtype)
        return self.model.trunk(images) if self.shared else images

    def recall(self, index: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """The maps of numbered crops; ``read`` gives those that are not remembered as (B, 3, R, R).

        Waits for the device if ``index`` is there and the trunk is shared.
        """
        if not self.shared:
            return self(read(index))
        keys = index.tolist()
        known = {key: self._maps[key] for key in keys if key in self._maps}
        for key in dict.fromkeys(keys):
            if key not in known:
                # One by one: a convolution rounds by the size of its batch, and results must not depend on what
                # happens to be remembered.
                known[key] = self(read(torch.tensor([key], device=index.device)))[0]
        self._maps.update(known)
        while len(self._maps) * known[keys[0]].nbytes > BUDGET:
            del self._maps[next(iter(self._maps))]  # the one that came first
        return torch.stack([known[key] for key in keys])

    def inherit(self, other: Trunk) -> None:
        """Takes over what a trunk with the same weights remembers."""
        if self.shared and other._hash == self._hash:
            self._maps = other._maps
