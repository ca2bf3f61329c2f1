"""The motion of one track before the camera of the full picture: what every export starts from."""

from __future__ import annotations

import dataclasses
from typing import Iterator, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel, BodyOutput
from hrtk.errors import InputError
from hrtk.geometry.camera import crop_to_image_camera, default_focal

# Rows are the axes of a world in the camera frame (x right, y down, z away from the viewer). No world knows gravity:
# its vertical is that of the picture.
WORLDS = {
    'camera': ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    'y-up': ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    'z-up': ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
}
CHUNK = 64


@dataclasses.dataclass(frozen=True)
class Motion:
    """A moving body of F frames, and the pinhole camera that saw it.

    Attributes:
        name: of the track.
        rotmat: (F, 24, 3, 3) float64; joint 0 turns into the motion's world, the others are relative to their parent.
        betas: (F, 10) float64.
        translation: (F, 3) float64 metres, added to the vertices that the body model gives (SMPL's ``trans``).
        frame_ids: F labels.
        fps: frames per second.
        image_size: (width, height) of the picture, px.
        focal: px; the principal point is the middle of the picture.
    """

    name: str
    rotmat: Tensor
    betas: Tensor
    translation: Tensor
    frame_ids: tuple[str, ...]
    fps: float
    image_size: tuple[int, int]
    focal: float

    def __len__(self) -> int:
        return len(self.rotmat)


def motion_of_crops(
    name: str,
    rotmat: np.ndarray,
    betas: np.ndarray,
    camera: np.ndarray,
    boxes: np.ndarray,
    frame_ids: tuple[str, ...],
    fps: float,
    image_size: tuple[int, int],
    focal: Optional[float] = None,
) -> Motion:
    """What was predicted in crops, moved before the camera of the full picture.

    Args:
        name: of the track.
        rotmat: (F, 24, 3, 3), ``global_orient`` in the camera frame first.
        betas: (F, 10).
        camera: (F, 3) weak-perspective ``[s, tx, ty]`` of the crops.
        boxes: (F, 3) ``[cx, cy, side]`` of the crops, px.
        frame_ids: F labels.
        fps: frames per second.
        image_size: (width, height), px.
        focal: px; default :func:`~hrtk.geometry.camera.default_focal`. Depth is proportional to it.

    Raises:
        InputError: an array is of another shape or not finite, or there is no frame, frame rate or focal length.
    """
    frames, tensors = len(frame_ids), []
    for key, array, shape in (
        ('rotmat', rotmat, (24, 3, 3)),
        ('betas', betas, (10,)),
        ('camera', camera, (3,)),
        ('boxes', boxes, (3,)),
    ):
        if frames == 0 or np.shape(array) != (frames, *shape) or not np.isfinite(array).all():
            raise InputError(
                f'{name}: {key} must hold finite numbers of shape ({frames or "at least one frame"}, '
                f'{", ".join(map(str, shape))}), it has shape {np.shape(array)}; delete this result and '
                f'run tools/adapt.py again'
            )
        tensors.append(torch.as_tensor(np.asarray(array), dtype=torch.float64))
    for key, number in (('fps', fps), ('focal', focal if focal is not None else 1)):
        if not 0 < number < float('inf'):
            raise InputError(f'{name}: {key} must be a positive number, not {number}')
    focal = float(focal if focal is not None else default_focal(image_size))
    rotations, shapes, cameras, squares = tensors
    translation = crop_to_image_camera(cameras, squares, image_size, focal)
    return Motion(
        name, rotations, shapes, translation, tuple(frame_ids), float(fps), tuple(image_size), focal
    )


def steady(motion: Motion, body: BodyModel) -> Motion:
    """The same motion with the mean shape of all frames; the pelvis stays where it is in every frame."""
    betas = motion.betas.mean(0, keepdim=True).expand_as(motion.betas)
    moved = rest_joints(body, motion.betas)[:, 0] - rest_joints(body, betas)[:, 0]
    return dataclasses.replace(motion, betas=betas, translation=motion.translation + moved)


def in_world(motion: Motion, body: BodyModel, world: str) -> Motion:
    """A motion in the camera frame, turned into a world of :data:`WORLDS`; the camera stays at the origin.

    SMPL turns a body about its pelvis and not about the origin, so the translation changes by more than the turn.

    Raises:
        InputError: there is no such world.
    """
    if world not in WORLDS:
        raise InputError(f'there is no world {world!r}; use {", ".join(WORLDS)}')
    turn = torch.tensor(WORLDS[world], dtype=motion.rotmat.dtype)
    rotmat = torch.cat([turn @ motion.rotmat[:, :1], motion.rotmat[:, 1:]], dim=1)
    pelvis = rest_joints(body, motion.betas)[:, 0]
    return dataclasses.replace(
        motion, rotmat=rotmat, translation=(pelvis + motion.translation) @ turn.T - pelvis
    )


@torch.no_grad()
def rest_joints(body: BodyModel, betas: Tensor) -> Tensor:
    """SMPL's joints of bodies at rest: betas (F, 10) -> (F, 24, 3) metres, float64."""
    like = body.template
    identity = torch.eye(3, dtype=like.dtype, device=like.device).expand(len(betas), 24, 3, 3)
    return body.joints(identity, betas.to(like), 'smpl24').double().cpu()


@torch.no_grad()
def posed(motion: Motion, body: BodyModel) -> Iterator[BodyOutput]:
    """Bodies of up to :data:`CHUNK` frames at a time, in their places, float64."""
    for start in range(0, len(motion), CHUNK):
        part = slice(start, start + CHUNK)
        output = body(motion.rotmat[part].to(body.template), motion.betas[part].to(body.template))
        moved = motion.translation[part, None]
        yield BodyOutput(
            output.vertices.double().cpu() + moved, output.joints.double().cpu() + moved
        )
