"""RSC-Net, SPIN's network for pictures of any resolution."""

from __future__ import annotations

from typing import Iterable, Optional

import torch
from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image, normalise
from hrtk.geometry.imresize import imresize
from hrtk.models.backbones.rsc_resnet import resolution_bucket
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators.hmr import HMR
from hrtk.models.heads import RegressorOutput
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

    Attributes:
        projection: (B, 2048) ``features`` of a prediction -> (B, 256), the official network's fourth output. It served
            the contrastive loss of training; predictions do not need it, so it is run by those alone who call it.

    Raises:
        InputError: the size is out of range, or the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        size: int = RESOLUTION,
        backbone: Optional[dict] = None,
        body: Optional[dict] = dict(type='BodyModel'),
        weights: Optional[str] = None,
    ) -> None:
        if not 1 <= size <= RESOLUTION:
            raise InputError(f'RSCNet: size is from 1 to {RESOLUTION} px, not {size}')
        super().__init__(
            backbone or dict(type='RSCResNet', depth=50),
            dict(type='IterativeRegressor', activation='relu'),
            RESOLUTION,
            body,
        )
        self.size, self.bucket = size, resolution_bucket(size)
        self.projection = nn.Sequential(
            nn.Linear(self.backbone.out_channels, 1024), nn.ReLU(), nn.Linear(1024, 256)
        )
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor, bucket: Optional[int] = None) -> Prediction:
        """Crops to predictions, features included.

        Args:
            images: (B, 3, 224, 224) normalised crops.
            bucket: which gains, see :func:`~hrtk.models.backbones.rsc_resnet.resolution_bucket`; None for those of
                the network's ``size``, 0 unless it was set.
        """
        return self.from_trunk(self.trunk(images, bucket), bucket)

    def trunk(self, images: Tensor, bucket: Optional[int] = None) -> Tensor:
        """The backbone up to its last stage."""
        return self.backbone.trunk(images, self.bucket if bucket is None else bucket)

    def from_trunk(self, maps: Tensor, bucket: Optional[int] = None) -> Prediction:
        """The backbone's last stage and the head."""
        features = self.backbone.from_trunk(maps, self.bucket if bucket is None else bucket)
        return self.decode(RegressorOutput(*self.head(features)), features)

    def behind_trunk(self, name: str) -> bool:
        """The last stage's, the head's and the projection's weights."""
        return super().behind_trunk(name) or name.startswith('projection.')

    def crops(self, sequence: Sequence, indices: Iterable[int]) -> Tensor:
        """Reads, crops and normalises frames, reduced to ``size``: (B, 3, 224, 224) on the estimator's device."""
        if self.size == RESOLUTION:
            return super().crops(sequence, indices)
        cut = torch.stack(
            [crop_image(sequence.frames[t], sequence.boxes[t], RESOLUTION) for t in indices]
        )
        small = imresize(cut.to(self.device, non_blocking=True), self.size, stretch=True)
        return normalise(imresize(small, RESOLUTION))

    def fingerprint(self) -> dict[str, str]:
        """Hashes of everything that its predictions depend on besides the images."""
        return {**super().fingerprint(), 'size': str(self.size)}

    @staticmethod
    def official_key(key: str) -> str:
        """RSC-Net's flat key -> ours (``layer4_mlp.0.weight`` -> ``projection.0.weight``)."""
        if key.startswith(('layer4_mlp.', 'projection.')):
            return key.replace('layer4_mlp.', 'projection.')
        return HMR.official_key(key)
