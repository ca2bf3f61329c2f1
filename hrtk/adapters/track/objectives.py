"""The losses of TrackFit: where a body is seen, how deep it was predicted, and how it moves."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.adapters.parts.image_camera import ImageCamera
from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.adapters.parts.targets import crop_targets
from hrtk.body_models.skeletons import joint_names
from hrtk.geometry.constants import indices
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.structures import Prediction, Sequence

SKELETON = 'body12'
ACCELERATION_SECONDS = 1 / 15  # between the three moments of an acceleration
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
    """What is known about F frames of a track.

    Attributes:
        keypoints: (F, 12) 2D keypoints of ``body12``.
        camera: of the whole image.
        fps: frames per second.
        places: (F,) int64 increasing numbers of the frames in the video; None if the frames are consecutive.
    """

    keypoints: CropKeypoints
    camera: ImageCamera
    fps: float
    places: Optional[Tensor] = None

    @staticmethod
    def of(sequence: Sequence, device: torch.device) -> TrackTargets:
        """Reads the keypoints and the camera of a sequence."""
        keypoints = crop_targets(sequence, SKELETON, device=device)
        return TrackTargets(keypoints, ImageCamera.of(sequence, device), sequence.fps)

    def __getitem__(self, frames: slice | Tensor) -> TrackTargets:
        places = self.places
        if places is None:
            places = torch.arange(len(self.camera.focal), device=self.camera.focal.device)
        return TrackTargets(self.keypoints[frames], self.camera[frames], self.fps, places[frames])

    def project(self, joints: Tensor) -> Tensor:
        """Projects joints (F, 12, 3) to crop coordinates (F, 12, 2), the body where it fits the keypoints best."""
        return self.camera.project(joints, self.keypoints)


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
        """The robust 2D error under the perspective camera of the whole image."""
        confidence = targets.keypoints.confidence
        squared = (targets.project(joints) - targets.keypoints.xy).square().sum(-1)
        limit = self.robust**2
        robust = limit * squared / (limit + squared)
        return (confidence * robust).sum() / confidence.sum().clamp_min(1)


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
