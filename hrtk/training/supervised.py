"""Training of start models through mmengine's runner: the model it steps, and checkpoints without pickled objects."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import flip_map
from hrtk.evaluation import mpjpe
from hrtk.geometry.boxes import normalise
from hrtk.geometry.camera import project
from hrtk.geometry.mirror import mirror_points, mirror_rotmat
from hrtk.losses import betas_loss, rotmat_loss
from hrtk.registry import ESTIMATORS, HOOKS, METRICS, MODELS
from hrtk.structures import Prediction

WEIGHTS = dict(rotmat=8.0, joints3d=15.0, keypoints2d=6.0, betas=0.03)


@MODELS.register_module()
class SupervisedTraining(BaseModel):
    """An estimator under full supervision, for views with pose, shape and keypoints.

    Args:
        estimator: config of the network to train.
        weights: factors of the losses ``rotmat`` (squared), ``joints3d`` (absolute, metres, pelvis-centred, SPIN's
            24), ``keypoints2d`` (absolute, [-1, 1]) and ``betas`` (squared).
        augment: strength of colour, noise and erased patches; 0 leaves only the mirror image.
        bf16: the estimator's ``precision='bfloat16'`` (CPUs with AVX512-BF16, GPUs).
    """

    def __init__(
        self,
        estimator: dict,
        weights: Optional[dict[str, float]] = None,
        augment: float = 1.0,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.estimator = ESTIMATORS.build(
            dict(estimator, precision='bfloat16') if bf16 else estimator
        )
        self.estimator.to(memory_format=torch.channels_last)
        self.weights = weights or WEIGHTS
        self.augment = augment

    def forward(
        self,
        image: Tensor,
        rotmat: Tensor,
        betas: Tensor,
        keypoints2d: Tensor,
        camera: Tensor,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[dict[str, float]]:
        """One batch of views, see :class:`~hrtk.datasets.open_stream.views.OpenViews`; mmengine's modes."""
        if mode == 'loss':
            image, rotmat, keypoints2d = mirror_half(image, rotmat, keypoints2d)
            image = distort(image.float(), self.augment)
        crops = normalise(image.float()).contiguous(memory_format=torch.channels_last)
        predicted = self.estimator(crops)
        terms, joints = supervise(self.estimator.body, predicted, rotmat, betas, keypoints2d)
        if mode != 'loss':
            return [dict(mpjpe_mm=error) for error in mpjpe(*joints)]
        return {f'loss_{name}': self.weights[name] * value for name, value in terms.items()}


def supervise(
    body: BodyModel,
    predicted: Prediction,
    rotmat: Tensor,
    betas: Tensor,
    keypoints2d: Tensor,
    squared: bool = False,
) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
    """Losses of B predictions against labels, without factors, and predicted and true joints that they compare.

    Distances of joints, in the picture too, count absolutely, or ``squared`` as in SPIN and VIBE. Joints are
    (B, 24, 3) ``spin24`` relative to the hips.
    """
    joints = body.joints(predicted.rotmat, predicted.betas, 'spin24')
    with torch.no_grad():
        true = body.joints(rotmat, betas, 'spin24')
    centred, true_centred = (
        joints - joints[:, 2:4].mean(1, keepdim=True),
        true - true[:, 2:4].mean(1, keepdim=True),
    )
    size = torch.square if squared else torch.abs
    terms = dict(
        rotmat=rotmat_loss(predicted.rotmat, rotmat),
        joints3d=size(centred - true_centred).mean(),
        keypoints2d=size(project(joints, predicted.camera) - keypoints2d).mean(),
        betas=betas_loss(predicted.betas, betas),
    )
    return terms, (centred, true_centred)


def mirror_half(
    image: Tensor, rotmat: Tensor, keypoints2d: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mirrors a random half of a batch: crops (B, 3, R, R), rotations (B, 24, 3, 3), ``spin24`` points (B, 24, 2)."""
    chosen = torch.rand(len(image), device=image.device) < 0.5
    image = torch.where(chosen[:, None, None, None], image.flip(3), image)
    return image, *mirror_labels(chosen, rotmat, keypoints2d)


def mirror_labels(chosen: Tensor, rotmat: Tensor, keypoints2d: Tensor) -> tuple[Tensor, Tensor]:
    """Mirrors the labels where ``chosen`` (B,): rotations (B, 24, 3, 3) and ``spin24`` points (B, 24, 2)."""
    turned = mirror_rotmat(rotmat, flip_map('smpl24'))
    points = mirror_points(keypoints2d, flip_map('spin24'))
    return (
        torch.where(chosen[:, None, None, None], turned, rotmat),
        torch.where(chosen[:, None, None], points, keypoints2d),
    )


def distort(image: Tensor, strength: float) -> Tensor:
    """Random gain per channel, brightness, noise and, for a third, an erased patch; (B, 3, R, R) in [0, 255]."""
    count, side = len(image), image.shape[-1]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, device=image.device)

    image = image * (1 + strength * 0.3 * (2 * uniform(count, 3, 1, 1) - 1))
    image = image + strength * 30 * (2 * uniform(count, 1, 1, 1) - 1)
    image = image + torch.randn_like(image) * (strength * 12 * uniform(count, 1, 1, 1))
    place, extent = uniform(count, 2, 1) * side, uniform(count, 2, 1) * side * 0.35 * strength
    grid = torch.arange(side, device=image.device)
    row, column = (((grid >= place[:, i]) & (grid < place[:, i] + extent[:, i])) for i in (0, 1))
    patch = row[:, None, :, None] & column[:, None, None, :] & (uniform(count, 1, 1, 1) < 1 / 3)
    return torch.where(patch, 255 * uniform(count, 3, 1, 1), image).clamp(0, 255)


@METRICS.register_module()
class ViewError(BaseMetric):
    """Mean joint error over held-out views, mm (``spin24``, hip-centred)."""

    default_prefix = 'views'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Collects one number per view."""
        self.results.extend(float(sample['mpjpe_mm']) for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """The mean."""
        return dict(mpjpe_mm=sum(results) / len(results))


@HOOKS.register_module()
class PlainCheckpoints(Hook):
    """Leaves mmengine's log history out of checkpoints, so that they load with ``weights_only=True``."""

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drops what is neither a tensor nor plain."""
        checkpoint.pop('message_hub', None)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Gives the runner the history it expects: that of this process."""
        checkpoint.setdefault('message_hub', MessageHub.get_current_instance().state_dict())
