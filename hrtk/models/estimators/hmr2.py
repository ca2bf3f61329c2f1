"""HMR2, the network of 4D-Humans: a vision transformer and a transformer decoder."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from hrtk.errors import OptionError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators.hmr import HMR
from hrtk.models.heads import RegressorOutput
from hrtk.registry import ESTIMATORS
from hrtk.structures import Prediction

BODIES = ('smpl', 'open')
OTHER_BODY = (
    "the weights predict SMPL's parameters and the body is the free one: poses only, betas 0; approximate, its error "
    'was not measured'
)


@ESTIMATORS.register_module()
class HMR2(HMR):
    """HMR2.0 (Goel et al., "Humans in 4D: Reconstructing and Tracking Humans with Transformers", ICCV 2023).

    The defaults are the official network, 670.4 M parameters: official checkpoints load under their own key names. Of a
    square crop of 256 px the network uses the 192 columns in the middle. The camera is that of the whole crop, as of
    every other estimator. It is cut where its backbone is, see :class:`~hrtk.models.backbones.ViT`.

    An official file predicts parameters of SMPL. With another body the poses drive that body with betas of 0, and
    :attr:`caveat` says so.

    Args:
        backbone: config of a :class:`~hrtk.models.backbones.ViT`; its ``image_size`` is of ``resolution`` rows.
        head: config of the head; ``in_channels`` is filled in; default
            :class:`~hrtk.models.heads.TransformerDecoderHead`.
        resolution: side of the crops, px.
        body: config of the body model, default the bundled free body; None for parameters only.
        weights: ``'open:<name>'``, a path to a checkpoint (4D-Humans' Lightning file, or one of hrtk's trainings), or
            None for random ones.
        weights_body: whose parameters the weights predict: ``'smpl'`` as the official ones, or ``'open'``, the free
            body.
        precision: as of :class:`HMR`.

    Raises:
        InputError: as of :class:`HMR`, or the backbone's input does not fit the crops.
    """

    # Embedded body model and critic of the official file, which is a checkpoint of the whole training.
    ignored_keys = ('discriminator.',)

    def __init__(
        self,
        backbone: Optional[dict] = None,
        head: Optional[dict] = None,
        resolution: int = 256,
        body: Optional[dict] = dict(type='BodyModel'),
        weights: Optional[str] = None,
        weights_body: str = 'smpl',
        precision: str = 'float32',
    ) -> None:
        if weights_body not in BODIES:
            raise OptionError(f'HMR2: weights_body is one of {BODIES}, not {weights_body!r}')
        super().__init__(
            backbone=backbone or dict(type='ViT'),
            head=head or dict(type='TransformerDecoderHead'),
            resolution=resolution,
            body=body,
            precision=precision,
        )
        rows, columns = self.backbone.image_size
        if rows != resolution or columns > resolution or (resolution - columns) % 2:
            raise OptionError(
                f"HMR2: the backbone's image_size has {resolution} rows, as the crops, and at most as many columns, "
                f'with the same number left out on both sides; not {rows} x {columns}'
            )
        self.margin = (resolution - columns) // 2
        self.weights_body = weights_body
        if self._is_other_body():
            self.caveat = f'HMR2: {OTHER_BODY}'
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, R, R) normalised crops -> B predictions, features included."""
        return self.from_trunk(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        """Runs the backbone's blocks before the cut: (B, 3, R, R) -> (B, N, C)."""
        columns = images[..., self.margin : self.resolution - self.margin]
        with self._autocast(images):
            return self.backbone.trunk(columns)

    def from_trunk(self, maps: Tensor) -> Prediction:
        """Runs the backbone's blocks behind the cut and the head."""
        with self._autocast(maps):
            patches = self.backbone.from_trunk(maps)
        return self._regress(patches)

    def behind_trunk(self, name: str) -> bool:
        """Returns whether a parameter belongs to the head or to a block behind the cut."""
        part, _, rest = name.partition('.')
        return part == 'head' or self.backbone.behind_trunk(rest)

    def _regress(self, features: Tensor) -> Prediction:
        # The head's small steps need more than the eight significant bits of bfloat16.
        patches = features.to(self.head.init_body_pose.dtype)
        output = self.head(patches)
        if self._is_other_body():
            output = output._replace(betas=torch.zeros_like(output.betas))
        return self.decode(output, patches.mean(1))

    def _is_other_body(self) -> bool:
        return (
            self.weights_body == 'smpl' and self.body is not None and self.body.data.name == 'open'
        )

    @staticmethod
    def decode(output: RegressorOutput, features: Optional[Tensor] = None) -> Prediction:
        """Converts the head's output to a prediction; ``features`` are the mean of the patches."""
        # From two columns of three numbers to three rows of two.
        rot6d = output.pose.unflatten(1, (24, 2, 3)).transpose(2, 3).flatten(2)
        return Prediction(
            rot6d_to_rotmat(rot6d), output.betas, output.camera, features, output.hidden
        )

    @staticmethod
    def official_key(key: str) -> str:
        """Renames the official head's keys, ``smpl_head.decpose.weight`` -> ``head.decpose.weight``."""
        if key.startswith('smpl_head.'):
            return 'head.' + key.removeprefix('smpl_head.')
        return key
