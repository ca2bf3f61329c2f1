"""The frozen part of a network in front of all adapting weights: run once per crop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Optional

import torch
from torch import Tensor

from hrtk.models.estimators import Estimator, hash_tensors

CACHE_BYTES = 1 << 29  # ResNet-50 at 224 px has 0.8 MB of maps per crop


class Trunk:
    """Computes the input of the adapting part of a network.

    Where every adapting weight lies behind the estimator's cut, that input is the feature map at the cut, which one
    pass computes for all steps on a crop. Otherwise it is the crop itself.

    Args:
        model: the estimator.
        names: the weights that adapt.

    Attributes:
        shared: whether the trunk is frozen, so that its output serves every pass over a crop.
        frozen_hash: hash of the trunk's weights; empty if the trunk is not shared.
    """

    def __init__(self, model: Estimator, names: Iterable[str]) -> None:
        self.model = model
        frozen = {
            key: value for key, value in model.state_dict().items() if not model.behind_trunk(key)
        }
        self.shared = bool(frozen) and all(model.behind_trunk(name) for name in names)
        self.frozen_hash = ''
        if self.shared:
            self.frozen_hash = hash_tensors(frozen)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Maps (B, 3, R, R) normalised crops to the input of the adapting part."""
        images = images.to(next(self.model.parameters()).dtype)
        if not self.shared:
            return images
        return self.model.trunk(images)


class TrunkCache:
    """Remembers the trunk's output of numbered crops as long as the trunk's weights stay the same.

    Args:
        limit: bytes to remember; the oldest crops are forgotten first.
    """

    def __init__(self, limit: Optional[int] = None) -> None:
        self.limit = CACHE_BYTES if limit is None else limit
        self._frozen_hash = ''
        self._outputs: dict[int, Tensor] = {}

    def get(self, trunk: Trunk, index: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns the trunk's output of numbered crops; waits for the device if the trunk is shared.

        Args:
            trunk: computes what is not remembered.
            index: (B,) numbers of crops.
            read: reads crops by their numbers, as (B, 3, R, R).
        """
        if not trunk.shared:
            return trunk(read(index))
        if trunk.frozen_hash != self._frozen_hash:
            self._outputs = {}
            self._frozen_hash = trunk.frozen_hash
        numbers = index.tolist()
        outputs = {number: self._outputs[number] for number in numbers if number in self._outputs}
        for number in numbers:
            if number not in outputs:
                # One by one: a convolution rounds by the size of its batch, and results must not depend on which
                # crops happen to be remembered.
                outputs[number] = trunk(read(torch.tensor([number], device=index.device)))[0]
        self._outputs.update(outputs)
        batch = torch.stack([outputs[number] for number in numbers])
        while len(self._outputs) * batch[0].nbytes > self.limit:
            del self._outputs[next(iter(self._outputs))]
        return batch
