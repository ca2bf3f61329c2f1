"""Training of start models under full supervision."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.model import BaseModel
from torch import Tensor

from hrtk.evaluation import mpjpe
from hrtk.geometry.boxes import normalise
from hrtk.models.augmentation import distort, mirror_half
from hrtk.registry import ESTIMATORS, MODELS
from hrtk.training.supervision import LOSS_WEIGHTS, supervise, weighted


@MODELS.register_module()
class SupervisedTraining(BaseModel):
    """An estimator under full supervision, or, for views without pose and shape, under that of keypoints alone.

    Args:
        estimator: config of the network to train.
        weights: of the losses ``rotmat`` (squared), ``joints3d`` (absolute, metres, hip-centred, SPIN's 24),
            ``keypoints2d`` (absolute, [-1, 1]) and ``betas`` (squared).
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
        if bf16:
            estimator = dict(estimator, precision='bfloat16')
        self.estimator = ESTIMATORS.build(estimator)
        self.estimator.to(memory_format=torch.channels_last)
        self.loss_weights = weights or LOSS_WEIGHTS
        self.augment = augment

    def forward(
        self,
        image: Tensor,
        rotmat: Tensor,
        betas: Tensor,
        keypoints2d: Tensor,
        camera: Tensor,
        has_body: Optional[Tensor] = None,
        confidence: Optional[Tensor] = None,
        mode: str = 'tensor',
        **measured: Tensor,
    ) -> dict[str, Tensor] | list[dict[str, float]]:
        """One batch of views, see :class:`~hrtk.datasets.open_stream.views.OpenViews`.

        ``has_body`` and ``confidence`` are those of :class:`~hrtk.datasets.official.spin_views.SPINViews` with
        ``weak=True``; None: every view has a body and all keypoints. ``measured``, the labels ``S`` and ``part`` of
        :class:`~hrtk.datasets.official.spin_views.SPINViews`, are not used.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses, else the error of every view.
        """
        if mode == 'loss':
            points = keypoints2d
            if confidence is not None:
                points = torch.cat([keypoints2d, confidence[..., None]], -1)
            image, rotmat, points = mirror_half(image, rotmat, points)
            keypoints2d = points[..., :2]
            if confidence is not None:
                confidence = points[..., 2]
            image = distort(image.float(), self.augment)
        crops = normalise(image.float()).contiguous(memory_format=torch.channels_last)
        supervision = supervise(
            self.estimator.body,
            self.estimator(crops),
            rotmat,
            betas,
            keypoints2d,
            has_body=has_body,
            confidence=confidence,
        )
        if mode == 'loss':
            return weighted(supervision.losses, self.loss_weights)
        errors = mpjpe(supervision.joints, supervision.true_joints)
        return [dict(mpjpe_mm=error) for error in errors]
