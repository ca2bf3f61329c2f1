"""The perspective camera of the whole image, seen from the crops of a sequence."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import CropKeypoints
from hrtk.geometry.camera import clip_focal, image_middle, viewing_rotation
from hrtk.geometry.perspective import fit_translation
from hrtk.structures import Sequence

LEAST_CONFIDENCE = 1e-3  # of a point in the fit of the translation: a frame may have none


@dataclasses.dataclass(frozen=True)
class ImageCamera:
    """The camera of the whole image for F crops; lengths in the image are in crop coordinates, [-1, 1].

    Attributes:
        focal: (F,) focal length.
        principal_point: (F, 2).
        rays: (F, 3, 3) rotations from the axes of the crops to those of the camera.
    """

    focal: Tensor
    principal_point: Tensor
    rays: Tensor

    @staticmethod
    def of(sequence: Sequence, device: torch.device) -> ImageCamera:
        """The camera of a sequence, with the focal length of a common camera if none is known."""
        height, width = sequence.frames[0].shape[:2]
        size = (width, height)
        focal = clip_focal(size, sequence.focal)
        half = sequence.boxes[:, 2] / 2
        middle = torch.tensor(image_middle(size))
        return ImageCamera(
            focal=(focal / half).to(device),
            principal_point=((middle - sequence.boxes[:, :2]) / half[:, None]).to(device),
            rays=viewing_rotation(sequence.boxes, focal, image_middle(size)).to(device),
        )

    def __getitem__(self, frames: slice | Tensor) -> ImageCamera:
        return ImageCamera(self.focal[frames], self.principal_point[frames], self.rays[frames])

    def project(self, joints: Tensor, keypoints: CropKeypoints) -> Tensor:
        """Projects joints, the body where it fits the keypoints best.

        A weak-perspective camera would tilt a body that is near: at three metres the feet are seen from above.

        Args:
            joints: (F, K, 3) metres, axes of the crops.
            keypoints: of the same F crops and K joints.

        Returns:
            (F, K, 2) crop coordinates.
        """
        turned = joints @ self.rays.mT
        translation = fit_translation(
            turned,
            keypoints.xy,
            self.focal,
            self.principal_point,
            keypoints.confidence + LEAST_CONFIDENCE,
        )
        placed = turned + translation[:, None]
        focal = self.focal[:, None, None]
        return focal * placed[..., :2] / placed[..., 2:] + self.principal_point[:, None]
