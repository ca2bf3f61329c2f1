"""HMR, the image network of SPIN, BOA and DynaBOA, and of hrtk's own start model."""

from __future__ import annotations

import contextlib
from typing import Optional

import torch
from torch import Tensor

from hrtk.errors import OptionError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_backbone, load_weights
from hrtk.models.estimators.base import ImageEstimator
from hrtk.models.heads import RegressorOutput
from hrtk.registry import BACKBONES, ESTIMATORS, HEADS
from hrtk.structures import Prediction

PRECISIONS = ('float32', 'bfloat16')
HEAD_KEYS = ('fc1.', 'fc2.', 'decpose.', 'decshape.', 'deccam.', 'init_')


@ESTIMATORS.register_module()
class HMR(ImageEstimator):
    """A backbone and an iterative regressor (Kanazawa et al., 2018; Kolotouros et al., SPIN, 2019).

    The defaults are SPIN's network: official checkpoints load under their own key names.

    Args:
        backbone: config of a backbone with ``out_channels``. HMR is cut where the backbone is, see
            :class:`~hrtk.models.backbones.base.StagedBackbone`.
        head: config of the regressor; ``in_channels`` is filled in.
        resolution: side of the crops, px; 224 for SPIN.
        body: config of the body model, default the bundled free body; None for parameters only.
        weights: ``'open:<name>'`` for weights that ship with hrtk, a path to a checkpoint, or None for random ones.
        backbone_weights: a file for the backbone alone, such as torchvision's ``resnet50-*.pth`` of ImageNet, to start
            a training from, see :func:`~hrtk.models.checkpoints.load_backbone`; not read with ``weights``.
        precision: ``'float32'``, or ``'bfloat16'``: convolutions in half the bits (torch's autocast), while weights,
            regressor, body model, losses and optimisers stay in float32. Both orders of bilevel adaptation work. The
            numbers differ. It is faster on GPUs and on processors with bfloat16 units (AVX512-BF16, AMX) and slower on
            others, see ``docs/en/estimators.md``.

    Raises:
        InputError: the weights are missing, unreadable or those of another network, or the precision is unknown.
    """

    def __init__(
        self,
        backbone: Optional[dict] = None,
        head: Optional[dict] = None,
        resolution: int = 224,
        body: Optional[dict] = dict(type='BodyModel'),
        weights: Optional[str] = None,
        precision: str = 'float32',
        backbone_weights: Optional[str] = None,
    ) -> None:
        super().__init__(resolution, body)
        if precision not in PRECISIONS:
            raise OptionError(
                f'{type(self).__name__}: precision is one of {PRECISIONS}, not {precision!r}'
            )
        self.precision = precision
        self.backbone = BACKBONES.build(backbone or dict(type='ResNet', depth=50))
        self.head = HEADS.build(
            head or dict(type='IterativeRegressor'),
            default_args=dict(in_channels=self.backbone.out_channels),
        )
        if weights is not None:
            load_weights(self, weights)
        elif backbone_weights is not None:
            load_backbone(self.backbone, backbone_weights)

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, R, R) normalised crops -> B predictions, features included."""
        with self._autocast(images):
            features = self.backbone(images)
        return self._regress(features)

    def trunk(self, images: Tensor) -> Tensor:
        """Runs the backbone up to its last stage, if it has one."""
        if not self._has_cut():
            return images
        with self._autocast(images):
            return self.backbone.trunk(images)

    def from_trunk(self, maps: Tensor) -> Prediction:
        """Runs the backbone's last stage and the head."""
        if not self._has_cut():
            return self(maps)
        with self._autocast(maps):
            features = self.backbone.from_trunk(maps)
        return self._regress(features)

    def behind_trunk(self, name: str) -> bool:
        """Returns whether a parameter belongs to the backbone's last stage or to the head."""
        if not self._has_cut():
            return True
        return name.startswith(('head.', f'backbone.{self.backbone.last_stage}.'))

    def _autocast(self, images: Tensor) -> contextlib.AbstractContextManager:
        if self.precision == 'float32':
            return contextlib.nullcontext()
        return torch.autocast(images.device.type, torch.bfloat16)

    def _regress(self, features: Tensor) -> Prediction:
        # The regressor's small steps need more than the eight significant bits of bfloat16.
        features = features.to(self.head.init_pose.dtype)
        return self.decode(RegressorOutput(*self.head(features)), features)

    def _has_cut(self) -> bool:
        return hasattr(self.backbone, 'last_stage')  # see StagedBackbone

    @staticmethod
    def decode(output: RegressorOutput, features: Optional[Tensor] = None) -> Prediction:
        """Converts the head's output to a prediction, with the features that the head received."""
        rotmat = rot6d_to_rotmat(output.pose.unflatten(1, (24, 6)))
        return Prediction(rotmat, output.betas, output.camera, features, output.hidden)

    @staticmethod
    def official_key(key: str) -> str:
        """Renames SPIN's flat key (``fc1.weight`` -> ``head.fc1.weight``)."""
        if key.startswith(('backbone.', 'head.')):
            return key
        if key.startswith(HEAD_KEYS):
            return f'head.{key}'
        return f'backbone.{key}'
