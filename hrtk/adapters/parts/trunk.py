"""The trunk: the layers of a network before all adapting weights, which run once per crop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Optional

import torch
from torch import Tensor

from hrtk.models.estimators import Estimator, hash_tensors

CACHE_BYTES = 1 << 29  # ResNet-50 at 224 px has 0.8 MB of maps per crop


class Trunk:
    """Computes the input of the adapting part of a network.

    If every adapting weight lies behind the estimator's cut, that input is the feature map at the cut, which one pass
    computes for all steps on a crop. Otherwise it is the crop itself.

    Args:
        model: the estimator.
        names: names of the adapting weights.

    Attributes:
        shared: whether the layers before the cut are frozen, so that all passes over a crop share their output.
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
    """Caches the trunk's output for crops, by index, until the trunk's weights change.

    Args:
        limit: size limit in bytes; the oldest entries are removed first. None is ``CACHE_BYTES``.
    """

    def __init__(self, limit: Optional[int] = None) -> None:
        if limit is None:
            limit = CACHE_BYTES
        self.limit = limit
        self._frozen_hash = ''
        self._outputs: dict[int, Tensor] = {}

    def get(self, trunk: Trunk, index: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns the trunk's output for crops; synchronises with the GPU if the trunk is shared.

        Args:
            trunk: computes the outputs that are not cached.
            index: (B,) indices of crops.
            read: reads crops by their indices, as (B, 3, R, R).
        """
        if not trunk.shared:
            return trunk(read(index))
        if trunk.frozen_hash != self._frozen_hash:
            self._outputs = {}
            self._frozen_hash = trunk.frozen_hash
        indices = index.tolist()
        outputs = {i: self._outputs[i] for i in indices if i in self._outputs}
        for i in indices:
            if i not in outputs:
                # One by one: a convolution rounds differently for each batch size, and results must not depend on
                # which crops are cached.
                outputs[i] = trunk(read(torch.tensor([i], device=index.device)))[0]
        self._outputs.update(outputs)
        batch = torch.stack([outputs[i] for i in indices])
        while len(self._outputs) * batch[0].nbytes > self.limit:
            del self._outputs[next(iter(self._outputs))]
        return batch
