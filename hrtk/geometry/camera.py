"""Cameras: the weak-perspective camera of a crop, its official perspective form, and the full image.

A crop camera ``[s, tx, ty]`` places a body in its square crop, whose sides are the range [-1, 1]: approximately
``u = s * (x + tx)``, ``v = s * (y + ty)`` for camera-frame metres. SPIN and its family evaluate it as a perspective
camera of focal length 5000 px on a 224 px crop, as :func:`project` does.
"""

from __future__ import annotations

import torch
from torch import Tensor

FOCAL = 5000.0
CROP = 224.0


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
    translated = points + crop_translation(camera)[:, None]
    return translated[..., :2] * (FOCAL / (CROP / 2)) / translated[..., 2:]


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
    width, height = image_size
    scale = side * s + 1e-9
    # Pixel centres are integers, so the centre of the image is half a pixel before width / 2.
    dx = cx - (width - 1) / 2
    dy = cy - (height - 1) / 2
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


def default_focal(image_size: tuple[float, float]) -> float:
    """HMR2's focal length for an image without calibration: ``5000 / 256 * max(width, height)`` px."""
    return FOCAL / 256 * max(image_size)
