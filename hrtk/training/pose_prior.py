"""Training of the auto-encoder pose prior through mmengine's runner, and what its validation says."""

from __future__ import annotations

import math
from typing import Any, Optional

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.losses import keypoint3d_loss, rotmat_loss
from hrtk.registry import BODY_MODELS, DATASETS, METRICS, MODELS

WEIGHTS = dict(rotmat=3.0, joints3d=100.0, adversarial=0.01)
LEGS = (0, 1, 3, 4, 6, 7, 9, 10)  # places of the body pose, which lacks the pelvis
SAMPLES = 1000


@MODELS.register_module()
class PosePriorTraining(BaseModel):
    """An adversarial auto-encoder of poses: reconstruction, and a latent that a critic cannot tell from a uniform one.

    Least-squares GAN on the latent (Mao et al., ICCV 2017): the critic learns 1 for uniform points of [-1, 1]^L and 0
    for latents of poses, the encoder to be given 1. Both learn in the same step from the same optimiser: the critic
    from detached latents, the encoder through a critic whose weights are constants.

    Args:
        network: config of the :class:`~hrtk.models.priors.PoseAutoEncoder`.
        critic: width of the critic's hidden layers.
        mix: share of poses whose legs are taken from another pose of the batch, so that what arms and legs do is not
            learnt as one.
        noise: half width of uniform noise on latents before they are decoded, which fills the space between them.
        body: config of the body that gives the joints.
        weights: factors of the losses ``rotmat`` (mean square), ``joints3d`` (mean square, metres, ``spin24``, with
            the pelvis in place and mean shape) and ``adversarial`` (the encoder's part).
    """

    def __init__(
        self,
        network: dict,
        critic: int = 256,
        mix: float = 0.0,
        noise: float = 0.0,
        body: Optional[dict] = None,
        weights: Optional[dict[str, float]] = None,
    ) -> None:
        super().__init__()
        self.network = MODELS.build(network)
        # A critic of bounded slope never gets so sure that the encoder has nothing to learn from it.
        self.critic = nn.Sequential(
            spectral_norm(nn.Linear(self.network.latent, critic)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Linear(critic, critic)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Linear(critic, 1)),
        )
        self.body = BODY_MODELS.build(body or dict(type='BodyModel', file='open'))
        self.mix, self.noise = mix, noise
        self.weights = weights or WEIGHTS

    def forward(
        self, rotmat: Tensor, mode: str = 'tensor'
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of poses (B, 23, 3, 3), see
        :class:`~hrtk.datasets.open_stream.poses.OpenPoses`; mmengine's modes.
        """
        if mode != 'loss':
            return self._describe(rotmat)
        rotmat = mix_legs(rotmat, self.mix)
        latent = self.network.encode(rotmat)
        decoded = self.network.decode(latent + self.noise * uniform_like(latent))
        terms = dict(
            rotmat=rotmat_loss(decoded, rotmat),
            joints3d=keypoint3d_loss(self._joints(decoded), self._joints(rotmat)),
            adversarial=(self._judge(latent) - 1).square().mean(),
        )
        losses = {f'loss_{name}': self.weights[name] * value for name, value in terms.items()}
        return dict(
            losses,
            loss_critic=(
                (self.critic(uniform_like(latent)) - 1).square().mean()
                + self.critic(latent.detach()).square().mean()
            )
            / 2,
        )

    def _judge(self, latent: Tensor) -> Tensor:
        """The critic's opinion, which only the encoder may learn from: (B, 1)."""
        constants = {name: value.detach() for name, value in self.critic.named_parameters()}
        return functional_call(self.critic, constants, latent)

    def _joints(self, rotmat: Tensor, skeleton: str = 'spin24') -> Tensor:
        """(B, 23, 3, 3) -> (B, J, 3) metres, pelvis unturned, mean shape."""
        upright = torch.eye(3, dtype=rotmat.dtype, device=rotmat.device).expand(
            len(rotmat), 1, 3, 3
        )
        return self.body.joints(
            torch.cat([upright, rotmat], 1), rotmat.new_zeros(len(rotmat), 10), skeleton
        )

    def _describe(self, rotmat: Tensor) -> list[dict[str, Tensor]]:
        """What :class:`PosePriorQuality` asks about every pose."""
        latent = self.network.encode(rotmat)
        decoded = self.network.decode(latent)
        columns = dict(
            angle_deg=angles_deg(decoded, rotmat).mean(1),
            latent=latent,
            rotmat=rotmat,
            random=self.network.decode(uniform_like(latent)),
        )
        for name, skeleton in (('mpjpe_mm', 'spin24'), ('mpjpe14_mm', 'lsp14')):
            joints = self._joints(torch.cat([decoded, rotmat]), skeleton)
            # Both lists have the hips in these places.
            found, true = (joints - joints[:, 2:4].mean(1, keepdim=True)).chunk(2)
            columns[name] = (found - true).norm(dim=-1).mean(1) * 1000
        return [dict(zip(columns, row)) for row in zip(*columns.values())]


def uniform_like(values: Tensor) -> Tensor:
    """Numbers from U[-1, 1]."""
    return torch.rand_like(values) * 2 - 1


def mix_legs(rotmat: Tensor, share: float) -> Tensor:
    """Gives a random share of poses (B, 23, 3, 3) the legs of the next pose of the batch."""
    legs = torch.zeros(rotmat.shape[1], dtype=torch.bool, device=rotmat.device)
    legs[list(LEGS)] = True
    chosen = torch.rand(len(rotmat), device=rotmat.device) < share
    return torch.where((chosen[:, None] & legs)[..., None, None], rotmat.roll(1, 0), rotmat)


def angles_deg(first: Tensor, second: Tensor) -> Tensor:
    """Angles between rotations (..., 3, 3), in degrees."""
    chord = (first - second).flatten(-2).norm(dim=-1) / math.sqrt(8)
    return torch.rad2deg(2 * chord.clamp(max=1).asin())


@METRICS.register_module()
class PosePriorQuality(BaseMetric):
    """How well a pose prior fits held-out poses, and how near to the training poses random latents are decoded.

    ``mpjpe14_mm``: joint error of reconstructions (``lsp14``, hip-centred); ``angle_deg``: mean angle over the 23
    joints; ``latent_ks``: Kolmogorov-Smirnov distance between a number of the latent and U[-1, 1], mean over the
    numbers (0 uniform, 1 constant); ``latent_correlation``: mean absolute correlation between two of them.
    ``nearest_deg`` and ``random_nearest_deg``: distance of held-out poses and of decoded uniform latents from the
    nearest reference pose, root mean square over joints; ``outside`` and ``random_outside``: share of their moving
    joints with a rotation vector outside the range of the reference, per axis.

    Args:
        reference: config of the data set of training poses.
        samples: at most so many poses are compared with the reference.
    """

    default_prefix = 'poses'

    def __init__(self, reference: dict, samples: int = SAMPLES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reference = DATASETS.build(reference).rotmat
        self.samples = samples

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Collects what the model said about each pose."""
        self.results.extend(
            {name: value.cpu() for name, value in sample.items()} for sample in data_samples
        )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """The numbers above."""
        columns = {name: torch.stack([result[name] for result in results]) for name in results[0]}
        latent, some = (
            columns['latent'].double(),
            slice(None, None, max(1, len(results) // self.samples)),
        )
        rank = torch.arange(1, len(latent) + 1, dtype=torch.float64)[:, None] / len(latent)
        beyond = rank - (latent.sort(0).values + 1) / 2
        related = latent.T.corrcoef().nan_to_num()[~torch.eye(latent.shape[1], dtype=torch.bool)]
        found = dict(
            mpjpe14_mm=columns['mpjpe14_mm'].mean(),
            angle_deg=columns['angle_deg'].mean(),
            latent_ks=torch.maximum(beyond, 1 / len(latent) - beyond).max(0).values.mean(),
            latent_correlation=related.abs().mean(),
        )
        for prefix, poses in (('', columns['rotmat'][some]), ('random_', columns['random'][some])):
            found[f'{prefix}nearest_deg'] = nearest_deg(poses, self.reference).mean()
            found[f'{prefix}outside'] = outside(poses, self.reference)
        return {name: float(value) for name, value in found.items()}


def nearest_deg(poses: Tensor, reference: Tensor) -> Tensor:
    """Distance of poses (N, J, 3, 3) from the nearest of (M, J, 3, 3), degrees, root mean square over joints: (N,)."""
    nearest = torch.cat(
        [torch.cdist(part.flatten(1), reference.flatten(1)).argmin(1) for part in poses.split(128)]
    )
    return angles_deg(poses, reference[nearest]).square().mean(1).sqrt()


def outside(poses: Tensor, reference: Tensor) -> Tensor:
    """Share of rotations of (N, J, 3, 3) that leave the box of the rotation vectors in (M, J, 3, 3).

    Joints that never move in the reference do not count.
    """
    known = rotmat_to_axis_angle(reference)
    low, high = known.amin(0), known.amax(0)
    vectors = rotmat_to_axis_angle(poses)
    leaves = ((vectors < low) | (vectors > high)).any(-1)
    return leaves[:, (high - low).amax(-1) > 1e-3].double().mean()
