"""The motion of one track in the camera frame of the full image, which every export starts from."""

from __future__ import annotations

import dataclasses
from typing import Iterator, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel, BodyOutput
from hrtk.errors import InputError
from hrtk.geometry.camera import clip_focal, crop_to_image_camera, turn_root
from hrtk.geometry.floor import Floor

# Rows are the axes of a world in the frame of a level camera (x right, y down, z away from the viewer).
WORLDS = {
    'camera': ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    'y-up': ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    'z-up': ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
}
CHUNK = 64  # frames


@dataclasses.dataclass(frozen=True)
class Motion:
    """A moving body of F frames and its pinhole camera.

    Attributes:
        name: of the track.
        rotmat: (F, 24, 3, 3) float64; joint 0 rotates into the motion's world, the others relative to their parent.
        betas: (F, 10) float64.
        translation: (F, 3) float64 metres, added to the vertices of the body model (SMPL's ``trans``).
        frame_ids: F labels.
        fps: frames per second.
        image_size: (width, height) of the image, px.
        focal: px; the principal point is the middle of the image.
        floor: in the camera frame; None if it is unknown. Then the vertical of every world is that of the image.
        given_times: (F,) float64 seconds of the frames, rising; None if they are even. Read :attr:`times`.
    """

    name: str
    rotmat: Tensor
    betas: Tensor
    translation: Tensor
    frame_ids: tuple[str, ...]
    fps: float
    image_size: tuple[int, int]
    focal: float
    floor: Optional[Floor] = None
    given_times: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.rotmat)

    @property
    def times(self) -> np.ndarray:
        """(F,) float64 seconds of the frames, the first one at 0."""
        if self.given_times is None:
            return np.arange(len(self)) / self.fps
        return self.given_times - self.given_times[0]


def motion_of_crops(
    name: str,
    rotmat: np.ndarray | Tensor,
    betas: np.ndarray | Tensor,
    camera: np.ndarray | Tensor,
    boxes: np.ndarray | Tensor,
    frame_ids: tuple[str, ...],
    fps: float,
    image_size: tuple[int, int],
    focal: Optional[float] = None,
    times: Optional[np.ndarray] = None,
) -> Motion:
    """Moves predictions in crops into the camera frame of the full image.

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
        times: (F,) seconds of the frames, rising; None if they are even.

    Raises:
        InputError: an array has another shape or is not finite, or there is no frame, frame rate or focal length.
    """
    frames = len(frame_ids)
    rotmat = _checked(f'{name}: rotmat', rotmat, frames, (24, 3, 3))
    betas = _checked(f'{name}: betas', betas, frames, (10,))
    camera = _checked(f'{name}: camera', camera, frames, (3,))
    boxes = _checked(f'{name}: boxes', boxes, frames, (3,))
    if not 0 < fps < float('inf'):
        raise InputError(f'{name}: fps must be a positive number, not {fps}')
    focal = clip_focal(image_size, focal)
    width, height = image_size
    return Motion(
        name=name,
        rotmat=rotmat,
        betas=betas,
        translation=crop_to_image_camera(camera, boxes, image_size, focal),
        frame_ids=tuple(frame_ids),
        fps=float(fps),
        image_size=(width, height),
        focal=focal,
        given_times=times,
    )


def with_mean_shape(motion: Motion, body: BodyModel) -> Motion:
    """Replaces the betas by their mean over all frames; the pelvis keeps its position in every frame."""
    betas = motion.betas.mean(0, keepdim=True).expand_as(motion.betas)
    shift = rest_joints(body, motion.betas)[:, 0] - rest_joints(body, betas)[:, 0]
    return dataclasses.replace(motion, betas=betas, translation=motion.translation + shift)


def in_world(motion: Motion, body: BodyModel, world: str) -> Motion:
    """Moves a motion from the camera frame into a world of :data:`WORLDS`, see :func:`world_transform`.

    SMPL rotates a body about its pelvis instead of the origin, so the translation changes by more than the rotation.

    Raises:
        InputError: the world is unknown.
    """
    rotation, camera = world_transform(motion, world)
    rotmat = turn_root(motion.rotmat, rotation.expand(len(motion), 3, 3))
    pelvis = rest_joints(body, motion.betas)[:, 0]
    translation = (pelvis + motion.translation) @ rotation.T + camera - pelvis
    return dataclasses.replace(motion, rotmat=rotmat, translation=translation, floor=None)


def world_transform(motion: Motion, world: str) -> tuple[Tensor, Tensor]:
    """The way from the camera frame into a world: ``rotation @ point + camera``.

    Without a floor the vertical of the world is that of the image, and the camera is the origin. With a floor the
    vertical is that of gravity, the floor has height zero, and the origin is below the camera. The world ``'camera'``
    is the camera frame in both cases.

    Args:
        motion: in the camera frame.
        world: ``'camera'``, ``'y-up'`` or ``'z-up'``.

    Returns:
        The rotation (3, 3), and the position (3,) of the camera in the world, metres.

    Raises:
        InputError: the world is unknown.
    """
    if world not in WORLDS:
        raise InputError(f'there is no world {world!r}; use {", ".join(WORLDS)}')
    rotation = torch.tensor(WORLDS[world], dtype=motion.rotmat.dtype)
    camera = torch.zeros(3, dtype=motion.rotmat.dtype)
    if motion.floor is None or world == 'camera':
        return rotation, camera
    down = torch.tensor([0.0, 1.0, 0.0], dtype=motion.rotmat.dtype)
    camera = -motion.floor.height * (rotation @ down)
    return rotation @ torch.from_numpy(motion.floor.level_rotation()), camera


@torch.no_grad()
def rest_joints(body: BodyModel, betas: Tensor) -> Tensor:
    """SMPL's joints of bodies in the rest pose: betas (F, 10) -> (F, 24, 3) metres, float64."""
    template = body.template
    identity = torch.eye(3, dtype=template.dtype, device=template.device)
    rotmat = identity.expand(len(betas), 24, 3, 3)
    return body.joints(rotmat, betas.to(template), 'smpl24').double().cpu()


@torch.no_grad()
def posed(motion: Motion, body: BodyModel) -> Iterator[BodyOutput]:
    """Yields posed and translated bodies of up to :data:`CHUNK` frames at a time, float64."""
    for start in range(0, len(motion), CHUNK):
        frames = slice(start, start + CHUNK)
        rotmat = motion.rotmat[frames].to(body.template)
        betas = motion.betas[frames].to(body.template)
        output = body(rotmat, betas)
        translation = motion.translation[frames, None]
        yield BodyOutput(
            output.vertices.double().cpu() + translation, output.joints.double().cpu() + translation
        )


def _checked(name: str, array: np.ndarray | Tensor, frames: int, shape: tuple[int, ...]) -> Tensor:
    """The array as float64 tensor of shape (frames, *shape)."""
    values = np.asarray(array)
    if frames == 0 or values.shape != (frames, *shape) or not np.isfinite(values).all():
        expected_frames = frames or 'at least one frame'
        raise InputError(
            f'{name} must hold finite numbers of shape ({expected_frames}, {", ".join(map(str, shape))}), '
            f'it has shape {values.shape}; delete this result and run tools/adapt.py again'
        )
    return torch.as_tensor(values, dtype=torch.float64)
