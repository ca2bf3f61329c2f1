"""HMR, the image network of SPIN, BOA and DynaBOA, and of hrtk's own start model."""

from __future__ import annotations

from typing import Optional

from torch import Tensor

from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators.base import Estimator
from hrtk.registry import BACKBONES, ESTIMATORS, HEADS
from hrtk.structures import Prediction

HEAD_KEYS = ('fc1.', 'fc2.', 'decpose.', 'decshape.', 'deccam.', 'init_')


@ESTIMATORS.register_module()
class HMR(Estimator):
    """A backbone and an iterative regressor (Kanazawa et al., 2018; Kolotouros et al., SPIN, 2019).

    The defaults are SPIN's network: official checkpoints load under their own key names.

    Args:
        backbone: config of a backbone with ``out_channels``.
        head: config of the regressor; ``in_channels`` is filled in.
        resolution: side of the crops, px; 224 for SPIN.
        body: config of the body model, default the bundled free body; None for parameters only.
        weights: ``'open:<name>'`` for weights that come with hrtk, a path to a checkpoint, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network.
    """

    def __init__(self, backbone: Optional[dict] = None, head: Optional[dict] = None, resolution: int = 224,
                 body: Optional[dict] = dict(type='BodyModel'), weights: Optional[str] = None) -> None:
        super().__init__(resolution, body)
        self.backbone = BACKBONES.build(backbone or dict(type='ResNet', depth=50))
        self.head = HEADS.build(head or dict(type='IterativeRegressor'),
                                default_args=dict(in_channels=self.backbone.out_channels))
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, R, R) normalised crops -> B predictions, features included."""
        features = self.backbone(images)
        return self.decode(*self.head(features), features)

    def trunk(self, images: Tensor) -> Tensor:
        """The backbone up to its last stage, if it has stages."""
        return self.backbone.trunk(images) if self._has_cut() else images

    def from_trunk(self, maps: Tensor) -> Prediction:
        """The backbone's last stage and the head."""
        if not self._has_cut():
            return self(maps)
        features = self.backbone.from_trunk(maps)
        return self.decode(*self.head(features), features)

    def behind_trunk(self, name: str) -> bool:
        """The last stage's and the head's weights."""
        return not self._has_cut() or name.startswith(('head.', 'backbone.layer4.'))

    def _has_cut(self) -> bool:
        return hasattr(self.backbone, 'from_trunk')

    @staticmethod
    def decode(pose: Tensor, betas: Tensor, camera: Tensor, features: Tensor) -> Prediction:
        """The head's numbers, (B, 144), (B, 10) and (B, 3), as a prediction."""
        return Prediction(rot6d_to_rotmat(pose.unflatten(1, (24, 6))), betas, camera, features)

    @staticmethod
    def official_key(key: str) -> str:
        """SPIN's flat key -> ours (``fc1.weight`` -> ``head.fc1.weight``)."""
        if key.startswith(('backbone.', 'head.')):
            return key
        return ('head.' if key.startswith(HEAD_KEYS) else 'backbone.') + key
