"""The refinement behind stage II of MPM: predictions corrected by the keypoints and a known camera."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.body_models.joint_orders import check_number, root_of
from hrtk.geometry.constants import indices
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


@LIFTERS.register_module()
class RefinedLifter(nn.Module):
    """Stage II of MPM with the refinement of its middle frame.

    It is told the true depth of the root and the camera. Its errors are therefore reported under names of their own,
    see :class:`~hrtk.evaluation.LiftingEvaluator`.

    Args:
        lifter: config of :class:`~hrtk.models.lifting.MPMStage2`.
        refine: options of :class:`MPMRefine`.
        joints: order of the joints, see :mod:`hrtk.body_models.joint_orders`.
        pretrained: checkpoint of stage II to start from.
        weights: path to a checkpoint of lifter and refinement, ``'open:<name>'``, or None.

    Raises:
        InputError: the lifter has another number of joints than the order, or weights are missing, unreadable or those
            of another network.
    """

    def __init__(
        self,
        lifter: dict,
        refine: Optional[dict] = None,
        joints: str = 'h36m17',
        pretrained: Optional[str] = None,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__()
        self.lifter = LIFTERS.build(lifter)
        self.joints: int = self.lifter.joints
        self.frames: int = self.lifter.frames
        check_number(joints, self.joints, 'RefinedLifter: lifter')
        self.root = root_of(joints)
        self.refine = MPMRefine(**{**(refine or {}), 'joints': self.joints})
        if pretrained is not None:
            load_weights(self.lifter, pretrained)
        if weights is not None:
            load_weights(self, weights)

    def forward(self, keypoints2d: Tensor, root_depth: Tensor, camera: Tensor) -> Tensor:
        """Lifts windows and refines their middle frames.

        Args:
            keypoints2d: (B, F, J, 2) normalised image coordinates, the width being [-1, 1].
            root_depth: (B,) true depth of the root in the middle frame, metres.
            camera: (B, 4 or more), see :func:`back_project`.

        Returns:
            (B, 1, J, 3) metres from the root.
        """
        joints3d = self.lifter(keypoints2d)['joints3d']
        return self.refined(joints3d, keypoints2d, root_depth, camera)

    def refined(
        self, joints3d: Tensor, keypoints2d: Tensor, root_depth: Tensor, camera: Tensor
    ) -> Tensor:
        """Refines middle frames (B, 1, J, 3) that are lifted already; arguments and result as of :meth:`forward`."""
        joints3d = joints3d.index_fill(2, indices((self.root,), joints3d), 0)
        seen = keypoints2d[:, self.frames // 2][:, None]
        depth = joints3d[..., 2]
        projected = back_project(seen, depth, root_depth[:, None], camera, self.root)
        return self.refine(joints3d, projected)


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
    from_root = depth.index_fill(-1, indices((root,), depth), 0)
    z = (from_root + root_depth[..., None])[..., None]
    focal = camera[:, None, None, :2]
    centre = camera[:, None, None, 2:4]
    xy = (keypoints2d - centre) * z / focal
    points = torch.cat([xy, z], -1)
    return points - points[..., root : root + 1, :]
