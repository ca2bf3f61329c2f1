"""The refinement behind stage II of MPM: predictions corrected by the keypoints and a known camera."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.models.checkpoints import load_weights
from hrtk.registry import LIFTERS


@LIFTERS.register_module()
class MPMRefine(nn.Module):
    """A gate per joint between the predicted x and y and those of the keypoints at the predicted depth.

    Cai et al., ICCV 2019, section 3.4, as MPM uses it. Depth is not refined.

    Args:
        joints: J.
        hidden: width of the gate's inner layer.
        dropout: of that layer.
        weights: path to a checkpoint, ``'open:<name>'``, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        joints: int = 17,
        hidden: int = 1024,
        dropout: float = 0.5,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__()
        self.post_refine = nn.Sequential(
            nn.Linear(6 * joints, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 2 * joints),
            nn.Sigmoid(),
        )
        if weights is not None:
            load_weights(self, weights)

    def forward(self, joints3d: Tensor, projected: Tensor) -> Tensor:
        """Refines single frames.

        Args:
            joints3d: (B, 1, J, 3) predicted, metres from the root.
            projected: (B, 1, J, 3) of :func:`back_project`.

        Returns:
            (B, 1, J, 3) metres from the root.
        """
        both = torch.cat([joints3d, projected], -1).flatten(1)
        gate = self.post_refine(both).view_as(joints3d[..., :2])
        xy = torch.lerp(projected[..., :2], joints3d[..., :2], gate)
        return torch.cat([xy, joints3d[..., 2:]], -1)


def back_project(
    keypoints2d: Tensor, depth: Tensor, root_depth: Tensor, camera: Tensor, root: int
) -> Tensor:
    """Computes the 3D positions of keypoints at known depths.

    The released evaluation takes the root's depth from the ground truth: numbers with refinement are not comparable
    with those without and are listed separately in a table.

    Args:
        keypoints2d: (B, T, J, 2) normalised image coordinates, the width being [-1, 1].
        depth: (B, T, J) predicted, metres from the root, whose own entry counts as 0.
        root_depth: (B, T) metres from the camera.
        camera: (B, 4 or more) focal lengths and principal point, (fx, fy, cx, cy), in the unit of the keypoints, as
            the nine intrinsic numbers of VideoPose3D begin. Distortion is ignored.
        root: index of the root.

    Returns:
        (B, T, J, 3) metres from the root.
    """
    from_root = depth.clone()
    from_root[..., root] = 0
    z = (from_root + root_depth[..., None])[..., None]
    focal = camera[:, None, None, :2]
    centre = camera[:, None, None, 2:4]
    xy = (keypoints2d - centre) * z / focal
    points = torch.cat([xy, z], -1)
    return points - points[..., root : root + 1, :]
