"""RSC-Net, SPIN's network for images of any resolution."""

from __future__ import annotations

from typing import Iterable, Optional

import torch
from torch import Tensor, nn

from hrtk.errors import OptionError
from hrtk.geometry.boxes import crop_image, normalise
from hrtk.geometry.imresize import imresize
from hrtk.geometry.uploads import upload
from hrtk.models.backbones.rsc_resnet import resolution_bucket
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators.hmr import HMR
from hrtk.registry import ESTIMATORS
from hrtk.structures import Prediction, Sequence

RESOLUTION = 224


@ESTIMATORS.register_module()
class RSCNet(HMR):
    """SPIN's network with gains per resolution and ReLUs in its regressor (Xu et al., ECCV 2020).

    Its crops have 224 px. A lower ``size`` replays the published low-resolution protocol: every crop is shrunk to
    ``size`` px and enlarged again, and the gains of that size are used.

    Args:
        size: px across the crop that carry detail, 1 to 224; 32 is the default of the released evaluation.
        backbone: config of a backbone that takes buckets.
        body: config of the body model, default the bundled free body; None for parameters only.
        weights: a path to a checkpoint (``RSC-Net.pt``), or None for random ones.
        precision: of :class:`~hrtk.models.estimators.hmr.HMR`.

    Attributes:
        bucket: the gains of ``size``, see :func:`~hrtk.models.backbones.rsc_resnet.resolution_bucket`.
        projection: (B, 2048) ``features`` of a prediction -> (B, 256), the official network's fourth output. It served
            the contrastive loss of training; predictions do not need it, so ``forward`` does not run it.

    Raises:
        InputError: the size is out of range, or the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        size: int = RESOLUTION,
        backbone: Optional[dict] = None,
        body: Optional[dict] = dict(type='BodyModel'),
        weights: Optional[str] = None,
        precision: str = 'float32',
    ) -> None:
        if not 1 <= size <= RESOLUTION:
            raise OptionError(f'RSCNet: size is from 1 to {RESOLUTION} px, not {size}')
        super().__init__(
            backbone or dict(type='RSCResNet', depth=50),
            dict(type='IterativeRegressor', activation='relu'),
            RESOLUTION,
            body,
            precision=precision,
        )
        self.size = size
        self.bucket = resolution_bucket(size)
        self.projection = nn.Sequential(
            nn.Linear(self.backbone.out_channels, 1024), nn.ReLU(), nn.Linear(1024, 256)
        )
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor, bucket: Optional[int] = None) -> Prediction:
        """Maps crops to predictions, features included.

        Args:
            images: (B, 3, 224, 224) normalised crops.
            bucket: of the gains, see :func:`~hrtk.models.backbones.rsc_resnet.resolution_bucket`; None for that of
                the network's ``size``, 0 by default.
        """
        return self.from_trunk(self.trunk(images, bucket), bucket)

    def trunk(self, images: Tensor, bucket: Optional[int] = None) -> Tensor:
        """Runs the backbone up to its last stage."""
        if bucket is None:
            bucket = self.bucket
        with self._autocast(images):
            return self.backbone.trunk(images, bucket)

    def from_trunk(self, maps: Tensor, bucket: Optional[int] = None) -> Prediction:
        """Runs the backbone's last stage and the head."""
        if bucket is None:
            bucket = self.bucket
        with self._autocast(maps):
            features = self.backbone.from_trunk(maps, bucket)
        return self._regress(features)

    def behind_trunk(self, name: str) -> bool:
        """Returns whether a parameter belongs to the backbone's last stage, to the head or to the projection."""
        return super().behind_trunk(name) or name.startswith('projection.')

    def crops(self, sequence: Sequence, indices: Iterable[int]) -> Tensor:
        """Reads, crops and normalises frames, reduced to ``size``: (B, 3, 224, 224) on the estimator's device."""
        if self.size == RESOLUTION:
            return super().crops(sequence, indices)
        images = torch.stack(
            [crop_image(sequence.frames[t], sequence.boxes[t], RESOLUTION) for t in indices]
        )
        small = imresize(upload(images, self.device), self.size, stretch=True)
        return normalise(imresize(small, RESOLUTION))

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of everything besides the images that the predictions depend on."""
        return {**super().fingerprint(), 'size': str(self.size)}

    @staticmethod
    def official_key(key: str) -> str:
        """Renames RSC-Net's flat key (``layer4_mlp.0.weight`` -> ``projection.0.weight``)."""
        if key.startswith(('layer4_mlp.', 'projection.')):
            return key.replace('layer4_mlp.', 'projection.')
        return HMR.official_key(key)
