"""The base classes of estimators: body model, input size, crops of a sequence, and a fingerprint of the weights."""

from __future__ import annotations

import hashlib
from typing import Iterable, Mapping, Optional

import torch
from torch import Tensor, nn

from hrtk.body_models import BodyModel
from hrtk.errors import OptionError
from hrtk.geometry.boxes import crop_image, denormalise, normalise
from hrtk.geometry.uploads import upload
from hrtk.registry import BODY_MODELS
from hrtk.structures import Prediction, Sequence


class Estimator(nn.Module):
    """Base class of networks that map crops to a :class:`~hrtk.structures.Prediction`.

    A subclass is an :class:`ImageEstimator` or a :class:`ClipEstimator` and implements ``forward``. A direct subclass
    of this class counts as an image estimator.

    An estimator may cut its network in two, ``forward(x) == from_trunk(trunk(x))``. Adapters that do not change the
    weights before the cut compute the trunk once per crop. An estimator without a cut has an empty trunk: all its
    weights lie behind it.

    Args:
        resolution: R, side of the square crops, px.
        body: config of the body model that the predicted parameters belong to, or None for parameters only.

    Attributes:
        precision: ``'float32'``, or ``'bfloat16'`` if convolutions are computed in it.
        caveat: what a user must know of every result, which then says it; or None.
    """

    precision = 'float32'
    caveat: Optional[str] = None

    def __init__(self, resolution: int, body: Optional[dict] = None) -> None:
        super().__init__()
        self.resolution = resolution
        self.body: Optional[BodyModel] = None
        if body is not None:
            self.body = BODY_MODELS.build(body)

    def forward(self, images: Tensor) -> Prediction:
        """Maps normalised crops to one prediction per crop."""
        raise NotImplementedError

    def trunk(self, images: Tensor) -> Tensor:
        """Runs the layers before the cut: normalised crops -> maps."""
        return images

    def from_trunk(self, maps: Tensor) -> Prediction:
        """Runs the layers behind the cut: maps -> one prediction per crop."""
        return self(maps)

    def behind_trunk(self, name: str) -> bool:
        """Returns whether the parameter of this name is not used by :meth:`trunk`."""
        return True

    @property
    def required_body(self) -> BodyModel:
        """The body model.

        Raises:
            InputError: the estimator was built without one.
        """
        if self.body is None:
            raise OptionError(
                f'{type(self).__name__}: joints and vertices need a body; give the estimator '
                f"body=dict(type='BodyModel')"
            )
        return self.body

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def crops(self, sequence: Sequence, indices: Iterable[int]) -> Tensor:
        """Reads, crops and normalises frames of a sequence.

        Args:
            sequence: the frames and their boxes.
            indices: B frame indices.

        Returns:
            (B, 3, R, R) crops on the estimator's device.

        Raises:
            InputError: a frame cannot be read.
        """
        images = [
            crop_image(sequence.frames[t], sequence.boxes[t], self.resolution) for t in indices
        ]
        return self.normalise(upload(torch.stack(images), self.device))

    def normalise(self, crops: Tensor) -> Tensor:
        """Maps stored crops, (B, 3, R, R) grey levels in [0, 255], to the input of :meth:`forward`."""
        if not crops.is_floating_point():
            crops = crops.float()
        return normalise(crops)

    def denormalise(self, crops: Tensor) -> Tensor:
        """The inverse of :meth:`normalise`."""
        return denormalise(crops)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one crop: (3, R, R)."""
        return 3, self.resolution, self.resolution

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of everything besides the images that the predictions depend on."""
        hashes = {'weights': hash_tensors(self.state_dict())}
        if self.body is not None:
            hashes['body'] = self.body.data.sha256
        return hashes


class ImageEstimator(Estimator):
    """An estimator of single images: ``forward`` maps (B, 3, R, R) normalised crops to B predictions.

    The crops of a batch are independent: their order and number do not change a prediction in evaluation mode.
    """


class ClipEstimator(Estimator):
    """An estimator of videos: ``forward`` maps (V, T, 3, R, R) normalised clips to V * T predictions, clip after clip.

    A clip holds T consecutive frames. :meth:`crops` returns one clip, (1, T, 3, R, R).
    """


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Returns the sha256 of names and values, which does not depend on the device."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
