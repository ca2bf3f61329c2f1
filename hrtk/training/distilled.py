"""Training of a vision transformer under full supervision and the maps of a trained network."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import OptionError
from hrtk.evaluation import mpjpe
from hrtk.geometry.boxes import normalise
from hrtk.models.augmentation import distort, mirror_half
from hrtk.models.backbones import ViT
from hrtk.registry import ESTIMATORS, MODELS
from hrtk.training.supervision import LOSS_WEIGHTS, supervise, weighted

DISTILLED = dict(maps=2.0, features=2.0)  # weights of the teacher's losses


@MODELS.register_module()
class DistilledTraining(BaseModel):
    """An estimator with a ViT under full supervision, and under that of a trained network of the same domain.

    A transformer without the locality of convolutions needs many more images than a convolutional network. Where there
    are few, it also learns to predict what a convolutional teacher sees (Touvron et al., "Training data-efficient image
    transformers & distillation through attention", ICML 2021). That paper distils class labels through a token of its
    own; here labels are exact, and what is distilled are features (Romero et al., "FitNets", ICLR 2015, Eq. 3): each
    patch before the cut predicts the teacher's map before its cut at the patch's centre, and the mean of the patches
    predicts the teacher's pooled features. Both predictions are linear, with standardised targets, and are dropped
    behind the training.

    Args:
        estimator: config of the network to train, an :class:`~hrtk.models.estimators.HMR2`.
        teacher: config of the frozen network, an :class:`~hrtk.models.estimators.HMR` with weights and a cut backbone.
            It sees the crops without changes of colour, noise and erased patches.
        weights: of the losses, see :class:`~hrtk.training.supervised.SupervisedTraining`; besides those of ``maps`` and
            ``features``: mean squares, 1 for the best constant.
        augment: as of :class:`~hrtk.training.supervised.SupervisedTraining`.
        bf16: both networks have ``precision='bfloat16'``.

    Raises:
        OptionError: the estimator's backbone is no ViT, or the crops of both networks differ.
    """

    def __init__(
        self,
        estimator: dict,
        teacher: dict,
        weights: Optional[dict[str, float]] = None,
        augment: float = 1.0,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        if bf16:
            estimator = dict(estimator, precision='bfloat16')
            teacher = dict(teacher, precision='bfloat16')
        self.estimator = ESTIMATORS.build(estimator)
        self.teacher = ESTIMATORS.build(teacher).requires_grad_(False).eval()
        if not isinstance(self.estimator.backbone, ViT):
            raise OptionError("DistilledTraining: the estimator's backbone is a ViT")
        if self.teacher.resolution != self.estimator.resolution:
            raise OptionError(
                f'DistilledTraining: estimator and teacher see the same crops, not such of '
                f'{self.estimator.resolution} and {self.teacher.resolution} px'
            )
        self.loss_weights = weights or dict(LOSS_WEIGHTS, **DISTILLED)
        self.augment = augment
        width = self.estimator.backbone.out_channels
        pooled = self.teacher.backbone.out_channels
        with torch.no_grad():
            side = self.teacher.resolution
            channels = self.teacher.trunk(torch.zeros(1, 3, side, side)).shape[1]
        self.to_maps = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels))
        self.to_features = nn.Linear(width, pooled)
        self.register_buffer('centres', patch_centres(self.estimator.backbone, side), False)

    def train(self, mode: bool = True) -> DistilledTraining:
        """Sets the mode of all parts but the teacher, which keeps its statistics."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self,
        image: Tensor,
        rotmat: Tensor,
        betas: Tensor,
        keypoints2d: Tensor,
        camera: Tensor,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[dict[str, float]]:
        """One batch of views, see :class:`~hrtk.datasets.open_stream.views.OpenViews`.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses, else the error of every view.
        """
        clean = image.float()
        seen = clean
        if mode == 'loss':
            clean, rotmat, keypoints2d = mirror_half(clean, rotmat, keypoints2d)
            seen = distort(clean, self.augment)
        patches = self.estimator.trunk(normalise(seen))
        prediction = self.estimator.from_trunk(patches)
        supervision = supervise(self.estimator.body, prediction, rotmat, betas, keypoints2d)
        if mode == 'loss':
            losses = dict(supervision.losses, **self._distil(clean, patches, prediction.features))
            return weighted(losses, self.loss_weights)
        errors = mpjpe(supervision.joints, supervision.true_joints)
        return [dict(mpjpe_mm=error) for error in errors]

    def _distil(self, clean: Tensor, patches: Tensor, features: Tensor) -> dict[str, Tensor]:
        """The teacher's losses; (B, 3, R, R) crops, (B, N, C) patches before the cut, (B, C) mean behind the blocks."""
        with torch.no_grad():
            crops = normalise(clean).contiguous(memory_format=torch.channels_last)
            maps = self.teacher.trunk(crops)
            true_features = self.teacher.from_trunk(maps).features.float()
            true_maps = at_patches(maps.float(), self.centres)
        predicted_maps = self.to_maps(patches.float())
        return dict(
            maps=F.mse_loss(predicted_maps, standardised(true_maps)),
            features=F.mse_loss(self.to_features(features), standardised(true_features)),
        )


def patch_centres(backbone: ViT, side: int) -> Tensor:
    """(1, rows, columns, 2) centres of a ViT's patches, x and y, in [-1, 1] of square crops of ``side`` px, of which
    the ViT sees the columns in the middle.
    """
    height, width = backbone.image_size
    patch = backbone.patch
    centre = patch / 2 - backbone.padding  # of the first patch, px of the ViT's input
    rows = torch.arange(backbone.patches[0]) * patch + centre + (side - height) / 2
    columns = torch.arange(backbone.patches[1]) * patch + centre + (side - width) / 2
    y, x = torch.meshgrid(rows, columns, indexing='ij')
    return (2 * torch.stack([x, y], -1) / side - 1)[None]


def at_patches(maps: Tensor, centres: Tensor) -> Tensor:
    """Bilinear values of maps (B, C, h, w) at (1, rows, columns, 2) positions -> (B, rows * columns, C)."""
    grid = centres.to(maps).expand(len(maps), -1, -1, -1)
    values = F.grid_sample(maps, grid, padding_mode='border', align_corners=False)
    return values.flatten(2).transpose(1, 2)


def standardised(values: Tensor) -> Tensor:
    """Values (..., C) with a mean of 0 and a variance of 1 per channel over everything else."""
    rows = values.flatten(0, -2)
    centred = values - rows.mean(0)
    return centred / (rows.std(0, correction=0) + 1e-3)
