"""The losses between bodies and masks, per image and over batches that may contain unusable masks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal, Optional

from torch import Tensor

from hrtk.adapters.parts.loss_weights import merged_loss_weights
from hrtk.adapters.parts.posed import SKELETON, CropKeypoints
from hrtk.body_models import BodyModel
from hrtk.errors import OptionError
from hrtk.geometry.camera import crop_points, project
from hrtk.losses import keypoint2d_loss
from hrtk.losses.topology import SilhouetteTarget, alignment_losses, mask_l2, skeleton_l2
from hrtk.structures import Prediction

Kind = Literal['chamfer', 'l2']
Gradient = Literal['material', 'conv', 'literal']
FIT_LOSS = 'fit'  # name of L_Theta, of its loss weight and of its optimiser
LOSS_WEIGHTS = {
    'silhouette': 1.0,
    'topology': 1.0,
    'keypoints2d': 0.0,
    'betas': 1e-3,
    FIT_LOSS: 1.0,
}


@dataclasses.dataclass(frozen=True)
class MaskBatch:
    """B crops with their supervision.

    Attributes:
        crops: (B, 3, R, R), normalised.
        target: target of the silhouette losses; None if no loss uses masks.
        usable: (B,) bool mask of usable frames.
        keypoints2d: keypoints of the B crops; None if no loss uses keypoints.
    """

    crops: Tensor
    target: Optional[SilhouetteTarget]
    usable: Tensor
    keypoints2d: Optional[CropKeypoints] = None

    @functools.cached_property
    def has_usable(self) -> bool:
        """Whether any frame is usable; the program waits for the device when it is asked first."""
        return bool(self.usable.any())


class MaskObjectives:
    """The weighted losses on masks and 2D keypoints.

    All losses are means over pixels, and distances are fractions of half the crop, so that loss weights and learning
    rates do not depend on the resolution of the crop.

    Args:
        silhouette: ``'chamfer'`` (L_S), ``'l2'`` or None.
        topology: ``'chamfer'`` (L_T), ``'l2'`` or None.
        loss_weights: overrides of ``LOSS_WEIGHTS``.
        grad: gradient mode of :func:`~hrtk.losses.topology_loss`.

    Attributes:
        names: the losses in use, out of ``'silhouette'``, ``'topology'`` and ``'keypoints2d'``.
        uses_masks: whether a loss in use compares masks.
        uses_keypoints: whether a loss in use compares 2D keypoints.

    Raises:
        InputError: a loss weight has an unknown name, or no loss is in use.
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
            raise OptionError(
                'TopologyAdapter: silhouette and topology are both off, and keypoints2d has no weight; '
                'give one a kind and a weight'
            )
        self.names = tuple(names)

    def mean_loss(
        self, name: str, prediction: Prediction, body: BodyModel, batch: MaskBatch
    ) -> Tensor:
        """Returns the mean of one loss over the usable images of a batch, with the betas regulariser."""
        loss = self._per_image(prediction, body, batch, (name,))
        return (loss * batch.usable).sum() / batch.usable.sum().clamp_min(1)

    def all_terms(self, prediction: Prediction, body: BodyModel, batch: MaskBatch) -> Tensor:
        """Returns the (B,) total losses of the images, 0 where a mask is not usable."""
        return self._per_image(prediction, body, batch, self.names) * batch.usable

    def _per_image(
        self, prediction: Prediction, body: BodyModel, batch: MaskBatch, names: tuple[str, ...]
    ) -> Tensor:
        """Returns the (B,) sums of the named losses and the betas regulariser."""
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
            # One rasterisation serves both losses; a loss that is not needed adds little to its cost.
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
    """Returns the (B,) mean squared errors of the visible keypoints of each image."""
    joints = project(body.joints(prediction.rotmat, prediction.betas, SKELETON), prediction.camera)
    return keypoint2d_loss(joints, keypoints.xy, keypoints.confidence, 'each')
