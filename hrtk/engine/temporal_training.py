"""Training of temporal networks through mmengine's runner, on features that were computed before."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.model import BaseModel
from torch import Tensor

from hrtk.engine.training import WEIGHTS, mirror_labels, supervise
from hrtk.registry import ESTIMATORS, MODELS, TEMPORAL
from hrtk.structures import InputError


@MODELS.register_module()
class TemporalTraining(BaseModel):
    """A temporal network under full supervision of the middle frame, for windows of features with labels.

    Args:
        network: config of the network to train.
        start: config of the image network that made the features, with weights. Its body gives the joints, and its
            regressor is where that of the network starts, as SPIN's in TCMR and MPS-Net.
        weights: factors of the losses, see :class:`~hrtk.engine.training.SupervisedTraining`.

    Raises:
        InputError: the regressors of both networks differ.
    """

    def __init__(self, network: dict, start: dict, weights: Optional[dict[str, float]] = None) -> None:
        super().__init__()
        self.network = TEMPORAL.build(network)
        image_network = ESTIMATORS.build(dict(start))
        self.body = image_network.body
        try:
            self.network.regressor.load_state_dict(image_network.head.state_dict())
        except RuntimeError as error:
            raise InputError(f'TemporalTraining: the regressor of {type(self.network).__name__} cannot start from that '
                             f'of the image network, which has another size or form; give both the same config '
                             f'({str(error).splitlines()[-1].strip()})') from error
        self.weights = weights or WEIGHTS

    def forward(self, features: Tensor, rotmat: Tensor, betas: Tensor, keypoints2d: Tensor, camera: Tensor,
                mode: str = 'tensor') -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of windows, see :class:`~hrtk.datasets.feature_windows.FeatureWindows`; mmengine's modes."""
        windows = features[:, 0]
        if mode == 'loss' and features.shape[1] == 2:
            chosen = torch.rand(len(features), device=features.device) < 0.5
            windows = torch.where(chosen[:, None, None], features[:, 1], windows)
            rotmat, keypoints2d = mirror_labels(chosen, rotmat, keypoints2d)
        terms, errors = supervise(self.body, self.network(windows), rotmat, betas, keypoints2d)
        if mode != 'loss':
            return [dict(mpjpe_mm=error) for error in errors]
        return {f'loss_{name}': self.weights[name] * value for name, value in terms.items()}
