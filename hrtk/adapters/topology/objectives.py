"""The losses between bodies and masks, per image and over batches of which some masks are not usable."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, Optional

from torch import Tensor

from hrtk.adapters.parts.loss_weights import merged_loss_weights
from hrtk.adapters.parts.posed import SKELETON, CropKeypoints
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.camera import crop_points, project
from hrtk.losses import keypoint2d_loss
from hrtk.losses.topology import SilhouetteTarget, alignment_losses, mask_l2, skeleton_l2
from hrtk.structures import Prediction

Kind = Literal['chamfer', 'l2']
Gradient = Literal['material', 'conv', 'literal']
LOSS_WEIGHTS = dict(silhouette=1.0, topology=1.0, keypoints2d=0.0, betas=1e-3, fit=1.0)


@dataclasses.dataclass(frozen=True)
class MaskBatch:
    """B crops with what is known about them.

    Attributes:
        crops: (B, 3, R, R), normalised.
        target: what silhouettes are compared with; None where no term looks at masks.
        usable: (B,) bool, whose masks can be learnt from.
        keypoints2d: B keypoints, or None where no term looks at them.
    """

    crops: Tensor
    target: Optional[SilhouetteTarget]
    usable: Tensor
    keypoints2d: Optional[CropKeypoints] = None


class MaskObjectives:
    """The terms, each with its factor.

    All of them are means over pixels, and distances are shares of half the crop, so that factors and rates do not
    depend on the resolution of the crop.

    Args:
        silhouette: ``'chamfer'`` (L_S), ``'l2'`` or None.
        topology: ``'chamfer'`` (L_T), ``'l2'`` or None.
        loss_weights: factors that differ from ``LOSS_WEIGHTS``.
        grad: of :func:`~hrtk.losses.topology_loss`.

    Attributes:
        names: the terms in use, of ``'silhouette'``, ``'topology'`` and ``'keypoints2d'``.
        uses_masks: whether one of them looks at masks.
        uses_keypoints: whether one of them looks at 2D keypoints.

    Raises:
        InputError: a factor has another name, or there is no term.
    """

    def __init__(
        self,
        silhouette: Optional[Kind],
        topology: Optional[Kind],
        loss_weights: Optional[Mapping[str, float]],
        grad: Gradient,
    ) -> None:
        self.loss_weights = merged_loss_weights('TopologyAdapter', LOSS_WEIGHTS, loss_weights)
        self.grad = grad
        self._mask_kinds: dict[str, Kind] = {}
        if silhouette is not None and self.loss_weights['silhouette']:
            self._mask_kinds['silhouette'] = silhouette
        if topology is not None and self.loss_weights['topology']:
            self._mask_kinds['topology'] = topology
        self.uses_masks = bool(self._mask_kinds)
        self.uses_keypoints = bool(self.loss_weights['keypoints2d'])
        names = list(self._mask_kinds)
        if self.uses_keypoints:
            names.append('keypoints2d')
        if not names:
            raise InputError(
                'TopologyAdapter: silhouette and topology are both off, and keypoints2d has no weight; '
                'give one a kind and a weight'
            )
        self.names = tuple(names)

    def mean(self, name: str, prediction: Prediction, body: BodyModel, batch: MaskBatch) -> Tensor:
        """One term over the usable images of a batch, with the pull to the mean shape."""
        loss = self._per_image(prediction, body, batch, (name,))
        return (loss * batch.usable).sum() / batch.usable.sum().clamp_min(1)

    def all_terms(self, prediction: Prediction, body: BodyModel, batch: MaskBatch) -> Tensor:
        """All terms of every image: (B,), 0 where its mask is not usable."""
        return self._per_image(prediction, body, batch, self.names) * batch.usable

    def _per_image(
        self, prediction: Prediction, body: BodyModel, batch: MaskBatch, names: tuple[str, ...]
    ) -> Tensor:
        """(B,) the named terms and the pull to the mean shape."""
        loss = prediction.betas.new_zeros(len(prediction.betas))
        if 'keypoints2d' in names and batch.keypoints2d is not None:
            reprojection = _reprojection(prediction, body, batch.keypoints2d)
            loss = loss + self.loss_weights['keypoints2d'] * reprojection
        mask_terms = [name for name in names if name in self._mask_kinds]
        if mask_terms and batch.target is not None:
            loss = loss + self._mask_loss(prediction, body, batch.target, mask_terms)
        return loss + self.loss_weights['betas'] * prediction.betas.square().mean(1)

    def _mask_loss(
        self,
        prediction: Prediction,
        body: BodyModel,
        target: SilhouetteTarget,
        names: list[str],
    ) -> Tensor:
        side = target.mask.shape[-1]
        vertices = body(prediction.rotmat, prediction.betas).vertices
        points = crop_points(vertices, prediction.camera, side)
        loss = points.new_zeros(len(points))
        chamfer = [name for name in names if self._mask_kinds[name] == 'chamfer']
        if chamfer:
            # One rasterisation serves both terms; a term that is not needed costs little beside it.
            both = alignment_losses(points, body.faces, target, self.grad, 'mean')
            terms = [self.loss_weights[name] * getattr(both, name) for name in chamfer]
            loss = loss + sum(terms) * (2 / side)
        for name in names:
            if self._mask_kinds[name] == 'l2':
                l2_loss = mask_l2 if name == 'silhouette' else skeleton_l2
                l2 = l2_loss(points, body.faces, target, reduction='mean')
                loss = loss + self.loss_weights[name] * l2
        return loss


def _reprojection(prediction: Prediction, body: BodyModel, keypoints: CropKeypoints) -> Tensor:
    """(B,) mean squared error of each image's visible keypoints."""
    joints = project(body.joints(prediction.rotmat, prediction.betas, SKELETON), prediction.camera)
    return keypoint2d_loss(joints, keypoints.xy, keypoints.confidence, 'each')
