"""Cameras of the lifting literature: normalised intrinsics with lens distortion, quaternions, screen coordinates.

Conventions of VideoPose3D (Pavllo et al., 3D human pose estimation in video with temporal convolutions and
semi-supervised training, 2019): normalised coordinates run from -1 to 1 over the width of an image, y keeps the aspect
ratio; intrinsics are nine numbers ``[fx, fy, cx, cy, k1, k2, k3, p1, p2]`` in these units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def normalise_screen(points: np.ndarray, width: float, height: float) -> np.ndarray:
    """Pixels (..., 2) -> normalised coordinates: x in [-1, 1] over the image, y in [-h/w, h/w]."""
    return points / width * 2 - np.array([1, height / width], points.dtype)


def normalised_intrinsics(
    focal: ArrayLike,
    centre: ArrayLike,
    radial: ArrayLike,
    tangential: ArrayLike,
    width: float,
    height: float,
) -> np.ndarray:
    """The nine numbers of a camera.

    Args:
        focal: (2,) px.
        centre: (2,) principal point, px.
        radial: (3,) k1, k2, k3.
        tangential: (2,) p1, p2.
        width: of the image, px.
        height: of the image, px.

    Returns:
        (9,).
    """
    return np.concatenate(
        [
            np.asarray(focal) / width * 2,
            normalise_screen(np.asarray(centre), width, height),
            radial,
            tangential,
        ]
    )


def quaternion_to_rotmat(quaternion: ArrayLike) -> np.ndarray:
    """(..., 4) unit quaternions, real part first -> (..., 3, 3)."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion), -1, 0)
    entries = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    ]
    return np.stack(entries, -1).reshape(*np.shape(w), 3, 3)


def world_to_camera(points: np.ndarray, rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Points of the world frame in the camera frame.

    Args:
        points: (..., 3) metres.
        rotation: (3, 3) camera to world: its columns are the camera's axes (right, down, forward).
        position: (3,) of the camera, metres.

    Returns:
        (..., 3) metres, x right, y down, z away from the camera.
    """
    return (points - position) @ rotation


def look_at(position: ArrayLike, target: ArrayLike) -> np.ndarray:
    """Rotation (3, 3), camera to world, of an upright camera in a world with y up."""
    forward = np.asarray(target, np.float64) - np.asarray(position)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    return np.stack([right, down, forward], axis=1)


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Projects points of a camera frame, with lens distortion.

    Args:
        points: (..., 3) metres, in front of the camera.
        intrinsics: (9,), or broadcasting with (..., 9).

    Returns:
        (..., 2) normalised coordinates.
    """
    focal, centre, radial, tangential = np.split(intrinsics, (2, 4, 7), axis=-1)
    plane = points[..., :2] / points[..., 2:]
    r2 = np.square(plane).sum(-1, keepdims=True)
    powers = np.concatenate([r2, r2**2, r2**3], -1)
    radial_factor = 1 + (radial * powers).sum(-1, keepdims=True)
    tangential_factor = (tangential * plane).sum(-1, keepdims=True)
    distorted = plane * (radial_factor + tangential_factor) + tangential * r2
    return focal * distorted + centre
