"""Training of the auto-encoder pose prior, and the measures of its validation."""

from __future__ import annotations

import math
from typing import Any, Optional

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from hrtk.geometry.constants import indices
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.losses import keypoint3d_loss, rotmat_loss
from hrtk.registry import BODY_MODELS, DATASETS, METRICS, MODELS
from hrtk.training.supervision import centred, weighted

LOSS_WEIGHTS = dict(rotmat=3.0, joints3d=100.0, adversarial=0.01)
LEGS = (0, 1, 3, 4, 6, 7, 9, 10)  # indices into the body pose, which lacks the pelvis
ERROR_SKELETONS = dict(mpjpe_mm='spin24', mpjpe14_mm='lsp14')
SAMPLES = 1000
CHUNK = 128  # poses per matrix of distances
MOVING = 1e-3  # rad: the range of a joint that moves


@MODELS.register_module()
class PosePriorTraining(BaseModel):
    """An adversarial auto-encoder of poses: reconstruction, and a latent that a critic cannot tell from a uniform one.

    Least-squares GAN on the latent (Mao et al., ICCV 2017): the critic learns 1 for uniform points of [-1, 1]^L and 0
    for latents of poses; the encoder learns latents for which the critic says 1. Both learn in the same step from the
    same optimizer: the critic from detached latents, the encoder through a critic whose weights are constants.

    Args:
        network: config of the :class:`~hrtk.models.priors.PoseAutoEncoder`.
        critic: width of the critic's hidden layers.
        mix: share of poses whose legs are taken from another pose of the batch, so that the network does not learn
            arms and legs as one.
        noise: half width of uniform noise on latents before they are decoded, which fills the space between them.
        body: config of the body that gives the joints.
        weights: of the losses ``rotmat`` (mean square), ``joints3d`` (mean square, metres, ``spin24``, with an
            unrotated pelvis and mean shape) and ``adversarial`` (of the encoder).
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
        # The slope of the critic is bounded. A critic that is certain would leave the encoder without gradients.
        self.critic = nn.Sequential(
            spectral_norm(nn.Linear(self.network.latent, critic)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Linear(critic, critic)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Linear(critic, 1)),
        )
        self.body = BODY_MODELS.build(body or dict(type='BodyModel', file='open'))
        self.mix = mix
        self.noise = noise
        self.loss_weights = weights or LOSS_WEIGHTS

    def forward(
        self, rotmat: Tensor, mode: str = 'tensor'
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of poses (B, 23, 3, 3), see :class:`~hrtk.datasets.open_stream.poses.OpenPoses`.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses, else the input of :class:`PosePriorQuality` for every
            pose.
        """
        if mode != 'loss':
            return self._samples(rotmat)
        rotmat = mix_legs(rotmat, self.mix)
        latent = self.network.encode(rotmat)
        decoded = self.network.decode(latent + self.noise * uniform_like(latent))
        terms = dict(
            rotmat=rotmat_loss(decoded, rotmat),
            joints3d=keypoint3d_loss(self._joints(decoded), self._joints(rotmat)),
            adversarial=(self._constant_critic(latent) - 1).square().mean(),
        )
        losses = weighted(terms, self.loss_weights)
        uniform = (self.critic(uniform_like(latent)) - 1).square().mean()
        encoded = self.critic(latent.detach()).square().mean()
        losses['loss_critic'] = (uniform + encoded) / 2
        return losses

    def _constant_critic(self, latent: Tensor) -> Tensor:
        """The critic's output (B, 1), with gradients for the encoder but not for the critic's weights."""
        constants = {name: value.detach() for name, value in self.critic.named_parameters()}
        return functional_call(self.critic, constants, latent)

    def _joints(self, rotmat: Tensor, skeleton: str = 'spin24') -> Tensor:
        """(B, 23, 3, 3) -> (B, J, 3) metres, with an unrotated pelvis and mean shape."""
        count = len(rotmat)
        identity = torch.eye(3, dtype=rotmat.dtype, device=rotmat.device)
        pelvis = identity.expand(count, 1, 3, 3)
        betas = rotmat.new_zeros(count, 10)
        return self.body.joints(torch.cat([pelvis, rotmat], 1), betas, skeleton)

    def _samples(self, rotmat: Tensor) -> list[dict[str, Tensor]]:
        latent = self.network.encode(rotmat)
        decoded = self.network.decode(latent)
        columns = dict(
            angle_deg=angles_deg(decoded, rotmat).mean(1),
            latent=latent,
            rotmat=rotmat,
            random=self.network.decode(uniform_like(latent)),
        )
        for name, skeleton in ERROR_SKELETONS.items():
            joints = centred(self._joints(torch.cat([decoded, rotmat]), skeleton))
            decoded_joints, true_joints = joints.chunk(2)
            columns[name] = (decoded_joints - true_joints).norm(dim=-1).mean(1) * 1000
        return [dict(zip(columns, row)) for row in zip(*columns.values())]


def uniform_like(values: Tensor) -> Tensor:
    """Numbers from U[-1, 1]."""
    return torch.rand_like(values) * 2 - 1


def mix_legs(rotmat: Tensor, share: float) -> Tensor:
    """Gives a random share of poses (B, 23, 3, 3) the legs of the previous pose of the batch."""
    joints = torch.arange(rotmat.shape[1], device=rotmat.device)
    legs = torch.isin(joints, indices(LEGS, joints))
    chosen = torch.rand(len(rotmat), device=rotmat.device) < share
    mixed = (chosen[:, None] & legs)[..., None, None]
    return torch.where(mixed, rotmat.roll(1, 0), rotmat)


def angles_deg(first: Tensor, second: Tensor) -> Tensor:
    """Angles between rotations (..., 3, 3), in degrees."""
    chord = (first - second).flatten(-2).norm(dim=-1) / math.sqrt(8)
    return torch.rad2deg(2 * chord.clamp(max=1).asin())


@METRICS.register_module()
class PosePriorQuality(BaseMetric):
    """Fit of a pose prior to held-out poses, and distance of decoded random latents from the training poses.

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
        """Collects the tensors of each pose."""
        for sample in data_samples:
            self.results.append({name: value.cpu() for name, value in sample.items()})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Returns the numbers above."""
        step = max(1, len(results) // self.samples)
        latent = _column(results, 'latent').double()
        compared = _column(results, 'rotmat')[::step]
        random = _column(results, 'random')[::step]
        measures = dict(
            mpjpe14_mm=_column(results, 'mpjpe14_mm').mean(),
            angle_deg=_column(results, 'angle_deg').mean(),
            latent_ks=distance_from_uniform(latent).mean(),
            latent_correlation=correlations(latent).abs().mean(),
            nearest_deg=nearest_deg(compared, self.reference).mean(),
            outside=outside(compared, self.reference),
            random_nearest_deg=nearest_deg(random, self.reference).mean(),
            random_outside=outside(random, self.reference),
        )
        return {name: float(value) for name, value in measures.items()}


def distance_from_uniform(latent: Tensor) -> Tensor:
    """Kolmogorov-Smirnov distances between the columns of (N, L) latents and U[-1, 1]: (L,)."""
    count = len(latent)
    rank = torch.arange(1, count + 1, dtype=torch.float64)[:, None] / count
    beyond = rank - (latent.sort(0).values + 1) / 2
    return torch.maximum(beyond, 1 / count - beyond).max(0).values


def correlations(latent: Tensor) -> Tensor:
    """Correlations between different columns of (N, L) latents: (L * (L - 1),)."""
    different = ~torch.eye(latent.shape[1], dtype=torch.bool)
    return latent.T.corrcoef().nan_to_num()[different]


def nearest_deg(poses: Tensor, reference: Tensor) -> Tensor:
    """Distance of poses (N, J, 3, 3) from the nearest of (M, J, 3, 3), degrees, root mean square over joints: (N,)."""
    flat = reference.flatten(1)
    chunks = [torch.cdist(chunk.flatten(1), flat).argmin(1) for chunk in poses.split(CHUNK)]
    nearest = torch.cat(chunks)
    return angles_deg(poses, reference[nearest]).square().mean(1).sqrt()


def outside(poses: Tensor, reference: Tensor) -> Tensor:
    """Share of rotations of (N, J, 3, 3) that leave the box of the rotation vectors in (M, J, 3, 3).

    Joints that never move in the reference do not count.
    """
    reference_vectors = rotmat_to_axis_angle(reference)
    low = reference_vectors.amin(0)
    high = reference_vectors.amax(0)
    vectors = rotmat_to_axis_angle(poses)
    leaves = ((vectors < low) | (vectors > high)).any(-1)
    moving = (high - low).amax(-1) > MOVING
    return leaves[:, moving].double().mean()


def _column(rows: list[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([row[name] for row in rows])
