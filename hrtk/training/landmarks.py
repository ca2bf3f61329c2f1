"""Training of lifters from landmarks to bodies."""

from __future__ import annotations

from typing import Optional

from mmengine.model import BaseModel
from torch import Tensor

from hrtk.evaluation import mpjpe
from hrtk.registry import ESTIMATORS, MODELS
from hrtk.training.supervision import LOSS_WEIGHTS, supervise, weighted

SPREAD_WEIGHT = 0.05  # it has weights of its own, so this is only a step size


def spread_loss(spread: Tensor, distance: Tensor) -> Tensor:
    """Negative log-likelihood of distances (B, J) that are distributed exponentially with means ``spread`` (B, J)."""
    return SPREAD_WEIGHT * (spread.log() + distance / spread).mean()


@MODELS.register_module()
class LandmarkTraining(BaseModel):
    """A :class:`~hrtk.models.estimators.LandmarkHMR` under full supervision, for observations with labels.

    Args:
        estimator: config of the estimator to train.
        weights: of the losses, see :class:`~hrtk.training.supervised.SupervisedTraining`.
        judge_only: whether only the judgement is trained, the ``joint_spread``, and all bodies stay what they are.

    The mean with the mirror image (:class:`~hrtk.models.landmarks.LandmarkLifter`) is taken after the training only,
    where it costs a second pass and lowers the error; in training half of the passes would be lost.
    """

    def __init__(
        self,
        estimator: dict,
        weights: Optional[dict[str, float]] = None,
        judge_only: bool = False,
    ) -> None:
        super().__init__()
        self.estimator = ESTIMATORS.build(estimator)
        self.estimator.lifter.symmetric = False
        if judge_only:
            self.estimator.requires_grad_(False)
            self.estimator.lifter.spread.requires_grad_(True)
        self.loss_weights = weights or LOSS_WEIGHTS

    def forward(
        self,
        image: Tensor,
        rotmat: Tensor,
        betas: Tensor,
        keypoints2d: Tensor,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[dict[str, float]]:
        """One batch of observations, see :class:`~hrtk.datasets.landmarks.LandmarkViews`.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses, else the error of every observation.
        """
        predicted = self.estimator(image)
        supervision = supervise(self.estimator.body, predicted, rotmat, betas, keypoints2d)
        if mode == 'loss':
            losses = weighted(supervision.losses, self.loss_weights)
            distance = (supervision.joints - supervision.true_joints).norm(dim=-1).detach()
            losses['loss_spread'] = spread_loss(predicted.joint_spread, distance)
            return losses
        errors = mpjpe(supervision.joints, supervision.true_joints)
        return [dict(mpjpe_mm=error) for error in errors]
