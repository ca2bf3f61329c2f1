"""The losses of TrackFit: where a body is seen, how deep it was predicted, and how it moves."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.parts.targets import crop_targets
from hrtk.body_models.skeletons import joint_names
from hrtk.geometry.camera import clip_focal, image_middle, viewing_rotation
from hrtk.geometry.constants import indices
from hrtk.geometry.perspective import fit_translation
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.structures import Prediction, Sequence

SKELETON = 'body12'
ACCELERATION_SECONDS = 1 / 15  # between the three moments of an acceleration
LEAST_CONFIDENCE = 1e-3  # of a point in the fit of the translation: a frame may have none
HIPS = tuple(joint_names(SKELETON).index(f'{side}_hip_lsp') for side in ('left', 'right'))


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Loss weights of :class:`~hrtk.adapters.track.TrackFit`.

    Attributes:
        keypoints2d: of the squared distance from the 2D keypoints, crop coordinates, robust.
        depth: of the squared difference of the joints' depths from the anchor's, both about the hips, m^2.
        pose: of the squared difference of the rotation matrices from the anchor's.
        shape: of the squared betas.
        acceleration: of the squared acceleration of the joints about the hips over about 1/15 s, m^2/s^4. Over single
            frames the noise of a fast camera would outweigh all other losses.
        pose_prior: of the energy of the body pose under a mixture of Gaussians.
        source: of :func:`~hrtk.adapters.parts.source_loss.source_loss` on labelled source crops.
    """

    keypoints2d: float = 10.0
    depth: float = 30.0
    pose: float = 1.0
    shape: float = 1e-3
    acceleration: float = 6e-5
    pose_prior: float = 0.0
    source: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrackTargets:
    """What is known about F frames of a track; lengths in the image are in crop coordinates, [-1, 1].

    Attributes:
        keypoints: (F, 12) 2D keypoints of ``body12``.
        focal: (F,) focal length of the camera.
        principal_point: (F, 2).
        rays: (F, 3, 3) rotations from the axes of the crops to those of the camera.
        fps: frames per second.
        places: (F,) int64 increasing numbers of the frames in the video; None if the frames are consecutive.
    """

    keypoints: CropKeypoints
    focal: Tensor
    principal_point: Tensor
    rays: Tensor
    fps: float
    places: Optional[Tensor] = None

    @staticmethod
    def of(sequence: Sequence, device: torch.device) -> TrackTargets:
        """Reads the keypoints of a sequence, and assumes the focal length of a common camera if none is known."""
        height, width = sequence.frames[0].shape[:2]
        size = (width, height)
        focal = clip_focal(size, sequence.focal)
        half = sequence.boxes[:, 2] / 2
        middle = torch.tensor(image_middle(size))
        return TrackTargets(
            keypoints=crop_targets(sequence, SKELETON, device=device),
            focal=(focal / half).to(device),
            principal_point=((middle - sequence.boxes[:, :2]) / half[:, None]).to(device),
            rays=viewing_rotation(sequence.boxes, focal, image_middle(size)).to(device),
            fps=sequence.fps,
        )

    def __getitem__(self, frames: slice | Tensor) -> TrackTargets:
        places = self.places
        if places is None:
            places = torch.arange(len(self.focal), device=self.focal.device)
        return TrackTargets(
            self.keypoints[frames],
            self.focal[frames],
            self.principal_point[frames],
            self.rays[frames],
            self.fps,
            places[frames],
        )


class Objectives:
    """The weighted losses.

    Args:
        loss_weights: the loss weights.
        robust: distance from a 2D keypoint at which its loss has reached half of its limit (Geman and McClure), crop
            coordinates.
        pose_prior: maps (B, 69) axis-angle to (B,) energies; None if its loss weight is zero.
    """

    def __init__(
        self, loss_weights: LossWeights, robust: float, pose_prior: Optional[nn.Module] = None
    ) -> None:
        self.loss_weights = loss_weights
        self.robust = robust
        self.pose_prior = pose_prior

    def __call__(
        self,
        joints: Tensor,
        prediction: Prediction,
        anchor_joints: Tensor,
        anchor: Prediction,
        targets: TrackTargets,
    ) -> Tensor:
        """Computes the loss of F frames; accelerations are those of frames whose neighbours are among them.

        Args:
            joints: (F, 12, 3) of the prediction, metres, axes of the crops.
            prediction: F bodies.
            anchor_joints: (F, 12, 3) of the anchor.
            anchor: F bodies, constants.
            targets: of the same frames.
        """
        weights = self.loss_weights
        centred = about_hips(joints)
        depth = (centred - about_hips(anchor_joints))[..., 2]
        loss = (
            weights.keypoints2d * self.reprojection(joints, targets)
            + weights.depth * depth.square().mean()
            + weights.pose * (prediction.rotmat - anchor.rotmat).square().mean()
            + weights.shape * prediction.betas.square().mean()
        )
        if self.pose_prior is not None:
            body_pose = rotmat_to_axis_angle(prediction.rotmat[:, 1:]).flatten(1)
            loss = loss + weights.pose_prior * self.pose_prior(body_pose).mean()
        step = max(round(ACCELERATION_SECONDS * targets.fps), 1)
        before, middle, after = _triples(len(joints), step, targets.places)
        if weights.acceleration and len(before):
            second = centred[after] - 2 * centred[middle] + centred[before]
            acceleration = (second * (targets.fps / step) ** 2).square().mean()
            loss = loss + weights.acceleration * acceleration
        return loss

    def reprojection(self, joints: Tensor, targets: TrackTargets) -> Tensor:
        """The robust 2D error under the perspective camera of the whole image, see :func:`projected`."""
        confidence = targets.keypoints.confidence
        squared = (projected(joints, targets) - targets.keypoints.xy).square().sum(-1)
        limit = self.robust**2
        robust = limit * squared / (limit + squared)
        return (confidence * robust).sum() / confidence.sum().clamp_min(1)


def projected(joints: Tensor, targets: TrackTargets) -> Tensor:
    """Projects joints by the perspective camera of the whole image, the body where it fits the keypoints best.

    A weak-perspective camera would tilt a body that is near: at three metres the feet are seen from above.

    Args:
        joints: (F, 12, 3) metres, axes of the crops.
        targets: of the same frames.

    Returns:
        (F, 12, 2) crop coordinates.
    """
    confidence = targets.keypoints.confidence
    turned = joints @ targets.rays.mT
    translation = fit_translation(
        turned,
        targets.keypoints.xy,
        targets.focal,
        targets.principal_point,
        confidence + LEAST_CONFIDENCE,
    )
    placed = turned + translation[:, None]
    focal = targets.focal[:, None, None]
    return focal * placed[..., :2] / placed[..., 2:] + targets.principal_point[:, None]


def _triples(
    count: int, step: int, places: Optional[Tensor] = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the frames at three moments that are ``step`` frames apart.

    Args:
        count: F.
        step: frames between two moments.
        places: (F,) increasing numbers of the frames in the video; None if the frames are consecutive.

    Returns:
        Three (N,) int64 index tensors, earliest moment first.
    """
    if places is None:
        places = torch.arange(count)
    middle = torch.searchsorted(places, places + step).clamp_max(count - 1)
    after = torch.searchsorted(places, places + 2 * step).clamp_max(count - 1)
    is_whole = (places[middle] == places + step) & (places[after] == places + 2 * step)
    before = torch.nonzero(is_whole).flatten()
    return before, middle[before], after[before]


def about_hips(joints: Tensor) -> Tensor:
    """Joints (F, 12, 3) of ``body12``, relative to the middle of the hips."""
    return joints - joints[:, indices(HIPS, joints)].mean(1, keepdim=True)
