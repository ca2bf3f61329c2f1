"""ClosedForm: the direction of every bone from its 2D projection and its known length, without an optimiser.

Yang, Gu, Yao, "KITRO: Refining Human Mesh by 2D Clues and Kinematic-tree Rotation", CVPR 2024. A bone of length l that
begins at A and ends on the ray of a keypoint has two directions, Fig. 3 of the paper: with n the part of A that is
perpendicular to the unit ray d, the bone is ``-n + h d`` or ``-n - h d``, h = sqrt(l^2 - |n|^2). The joint at its
beginning swings the bone there by the smallest rotation, so that its twist stays.

Departures from the paper. The sign is that of the present prediction, bone by bone; KITRO follows a tree of all signs
and takes the path that is nearest to the prediction as a whole. The shape stays the network's; KITRO optimises it by
gradients. A keypoint is met where it is; KITRO moves the keypoints so that that of the parent joint is met. The torso
turns in the plane of the image alone; KITRO turns it by an SVD over pelvis, spine and hips. In depth a torso that is
solved from its own foreshortening and a camera that is fitted to it drive each other away. Upper arms, forearms,
thighs and shins are solved, and no bones of head, spine, hands and feet. ``strength`` is hrtk's own.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter, Reset
from hrtk.adapters.parts.fitted_camera import fitted_camera
from hrtk.adapters.parts.posed import SKELETON, CropKeypoints
from hrtk.adapters.rivals.refinement import RefinementSession
from hrtk.body_models.skeletons import PARENTS24, SMPL24, joint_names
from hrtk.errors import OptionError
from hrtk.geometry.camera import CROP, FOCAL, crop_translation, project_translated
from hrtk.geometry.constants import indices
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction

POINTS = joint_names(SKELETON)
# Cosine of an angle beyond which the axis of the smallest rotation is not defined.
OPPOSITE = -0.999


class Bones(NamedTuple):
    """Bones of one depth in the kinematic tree: B joints of the body, and the points of ``spin24`` at their ends."""

    joints: tuple[int, ...]
    ends: tuple[int, ...]


def _bones(*pairs: tuple[str, str]) -> Bones:
    joints = tuple(SMPL24.index(joint) for joint, _ in pairs)
    ends = tuple(POINTS.index(end) for _, end in pairs)
    return Bones(joints, ends)


LEVELS = (
    _bones(
        ('left_hip', 'left_knee'),
        ('right_hip', 'right_knee'),
        ('left_shoulder', 'left_elbow'),
        ('right_shoulder', 'right_elbow'),
    ),
    _bones(
        ('left_knee', 'left_ankle'),
        ('right_knee', 'right_ankle'),
        ('left_elbow', 'left_wrist'),
        ('right_elbow', 'right_wrist'),
    ),
)
TORSO = tuple(
    POINTS.index(f'{side}_{name}') for side in ('left', 'right') for name in ('hip_lsp', 'shoulder')
)


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class ClosedForm(Adapter):
    """Turns the bones of the network's prediction to the 2D keypoints; weights and shape stay as they are.

    Args:
        rounds: of camera, torso and limbs, one after the other.
        torso: whether the body is turned in the plane of the image before the limbs.
        strength: share of the way to the solved direction, in (0, 1].
        least_confidence: of a keypoint whose bone is solved, in [0, 1].
        batch_size: frames that are solved at once.
        reset: of :class:`~hrtk.adapters.Adapter`; nothing carries over in any case.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    rounds: int = 1
    torso: bool = True
    strength: float = 1.0
    least_confidence: float = 0.3
    batch_size: int = 32
    reset: Reset = 'sequence'

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength <= 1:
            raise OptionError(f'ClosedForm: strength is in (0, 1], not {self.strength}')
        if not 0 <= self.least_confidence <= 1:
            raise OptionError(
                f'ClosedForm: least_confidence is in [0, 1], not {self.least_confidence}'
            )
        if self.rounds < 1:
            raise OptionError(f'ClosedForm: rounds is at least 1, not {self.rounds}')

    def start(self, estimator: Estimator) -> ClosedFormSession:
        """Starts a session; the weights stay unchanged."""
        return ClosedFormSession(self, estimator)


class ClosedFormSession(RefinementSession):
    """Solves one batch of frames after the other; frames do not depend on each other.

    Args:
        options: the adapter.
        estimator: network whose predictions are refined.
    """

    def __init__(self, options: ClosedForm, estimator: Estimator) -> None:
        super().__init__(estimator, options.batch_size)
        self.options = options

    @torch.no_grad()
    def refine(self, prediction: Prediction, keypoints: CropKeypoints, frames: slice) -> Prediction:
        """Turns torso and limbs, and fits the camera before and after."""
        rotmat = prediction.rotmat
        betas = prediction.betas
        seen = keypoints.confidence > self.options.least_confidence
        camera = self._camera(rotmat, betas, keypoints, prediction.camera)
        for _ in range(self.options.rounds):
            if self.options.torso:
                rotmat = self._turn_torso(rotmat, betas, camera, keypoints, seen)
                camera = self._camera(rotmat, betas, keypoints, prediction.camera)
            for bones in LEVELS:
                rotmat = self._turn_bones(rotmat, betas, camera, keypoints, seen, bones)
            camera = self._camera(rotmat, betas, keypoints, prediction.camera)
        return Prediction(rotmat, betas, camera)

    def _camera(
        self, rotmat: Tensor, betas: Tensor, keypoints: CropKeypoints, fallback: Tensor
    ) -> Tensor:
        return fitted_camera(self.body.joints(rotmat, betas, SKELETON), keypoints, fallback)

    def _turn_torso(
        self, rotmat: Tensor, betas: Tensor, camera: Tensor, keypoints: CropKeypoints, seen: Tensor
    ) -> Tensor:
        """Turns the body in the plane of the image, so that hips and shoulders fit their keypoints best."""
        torso = indices(TORSO, rotmat)
        points = self.body.joints(rotmat, betas, SKELETON)[:, torso]
        places = project_translated(points + crop_translation(camera)[:, None])
        weight = keypoints.confidence[:, torso] * seen[:, torso]
        angle = self.options.strength * plane_angle(places, keypoints.xy[:, torso], weight)
        axis = torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle], dim=-1)
        turned = rotmat.clone()
        turned[:, 0] = axis_angle_to_rotmat(axis) @ rotmat[:, 0]
        return turned

    def _turn_bones(
        self,
        rotmat: Tensor,
        betas: Tensor,
        camera: Tensor,
        keypoints: CropKeypoints,
        seen: Tensor,
        bones: Bones,
    ) -> Tensor:
        """Swings the bones of one depth to their keypoints."""
        translation = crop_translation(camera)[:, None]
        joints, ends = indices(bones.joints, rotmat), indices(bones.ends, rotmat)
        begin = self.body.joints(rotmat, betas, 'smpl24')[:, joints] + translation
        end = self.body.joints(rotmat, betas, SKELETON)[:, ends] + translation
        bone = end - begin
        solved = solve_bone(begin, bone, keypoints.xy[:, ends])
        turn = swing(bone, solved, self.options.strength)
        identity = torch.eye(3, dtype=turn.dtype, device=turn.device)
        turn = turn.where(seen[:, ends][..., None, None], identity)
        parents = indices(tuple(PARENTS24[joint] for joint in bones.joints), rotmat)
        parent = world_rotations(rotmat)[:, parents]
        turned = rotmat.clone()
        turned[:, joints] = parent.mT @ turn @ parent @ rotmat[:, joints]
        return turned


def solve_bone(begin: Tensor, bone: Tensor, place: Tensor) -> Tensor:
    """Solves the direction of a bone whose end is seen at a place of the crop.

    Args:
        begin: (..., 3) where the bone begins, metres before the crop's camera.
        bone: (..., 3) the present bone; its length is kept, and of two solutions the nearer one is taken.
        place: (..., 2) where its end is seen, crop coordinates.

    Returns:
        (..., 3) the bone. If it is too short to reach the ray, its end is the point of the ray that is nearest, and
        only the direction of the result has a meaning.
    """
    ones = torch.ones_like(place[..., :1])
    ray = torch.cat([place * (CROP / 2) / FOCAL, ones], dim=-1)
    ray = ray / ray.norm(dim=-1, keepdim=True)
    across = begin - (begin * ray).sum(-1, keepdim=True) * ray
    squared = bone.square().sum(-1, keepdim=True) - across.square().sum(-1, keepdim=True)
    along = squared.clamp_min(0).sqrt()
    is_away = (bone * ray).sum(-1, keepdim=True) >= 0
    return torch.where(is_away, along, -along) * ray - across


def swing(bone: Tensor, solved: Tensor, strength: float = 1.0) -> Tensor:
    """The smallest rotations (..., 3, 3) that turn bones (..., 3) a share of the way to solved directions (..., 3).

    A bone that points the opposite way stays: the axis of its rotation is not defined.
    """
    first = bone / bone.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    second = solved / solved.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    cosine = (first * second).sum(-1).clamp(-1, 1)
    axis = torch.linalg.cross(first, second, dim=-1)
    axis = axis / axis.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    angle = strength * torch.acos(cosine) * (cosine > OPPOSITE)
    return axis_angle_to_rotmat(angle[..., None] * axis)


def plane_angle(points: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """The angle by which points turn about their middle to fit targets best, in weighted least squares.

    Args:
        points: (B, N, 2).
        targets: (B, N, 2).
        weight: (B, N), at least 0.

    Returns:
        (B,) radians, from x to y; 0 if fewer than two points have a weight.
    """
    share = (weight / weight.sum(1, keepdim=True).clamp_min(1e-9))[..., None]
    first = points - (share * points).sum(1, keepdim=True)
    second = targets - (share * targets).sum(1, keepdim=True)
    cosine = (share * first * second).sum((1, 2))
    sine = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    angle = torch.atan2((share[..., 0] * sine).sum(1), cosine)
    return angle.where((weight > 0).sum(1) > 1, torch.zeros_like(angle))


def world_rotations(rotmat: Tensor) -> Tensor:
    """(B, 24, 3, 3) rotations relative to the parents to those in the axes of the crop."""
    world = [rotmat[:, 0]]
    for joint in range(1, rotmat.shape[1]):
        world.append(world[PARENTS24[joint]] @ rotmat[:, joint])
    return torch.stack(world, dim=1)
