"""What every estimator has: a body, an input size, crops from a sequence, and a fingerprint of its weights."""

from __future__ import annotations

import hashlib
from typing import Iterable, Mapping, Optional

import torch
from torch import Tensor, nn

from hrtk.body_models import BodyModel
from hrtk.geometry.boxes import crop_image, normalise
from hrtk.registry import BODY_MODELS
from hrtk.structures import Prediction, Sequence


class Estimator(nn.Module):
    """A network that turns crops into :class:`~hrtk.structures.Prediction`.

    A subclass implements ``forward(images (B, 3, R, R)) -> Prediction``. It may cut its network in two,
    ``forward(x) == from_trunk(trunk(x))``: adapters that leave the weights before the cut alone run that part once per
    crop. Without a cut of its own everything lies behind an empty trunk.

    Args:
        resolution: R, side of the square crops, px.
        body: config of the body model that its parameters belong to, or None where only parameters are needed.
    """

    def __init__(self, resolution: int, body: Optional[dict] = None) -> None:
        super().__init__()
        self.resolution = resolution
        self.body: Optional[BodyModel] = BODY_MODELS.build(body) if body is not None else None

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, R, R) normalised crops -> B predictions."""
        raise NotImplementedError

    def trunk(self, images: Tensor) -> Tensor:
        """What lies before the cut: (B, 3, R, R) crops -> maps."""
        return images

    def from_trunk(self, maps: Tensor) -> Prediction:
        """What lies behind the cut: maps -> B predictions."""
        return self(maps)

    def behind_trunk(self, name: str) -> bool:
        """Whether the weight of this name plays no part in :meth:`trunk`."""
        return True

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def crops(self, sequence: Sequence, indices: Iterable[int]) -> Tensor:
        """Reads, crops and normalises frames of a sequence: (B, 3, R, R) on the estimator's device."""
        cut = [crop_image(sequence.frames[t], sequence.boxes[t], self.resolution) for t in indices]
        return normalise(torch.stack(cut).to(self.device, non_blocking=True))

    def fingerprint(self) -> dict[str, str]:
        """Hashes of everything that its predictions depend on besides the images."""
        body = {} if self.body is None else {'body': self.body.data.sha256}
        return {'weights': hash_tensors(self.state_dict()), **body}


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names and values, whatever the device."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
