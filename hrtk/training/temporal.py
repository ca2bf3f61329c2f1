"""Training of temporal networks on features that were computed before."""

from __future__ import annotations

from typing import Optional

from mmengine.model import BaseModel
from torch import Tensor, nn

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.evaluation import mpjpe
from hrtk.registry import ESTIMATORS, MODELS, TEMPORAL
from hrtk.training.augmentation import mirror_features
from hrtk.training.supervision import LOSS_WEIGHTS, supervise, weighted


@MODELS.register_module()
class TemporalTraining(BaseModel):
    """A temporal network under full supervision of the middle frame, for windows of features with labels.

    Args:
        network: config of the network to train.
        start: config of the image network that computed the features, with weights. Its body gives the joints, and
            the regressor of the temporal network starts from its regressor, as TCMR and MPS-Net start from SPIN's.
        weights: of the losses, see :class:`~hrtk.training.supervised.SupervisedTraining`.

    Raises:
        InputError: the regressors of both networks differ.
    """

    def __init__(
        self, network: dict, start: dict, weights: Optional[dict[str, float]] = None
    ) -> None:
        super().__init__()
        self.network, self.body = build_from_start(network, start)
        self.loss_weights = weights or LOSS_WEIGHTS

    def forward(
        self,
        features: Tensor,
        rotmat: Tensor,
        betas: Tensor,
        keypoints2d: Tensor,
        camera: Tensor,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[dict[str, float]]:
        """One batch of windows, see :class:`~hrtk.datasets.feature_windows.FeatureWindows`.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses, else the error of every middle frame.
        """
        windows = features[:, 0]
        if mode == 'loss':
            windows, rotmat, keypoints2d = mirror_features(features, rotmat, keypoints2d)
        supervision = supervise(self.body, self.network(windows), rotmat, betas, keypoints2d)
        if mode == 'loss':
            return weighted(supervision.losses, self.loss_weights)
        errors = mpjpe(supervision.joints, supervision.true_joints)
        return [dict(mpjpe_mm=error) for error in errors]


def build_from_start(network: dict, start: dict) -> tuple[nn.Module, BodyModel]:
    """Builds a temporal network whose regressor has the weights of the image network's.

    A network with ``weights`` keeps its own regressor; then the weights of the image network are not read.

    Args:
        network: config of the temporal network.
        start: config of the image network that computed its features.

    Returns:
        The temporal network, and the body of the image network.

    Raises:
        InputError: the regressors of both networks differ.
    """
    temporal_network = TEMPORAL.build(network)
    if network.get('weights') is not None:
        return temporal_network, ESTIMATORS.build({**start, 'weights': None}).body
    image_network = ESTIMATORS.build(dict(start))
    try:
        temporal_network.regressor.load_state_dict(image_network.head.state_dict())
    except RuntimeError as error:
        raise InputError(
            f'the regressor of {type(temporal_network).__name__} cannot start from that of the image '
            f'network, which has another size or form; give both the same config '
            f'({str(error).splitlines()[-1].strip()})'
        ) from error
    return temporal_network, image_network.body
