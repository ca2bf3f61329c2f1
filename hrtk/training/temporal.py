"""Training of temporal networks through mmengine's runner, on features that were computed before."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.evaluation import mpjpe
from hrtk.registry import ESTIMATORS, MODELS, TEMPORAL
from hrtk.training.supervised import WEIGHTS, mirror_labels, supervise


@MODELS.register_module()
class TemporalTraining(BaseModel):
    """A temporal network under full supervision of the middle frame, for windows of features with labels.

    Args:
        network: config of the network to train.
        start: config of the image network that made the features, with weights. Its body gives the joints, and its
            regressor is where that of the network starts, as SPIN's in TCMR and MPS-Net.
        weights: factors of the losses, see :class:`~hrtk.training.supervised.SupervisedTraining`.

    Raises:
        InputError: the regressors of both networks differ.
    """

    def __init__(
        self, network: dict, start: dict, weights: Optional[dict[str, float]] = None
    ) -> None:
        super().__init__()
        self.network, self.body = build_from_start(network, start)
        self.weights = weights or WEIGHTS

    def forward(
        self,
        features: Tensor,
        rotmat: Tensor,
        betas: Tensor,
        keypoints2d: Tensor,
        camera: Tensor,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[dict[str, float]]:
        """One batch of windows, see :class:`~hrtk.datasets.feature_windows.FeatureWindows`; mmengine's modes."""
        windows = features[:, 0]
        if mode == 'loss':
            windows, rotmat, keypoints2d = mirror_some(features, rotmat, keypoints2d)
        terms, joints = supervise(self.body, self.network(windows), rotmat, betas, keypoints2d)
        if mode != 'loss':
            return [dict(mpjpe_mm=error) for error in mpjpe(*joints)]
        return {f'loss_{name}': self.weights[name] * value for name, value in terms.items()}


def build_from_start(network: dict, start: dict) -> tuple[nn.Module, BodyModel]:
    """A temporal network whose regressor is that of the image network that made its features, and the latter's body.

    Raises:
        InputError: the regressors of both networks differ.
    """
    built, image_network = TEMPORAL.build(network), ESTIMATORS.build(dict(start))
    try:
        built.regressor.load_state_dict(image_network.head.state_dict())
    except RuntimeError as error:
        raise InputError(
            f'the regressor of {type(built).__name__} cannot start from that of the image network, which '
            f'has another size or form; give both the same config '
            f'({str(error).splitlines()[-1].strip()})'
        ) from error
    return built, image_network.body


def mirror_some(
    features: Tensor, rotmat: Tensor, keypoints2d: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Takes the mirrored features of a random half of a batch, and mirrors its labels.

    Args:
        features: (B, 2, T, F), the second those of mirrored crops, or (B, 1, T, F), where nothing is mirrored.
        rotmat: (B, 24, 3, 3), or (B, T, 24, 3, 3) of all frames.
        keypoints2d: (B, 24, 2), or (B, T, 24, 2) of all frames; ``spin24``.

    Returns:
        (B, T, F) features, and the labels in their shapes.
    """
    if features.shape[1] == 1:
        return features[:, 0], rotmat, keypoints2d
    chosen = torch.rand(len(features), device=features.device) < 0.5
    windows = torch.where(chosen[:, None, None], features[:, 1], features[:, 0])
    if rotmat.ndim == 4:
        return windows, *mirror_labels(chosen, rotmat, keypoints2d)
    every = chosen.repeat_interleave(rotmat.shape[1])
    mirrored = mirror_labels(every, rotmat.flatten(0, 1), keypoints2d.flatten(0, 1))
    return windows, *(labels.unflatten(0, (len(chosen), -1)) for labels in mirrored)
