"""The numbers that a body is fitted in: a pose of the prior or free rotations, with shape and camera."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.geometry.rotation import rot6d_to_rotmat, rotmat_to_rot6d
from hrtk.structures import Prediction


@dataclasses.dataclass(frozen=True)
class Theta:
    """B bodies in the coordinates of a :class:`PoseSpace`.

    Attributes:
        pose: (B, P) latents of the prior, or (B, 138) rotations in 6-D.
        orient: (B, 6) ``global_orient`` in 6-D.
        betas: (B, 10).
        camera: (B, 3) ``[s, tx, ty]``.
    """

    pose: Tensor
    orient: Tensor
    betas: Tensor
    camera: Tensor

    def tensors(self) -> list[Tensor]:
        """The four of them."""
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    def detach(self) -> Theta:
        """The same values without the graph."""
        return Theta(*(value.detach() for value in self.tensors()))

    def where(self, chosen: Tensor, other: Theta) -> Theta:
        """Rows of this where ``chosen`` (B,) is true, of the other elsewhere."""
        return Theta(
            *(torch.where(chosen[:, None], a, b) for a, b in zip(self.tensors(), other.tensors()))
        )


class PoseSpace:
    """Goes between predictions and the numbers that are fitted.

    Args:
        prior: an auto-encoder with ``encode`` and ``decode``; it is frozen here. Without one poses are free.
    """

    def __init__(self, prior: Optional[nn.Module] = None) -> None:
        self.prior = prior.eval().requires_grad_(False) if prior is not None else None

    def theta(self, prediction: Prediction) -> Theta:
        """The coordinates of predictions, with their graph."""
        body = prediction.rotmat[:, 1:]
        pose = rotmat_to_rot6d(body).flatten(1) if self.prior is None else self.prior.encode(body)
        return Theta(
            pose, rotmat_to_rot6d(prediction.rotmat[:, 0]), prediction.betas, prediction.camera
        )

    def prediction(self, theta: Theta) -> Prediction:
        """The bodies at these coordinates; with a prior they are poses that it knows."""
        body = (
            rot6d_to_rotmat(theta.pose.unflatten(1, (-1, 6)))
            if self.prior is None
            else self.prior.decode(theta.pose)
        )
        return Prediction(
            torch.cat([rot6d_to_rotmat(theta.orient)[:, None], body], 1), theta.betas, theta.camera
        )

    @torch.no_grad()
    def confine(self, pose: Tensor) -> None:
        """Brings fitted numbers back, in place, to where the prior's decoder was trained: [-1, 1]."""
        if self.prior is not None:
            pose.clamp_(-1, 1)

    def distance(self, theta: Theta, target: Theta, betas: float = 0.1) -> Tensor:
        """L_Theta of Algorithm 1, whose norm the paper leaves open: (B,) squared distances.

        Of pose coordinates, of the rotation matrices of the global orientation, 0.1 times of betas, of cameras; each a
        mean over its numbers.
        """
        turned = rot6d_to_rotmat(theta.orient) - rot6d_to_rotmat(target.orient)
        return (
            (theta.pose - target.pose).square().mean(1)
            + turned.square().mean((1, 2))
            + betas * (theta.betas - target.betas).square().mean(1)
            + (theta.camera - target.camera).square().mean(1)
        )
