"""Cameras: the weak-perspective camera of a crop, its official perspective form, and the full image.

A crop camera ``[s, tx, ty]`` places a body in its square crop, whose sides are the range [-1, 1]: approximately
``u = s * (x + tx)``, ``v = s * (y + ty)`` for camera-frame metres. SPIN and its family evaluate it as a perspective
camera of focal length 5000 px on a 224 px crop, as :func:`project` does.

The camera of the full image is a pinhole camera: a focal length and a principal point in px, the centre of the top-left
pixel being (0, 0). Lens distortion is not modelled.
"""

from __future__ import annotations

import math
from typing import Optional, Union

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.geometry.constants import constant

FOCAL = 5000.0
CROP = 224.0

# Of one camera, or (F,) of the camera of every frame.
Focal = Union[float, Tensor]
# (x, y) of one camera, or (F, 2) of the camera of every frame.
Point = Union[tuple[float, float], Tensor]


def crop_translation(camera: Tensor) -> Tensor:
    """Weak-perspective camera (B, 3) -> translation (B, 3) in metres, ``[tx, ty, 2 * 5000 / (224 * s + 1e-9)]``.

    Source: SPIN, used unchanged by VIBE, BOA, DynaBOA, TCMR and MPS-Net.
    """
    s, tx, ty = camera.unbind(-1)
    return torch.stack([tx, ty, 2 * FOCAL / (CROP * s + 1e-9)], dim=-1)


def project(points: Tensor, camera: Tensor) -> Tensor:
    """Projects camera-frame points into a crop, as SPIN does.

    Args:
        points: (B, N, 3) metres, before translation.
        camera: (B, 3) weak-perspective ``[s, tx, ty]``.

    Returns:
        (B, N, 2) positions, [-1, 1] inside the crop; x to the right, y down.
    """
    return project_translated(points + crop_translation(camera)[:, None])


def project_translated(points: Tensor) -> Tensor:
    """Projects points (B, N, 3) before SPIN's camera of a crop, in metres, to (B, N, 2) positions in the crop."""
    return points[..., :2] * (FOCAL / (CROP / 2)) / points[..., 2:]


def crop_points(points: Tensor, camera: Tensor, side: int) -> Tensor:
    """Projects camera-frame points into the pixels of a crop and keeps their depth, as input of a rasteriser.

    Args:
        points: (B, N, 3) metres, before translation.
        camera: (B, 3) weak-perspective ``[s, tx, ty]``.
        side: of the crop, px.

    Returns:
        (B, N, 3): u and v px, the centre of the top-left pixel being (0, 0), and depth in metres.
    """
    pixels = (project(points, camera) + 1) * (side / 2) - 0.5
    depth = points[..., 2:] + crop_translation(camera)[:, None, 2:]
    return torch.cat([pixels, depth], dim=-1)


def fit_weak_perspective(points: Tensor, keypoints2d: Tensor) -> Tensor:
    """Least-squares crop camera for known 3D and 2D points: ``keypoints2d ~ s * (points_xy + t)``.

    Args:
        points: (B, N, 3) metres.
        keypoints2d: (B, N, 2) normalised crop positions.

    Returns:
        (B, 3) cameras ``[s, tx, ty]``.
    """
    xy = points[..., :2]
    mean3d = xy.mean(1, keepdim=True)
    mean2d = keypoints2d.mean(1, keepdim=True)
    centred = xy - mean3d
    variance = centred.square().sum((1, 2))
    covariance = (centred * (keypoints2d - mean2d)).sum((1, 2))
    scale = (covariance / variance)[:, None]
    return torch.cat([scale, mean2d[:, 0] / scale - mean3d[:, 0]], dim=1)


def crop_to_image_camera(
    camera: Tensor, boxes: Tensor, image_size: tuple[float, float], focal: float
) -> Tensor:
    """Computes the translation of a body in the full image's perspective camera.

    Source: HMR2's ``cam_crop_to_full``, principal point at the image centre.

    Args:
        camera: (B, 3) crop cameras.
        boxes: (B, 3) ``[cx, cy, side]`` of the crops, px; the side is that of the *expanded* crop.
        image_size: (width, height) of the image, px.
        focal: focal length, px.

    Returns:
        (B, 3) translations in metres, to be added to camera-frame vertices.
    """
    s, tx, ty = camera.unbind(-1)
    cx, cy, side = boxes.unbind(-1)
    scale = side * s + 1e-9
    middle_x, middle_y = image_middle(image_size)
    dx = cx - middle_x
    dy = cy - middle_y
    return torch.stack([tx + 2 * dx / scale, ty + 2 * dy / scale, 2 * focal / scale], dim=-1)


def crop_to_image_weak(camera: Tensor, boxes: Tensor, image_size: tuple[float, float]) -> Tensor:
    """VIBE's weak-perspective camera of the full image, (B, 4) ``[sx, sy, tx, ty]``.

    The image's own sides are the range [-1, 1]: ``u = sx * (x + tx)``, ``v = sy * (y + ty)``. ``boxes`` must hold the
    expanded crop (VIBE's demo passes the raw box, which renders the mesh about 9 % too small).

    Args:
        camera: (B, 3) crop cameras.
        boxes: (B, 3) ``[cx, cy, side]``, px.
        image_size: (width, height), px.
    """
    s, tx, ty = camera.unbind(-1)
    cx, cy, side = boxes.unbind(-1)
    width, height = image_size
    sx = s * side / width
    sy = s * side / height
    dx = (cx + 0.5 - width / 2) / (width / 2)
    dy = (cy + 0.5 - height / 2) / (height / 2)
    return torch.stack([sx, sy, tx + dx / sx, ty + dy / sy], dim=-1)


def image_to_crop_camera(
    translation: Tensor, boxes: Tensor, image_size: tuple[float, float], focal: float
) -> Tensor:
    """Computes the crop camera of a translated body, the inverse of :func:`crop_to_image_camera`.

    Args:
        translation: (B, 3) metres in the full image's perspective camera; z is positive.
        boxes: (B, 3) ``[cx, cy, side]`` of the crops, px.
        image_size: (width, height) of the image, px.
        focal: focal length, px.

    Returns:
        (B, 3) weak-perspective ``[s, tx, ty]``.
    """
    x, y, z = translation.unbind(-1)
    cx, cy, side = boxes.unbind(-1)
    middle_x, middle_y = image_middle(image_size)
    tx = x - (cx - middle_x) * z / focal
    ty = y - (cy - middle_y) * z / focal
    return torch.stack([2 * focal / (z * side), tx, ty], dim=-1)


def image_middle(image_size: tuple[float, float]) -> tuple[float, float]:
    """The middle of an image of (width, height) px, half a pixel before half its size: pixel centres are integers."""
    width, height = image_size
    return (width - 1) / 2, (height - 1) / 2


def default_focal(image_size: tuple[float, float]) -> float:
    """The focal length of an unknown camera: the diagonal of the image, px.

    This is a diagonal field of view of 53 degrees, common for whole images (CLIFF, 2022, in its code).

    Args:
        image_size: (width, height), px.
    """
    return math.hypot(*image_size)


def distant_focal(image_size: tuple[float, float]) -> float:
    """HMR2's focal length ``5000 / 256 * max(width, height)`` px: a nearly orthographic camera, as crops have.

    It is meant for drawing over an image: distances from this camera have no meaning.
    """
    return FOCAL / 256 * max(image_size)


def clip_focal(
    image_size: tuple[float, float], focal: Optional[float] = None, fov: Optional[float] = None
) -> float:
    """The one focal length of a clip, from what is known about its camera.

    Args:
        image_size: (width, height), px.
        focal: focal length in px of these images, if it is known.
        fov: field of view along the longer side of the image in degrees, if that is known instead.

    Returns:
        px; :func:`default_focal` if nothing is known.

    Raises:
        InputError: both are given, or one is not in its range.
    """
    if focal is not None and fov is not None:
        raise InputError('give the focal length (px) or the field of view (degrees), not both')
    if focal is not None:
        if not 0 < focal < math.inf:
            raise InputError(
                f'focal: the focal length must be a positive number of px, not {focal}'
            )
        return float(focal)
    if fov is not None:
        if not 0 < fov < 180:
            raise InputError(
                f'fov: the field of view must lie between 0 and 180 degrees, not {fov}'
            )
        return max(image_size) / 2 / math.tan(math.radians(fov) / 2)
    return default_focal(image_size)


def viewing_rotation(
    boxes: Tensor, focal: Focal, principal_point: Point, angle: Optional[Tensor] = None
) -> Tensor:
    """Rotations from the axes of a crop to the axes of the camera.

    A network sees a crop as if its camera looked at the centre of the crop, so its ``global_orient`` is relative to the
    viewing ray through that centre. The returned rotation takes the optical axis to this ray by the shortest way;
    ``rotation @ global_orient`` is right in the frame of the camera. If the region was also turned in the image, the
    rotation starts with that turn. Differentiable in all arguments.

    Args:
        boxes: (F, 3) ``[cx, cy, side]`` of the crops, px; the side is not used.
        focal: px.
        principal_point: px.
        angle: (F,) radians by which the regions are turned in the image, clockwise on the screen: the direction from
            left to right in the region is (cos, sin) in the image. None for upright crops, and for predictions that
            were turned back to the axes of the image.

    Returns:
        (F, 3, 3).
    """
    offset = boxes[:, :2] - point_rows(principal_point, boxes)
    slope = offset / focal_column(focal, boxes)
    ray = F.normalize(F.pad(slope, (0, 1), value=1.0), dim=-1)
    x, y, z = ray.unbind(-1)
    # Rodrigues' formula for the axis (0, 0, 1) x ray, whose length is the sine of the angle and z its cosine.
    scale = 1 / (1 + z)
    entries = [
        1 - x * x * scale,
        -x * y * scale,
        x,
        -x * y * scale,
        1 - y * y * scale,
        y,
        -x,
        -y,
        z,
    ]
    rotation = torch.stack(entries, dim=-1).unflatten(-1, (3, 3))
    if angle is None:
        return rotation
    return rotation @ image_turn(angle)


def turn_root(rotmat: Tensor, rotation: Tensor) -> Tensor:
    """Turns bodies by turning their first joint: ``rotation`` (F, 3, 3) times ``rotmat`` (F, J, 3, 3)."""
    return torch.cat([rotation[:, None] @ rotmat[:, :1], rotmat[:, 1:]], dim=1)


def focal_column(focal: Focal, like: Tensor) -> Tensor:
    """A focal length as (1, 1), or focal lengths (F,) as (F, 1)."""
    if not isinstance(focal, Tensor):
        return constant((float(focal),), like)[:, None]
    return focal.to(like).reshape(-1, 1)


def point_rows(point: Point, like: Tensor) -> Tensor:
    """A point as (1, 2), or points (F, 2) as they are, in the precision of another tensor."""
    if not isinstance(point, Tensor):
        return constant((float(point[0]), float(point[1])), like)[None]
    return point.to(like).reshape(-1, 2)


def image_turn(angle: Tensor) -> Tensor:
    """Rotations (F, 3, 3) about the viewing direction by (F,) radians, clockwise on the screen."""
    cosine = angle.cos()
    sine = angle.sin()
    zero = torch.zeros_like(angle)
    one = torch.ones_like(angle)
    entries = [cosine, -sine, zero, sine, cosine, zero, zero, zero, one]
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))
