"""The coordinates in which a body is fitted: latents of a pose prior or free rotations, with shape and camera."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor

from hrtk.geometry.rotation import rot6d_to_rotmat, rotmat_to_rot6d
from hrtk.models.priors import PoseAutoEncoder
from hrtk.structures import Prediction


@dataclasses.dataclass(frozen=True)
class Theta:
    """B bodies in the coordinates of a :class:`PoseSpace`.

    Attributes:
        pose: (B, P) latents of the prior, or (B, 138) rotations in 6-D.
        global_orient: (B, 6) in 6-D.
        betas: (B, 10).
        camera: (B, 3) ``[s, tx, ty]``.
    """

    pose: Tensor
    global_orient: Tensor
    betas: Tensor
    camera: Tensor

    def tensors(self) -> list[Tensor]:
        """Returns the four tensors, in the order of the fields."""
        return [self.pose, self.global_orient, self.betas, self.camera]

    def detach(self) -> Theta:
        """Returns the same values, detached."""
        return Theta(*[value.detach() for value in self.tensors()])

    def clone(self) -> Theta:
        """Returns a copy."""
        return Theta(*[value.clone() for value in self.tensors()])

    def where(self, mask: Tensor, other: Theta) -> Theta:
        """Returns the rows of ``self`` where the (B,) bool mask is True, and the rows of ``other`` elsewhere."""
        column = mask[:, None]
        pairs = zip(self.tensors(), other.tensors())
        return Theta(*[torch.where(column, ours, theirs) for ours, theirs in pairs])


class PoseSpace:
    """Converts between predictions and the coordinates in which bodies are fitted.

    Args:
        prior: auto-encoder of poses, which this class freezes; None leaves the poses free.
        regressed: the predictions hold their latents of this prior, which are the coordinates; otherwise the prior
            encodes their rotations.
    """

    def __init__(self, prior: Optional[PoseAutoEncoder] = None, regressed: bool = False) -> None:
        self.prior = prior
        self.regressed = regressed
        if prior is not None:
            prior.eval().requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Moves the prior to a device."""
        if self.prior is not None:
            self.prior.to(device)

    def theta(self, prediction: Prediction) -> Theta:
        """Returns the coordinates of predictions, with their graph."""
        body_pose = prediction.rotmat[:, 1:]
        if self.regressed:
            assert prediction.latent is not None, 'the estimator regresses latents'
            pose = prediction.latent
        elif self.prior is None:
            pose = rotmat_to_rot6d(body_pose).flatten(1)
        else:
            pose = self.prior.encode(body_pose)
        global_orient = rotmat_to_rot6d(prediction.rotmat[:, 0])
        return Theta(pose, global_orient, prediction.betas, prediction.camera)

    def prediction(self, theta: Theta) -> Prediction:
        """Returns the bodies at these coordinates; with a prior, its decoder outputs the poses."""
        if self.prior is None:
            body_pose = rot6d_to_rotmat(theta.pose.unflatten(1, (-1, 6)))
        else:
            body_pose = self.prior.decode(theta.pose)
        global_orient = rot6d_to_rotmat(theta.global_orient)[:, None]
        rotmat = torch.cat([global_orient, body_pose], 1)
        return Prediction(rotmat, theta.betas, theta.camera)

    @torch.no_grad()
    def confine(self, pose: Tensor) -> None:
        """Clamps fitted latents, in place, to [-1, 1], where the prior's decoder was trained."""
        if self.prior is not None:
            pose.clamp_(-1, 1)

    def distance(self, theta: Theta, target: Theta, betas_weight: float = 0.1) -> Tensor:
        """Returns L_Theta of Algorithm 1, whose norm the paper does not define, as (B,) squared distances.

        The sum of the distances of pose coordinates, of rotation matrices of the global orientation, of betas (times
        ``betas_weight``) and of cameras; each is a mean over its elements.
        """
        rotmat_difference = rot6d_to_rotmat(theta.global_orient) - rot6d_to_rotmat(
            target.global_orient
        )
        pose = (theta.pose - target.pose).square().mean(1)
        global_orient = rotmat_difference.square().mean((1, 2))
        betas = (theta.betas - target.betas).square().mean(1)
        camera = (theta.camera - target.camera).square().mean(1)
        return pose + global_orient + betas_weight * betas + camera
