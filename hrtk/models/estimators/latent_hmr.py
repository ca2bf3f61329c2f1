"""LatentHMR, the network of silhouette-topology alignment: it regresses latents of a pose prior."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.errors import OptionError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators.hmr import HMR
from hrtk.models.priors import PoseAutoEncoder
from hrtk.registry import ESTIMATORS, MODELS
from hrtk.structures import Prediction

PRIOR = 'prior.'  # of the keys of its weights


@ESTIMATORS.register_module()
class LatentHMR(HMR):
    """A backbone, a regressor of latents, and the frozen decoder of a pose prior.

    The regressor of "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery" (NeurIPS 2021, section
    3.4a): ``Theta = {phi, beta, R, s, t}`` with ``phi`` in [-1, 1]^32, from which the prior's decoder makes the pose of
    the body. Whatever changes the network's weights, its poses stay among those that the decoder can make.
    :class:`~hrtk.adapters.TopologyAdapter` fits ``Theta`` itself with ``prior='estimator'``, as Algorithm 1 does.

    The prior's weights are buffers: they are stored with the network, no optimiser and no adapter changes them.

    Args:
        backbone: config of a backbone with ``out_channels``; default the paper's ResNet-50.
        head: config of the regressor; ``in_channels`` and ``latent`` are filled in; default
            :class:`~hrtk.models.heads.LatentRegressor`.
        prior: config of the :class:`~hrtk.models.priors.PoseAutoEncoder`, default the bundled one.
        resolution, body, precision, backbone_weights: of :class:`HMR`.
        weights: as of :class:`HMR`; a file of this network holds the prior, too, which replaces that of ``prior``.

    Raises:
        InputError: as of :class:`HMR`, or the prior is no :class:`~hrtk.models.priors.PoseAutoEncoder`.
    """

    def __init__(
        self,
        backbone: Optional[dict] = None,
        head: Optional[dict] = None,
        prior: Optional[dict] = None,
        resolution: int = 224,
        body: Optional[dict] = dict(type='BodyModel'),
        weights: Optional[str] = None,
        precision: str = 'float32',
        backbone_weights: Optional[str] = None,
    ) -> None:
        built = MODELS.build(prior or dict(type='PoseAutoEncoder', weights='open'))
        if not isinstance(built, PoseAutoEncoder):
            raise OptionError(
                f'LatentHMR: prior is a PoseAutoEncoder, not a {type(built).__name__}'
            )
        if weights is not None:
            backbone_weights = None
        super().__init__(
            backbone=backbone,
            head={'type': 'LatentRegressor', 'latent': built.latent, **(head or {})},
            resolution=resolution,
            body=body,
            precision=precision,
            backbone_weights=backbone_weights,
        )
        turn_into_buffers(built)
        self.prior = built.eval()
        if weights is not None:
            load_weights(self, weights)

    def train(self, mode: bool = True) -> LatentHMR:
        """Sets the mode of everything but the prior."""
        super().train(mode)
        if 'prior' in self._modules:  # nn.Module calls train() during construction, too
            self.prior.eval()
        return self

    def _regress(self, features: Tensor) -> Prediction:
        # As in HMR, the regressor needs more significant bits than bfloat16 has.
        features = features.to(self.head.start.dtype)
        output = self.head(features)
        global_orient = rot6d_to_rotmat(output.global_orient)[:, None]
        rotmat = torch.cat([global_orient, self.prior.decode(output.latent)], 1)
        return Prediction(
            rotmat,
            output.betas,
            output.camera,
            features=features,
            hidden=output.hidden,
            latent=output.latent,
        )

    @staticmethod
    def official_key(key: str) -> str:
        """Renames nothing of its own; other keys as those of :class:`HMR`."""
        if key.startswith(PRIOR):
            return key
        return HMR.official_key(key)


def turn_into_buffers(module: nn.Module) -> None:
    """Replaces all parameters of a module, in place, by buffers of the same names: no optimiser finds them."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            del part._parameters[name]
            part.register_buffer(name, value.detach())
