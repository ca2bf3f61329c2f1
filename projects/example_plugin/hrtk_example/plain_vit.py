"""An estimator: a plain vision transformer (Dosovitskiy et al., ICLR 2021) that predicts a body from one token."""

from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.errors import OptionError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators import ImageEstimator
from hrtk.registry import ESTIMATORS
from hrtk.structures import Prediction

PATCH = 16  # px
# Facing the camera, no joint bent: 24 rotations in SPIN's 6-D form; betas; camera.
START = [1.0, 0, 0, -1, 0, 0] + 23 * [1.0, 0, 0, 1, 0, 0] + 10 * [0.0] + [0.9, 0, 0]


@ESTIMATORS.register_module()
class PlainViT(ImageEstimator):
    """Patches of a crop and one more token pass a transformer; a linear layer turns the token into a body.

    Args:
        resolution: side of the crops, a multiple of 16 px.
        body: config of the body model; None for parameters only.
        weights: a checkpoint of this network; None for random weights.

    Raises:
        InputError: no such multiple, or the weights are missing, damaged or those of another network.
    """

    def __init__(
        self,
        resolution: int = 112,
        body: Optional[dict] = dict(type='BodyModel'),
        weights: Optional[str] = None,
    ) -> None:
        super().__init__(resolution, body)
        if resolution % PATCH:
            raise OptionError(f'PlainViT: resolution={resolution} is no multiple of {PATCH} px')
        self.patches = nn.Conv2d(3, 192, PATCH, stride=PATCH)
        self.token = nn.Parameter(torch.zeros(1, 1, 192))
        self.positions = nn.Parameter(0.02 * torch.randn(1, (resolution // PATCH) ** 2 + 1, 192))
        options = dict(dropout=0.0, activation='gelu', batch_first=True, norm_first=True)
        layer = nn.TransformerEncoderLayer(192, 3, 768, **options)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(192), nn.Linear(192, len(START)))
        nn.init.normal_(self.head[1].weight, std=1e-3)
        self.head[1].bias.data = torch.tensor(START)
        if weights is not None:
            load_weights(self, weights)  # every key and every shape must match

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, R, R) normalised crops -> B predictions."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), patches], dim=1)
        tokens = self.layers(tokens + self.positions)
        pose, betas, camera = self.head(tokens[:, 0]).split((144, 10, 3), dim=1)
        return Prediction(rot6d_to_rotmat(pose.unflatten(1, (24, 6))), betas, camera)
