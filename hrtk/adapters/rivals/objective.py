"""The objective of the rivals that change weights: the 2D error of keypoints and a prior of the shape."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.losses import keypoint2d_loss, shape_prior


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Loss weights.

    Attributes:
        keypoints2d: of the squared 2D error, crop coordinates.
        shape_prior: of the squared norm of the betas.
    """

    keypoints2d: float = 10.0
    shape_prior: float = 1e-3


def keypoint_objective(
    posed: PosedPrediction, keypoints: CropKeypoints, weights: LossWeights, normalise: str
) -> Tensor:
    """Returns the weighted sum of both losses.

    Args:
        posed: B predictions with their ``spin24`` joints.
        keypoints: of the same B crops.
        weights: the loss weights.
        normalise: of :func:`~hrtk.losses.keypoint2d_loss`.
    """
    error = keypoint2d_loss(posed.joints2d, keypoints.xy, keypoints.confidence, normalise)
    prior = shape_prior(posed.prediction.betas)
    return weights.keypoints2d * error + weights.shape_prior * prior
