"""The losses between bodies and masks, per picture and over batches of which some masks are not usable."""

from __future__ import annotations

import dataclasses
from typing import Optional

from torch import Tensor

from hrtk.adapters.parts.posed import SKELETON
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.camera import crop_points, project
from hrtk.losses import keypoint2d_loss
from hrtk.losses.topology import GRADS, SilhouetteTarget, alignment_losses, mask_l2, skeleton_l2
from hrtk.structures import Prediction

KINDS = ('chamfer', 'l2', None)
FACTORS = dict(silhouette=1.0, topology=1.0, keypoints2d=0.0, betas=1e-3, fit=1.0)


@dataclasses.dataclass(frozen=True)
class MaskBatch:
    """What is known about B pictures.

    Attributes:
        crops: (B, 3, R, R), normalised.
        target: what their masks are compared by; None where no term looks at masks.
        usable: (B,) bool, whose masks say anything.
        keypoints2d: (B, 24, 2) positions in [-1, 1] and (B, 24) confidences of ``spin24``, or None.
    """

    crops: Tensor
    target: Optional[SilhouetteTarget]
    usable: Tensor
    keypoints2d: Optional[tuple[Tensor, Tensor]] = None


class MaskObjectives:
    """The terms with their weights.

    All of them are means over pixels, distances as shares of half the crop, so that weights and rates do not depend on
    its resolution.

    Args:
        silhouette: ``'chamfer'`` (L_S), ``'l2'`` or None.
        topology: ``'chamfer'`` (L_T), ``'l2'`` or None.
        weights: factors that differ from ``FACTORS``.
        grad: of :func:`~hrtk.losses.topology_loss`.

    Attributes:
        masked: whether any of them looks at masks.
        names: the terms that there are, of ``'silhouette'``, ``'topology'`` and ``'keypoints2d'``.

    Raises:
        InputError: there is no such kind or gradient, a weight has another name, or there is no term.
    """

    def __init__(
        self,
        silhouette: Optional[str],
        topology: Optional[str],
        weights: Optional[dict[str, float]],
        grad: str,
    ) -> None:
        for name, kind in (('silhouette', silhouette), ('topology', topology)):
            if kind not in KINDS:
                raise InputError(f'TopologyAdapter: {name} is one of {KINDS}, not {kind!r}')
        unknown = sorted(set(weights or {}) - set(FACTORS))
        if unknown:
            raise InputError(
                f'TopologyAdapter: weights has no {unknown}; its keys are {sorted(FACTORS)}'
            )
        if grad not in GRADS:
            raise InputError(f'TopologyAdapter: grad is one of {GRADS}, not {grad!r}')
        self.weights, self.grad = {**FACTORS, **(weights or {})}, grad
        kinds = dict(silhouette=silhouette, topology=topology)
        self.kinds = {
            name: kind for name, kind in kinds.items() if kind is not None and self.weights[name]
        }
        self.masked = bool(self.kinds)
        if self.weights['keypoints2d']:
            self.kinds['keypoints2d'] = 'l2'
        if not self.kinds:
            raise InputError(
                'TopologyAdapter: silhouette and topology are both off, and keypoints2d has no weight; '
                'give one a kind and a weight'
            )
        self.names = tuple(self.kinds)

    def mean(self, name: str, prediction: Prediction, body: BodyModel, batch: MaskBatch) -> Tensor:
        """One term over the usable pictures of a batch, with the pull to the mean shape."""
        loss = self._terms(prediction, body, batch, (name,)) + self.weights['betas'] * _shape(
            prediction
        )
        return (loss * batch.usable).sum() / batch.usable.sum().clamp_min(1)

    def every(self, prediction: Prediction, body: BodyModel, batch: MaskBatch) -> Tensor:
        """All terms of every picture: (B,), 0 where its mask is not usable."""
        loss = self._terms(prediction, body, batch, self.names) + self.weights['betas'] * _shape(
            prediction
        )
        return loss * batch.usable

    def _terms(
        self, prediction: Prediction, body: BodyModel, batch: MaskBatch, names: tuple[str, ...]
    ) -> Tensor:
        loss = prediction.betas.new_zeros(len(prediction.betas))
        if 'keypoints2d' in names:
            loss = loss + self.weights['keypoints2d'] * _reprojection(prediction, body, batch)
        of_mask = tuple(name for name in names if name != 'keypoints2d')
        return loss + self._of_masks(prediction, body, batch.target, of_mask) if of_mask else loss

    def _of_masks(
        self,
        prediction: Prediction,
        body: BodyModel,
        target: SilhouetteTarget,
        names: tuple[str, ...],
    ) -> Tensor:
        side = target.mask.shape[-1]
        vertices = body(prediction.rotmat, prediction.betas).vertices
        points, faces = crop_points(vertices, prediction.camera, side), body.faces
        loss = points.new_zeros(len(points))
        chamfer = [name for name in names if self.kinds[name] == 'chamfer']
        if chamfer:
            # One rasterisation serves both; a term that nobody wants costs little beside it.
            both = alignment_losses(points, faces, target, self.grad, 'mean')
            loss = loss + sum(self.weights[name] * getattr(both, name) for name in chamfer) * (
                2 / side
            )
        for name in names:
            if self.kinds[name] == 'l2':
                l2 = mask_l2 if name == 'silhouette' else skeleton_l2
                loss = loss + self.weights[name] * l2(points, faces, target, reduction='mean')
        return loss


def _reprojection(prediction: Prediction, body: BodyModel, batch: MaskBatch) -> Tensor:
    """(B,) mean squared error of each picture's visible keypoints."""
    joints = project(body.joints(prediction.rotmat, prediction.betas, SKELETON), prediction.camera)
    points, confidence = batch.keypoints2d
    return keypoint2d_loss(joints, points, confidence, 'each')


def _shape(prediction: Prediction) -> Tensor:
    return prediction.betas.square().mean(1)
