"""Points in space from their positions in several calibrated cameras."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from hrtk.geometry.calibrated_camera import CalibratedCamera

HUBER_PX = 5.0
REJECT_PX = 20.0
ROUNDS = 5
LEAST_VIEWS = 2


@dataclasses.dataclass(frozen=True)
class Triangulated:
    """N points of the world.

    Attributes:
        points: (N, 3) metres; NaN where fewer than two cameras see a point.
        error_px: (N,) mean reprojection error over the kept cameras, px; NaN where there is no point.
        kept: (N, C) bool, the cameras that each point was computed from.
    """

    points: np.ndarray
    error_px: np.ndarray
    kept: np.ndarray


def triangulate(
    cameras: Sequence[CalibratedCamera],
    pixels: np.ndarray,
    confidence: np.ndarray,
    huber_px: float = HUBER_PX,
    reject_px: float = REJECT_PX,
) -> Triangulated:
    """Triangulates points robustly.

    The direct linear transform of Hartley and Zisserman (Multiple View Geometry, 2003, ch. 12.2) on undistorted rays,
    its rows weighted by confidence. Five rounds repeat it with the weights of Huber's loss (Estimation of a Location
    Parameter, 1964), and divided by depth, so that the algebraic error becomes the reprojection error. Then the camera
    with the largest error is left out as long as this error is above ``reject_px`` and more than two cameras remain.

    Args:
        cameras: C cameras.
        pixels: (N, C, 2) px.
        confidence: (N, C) weights; 0 marks a point that a camera does not see.
        huber_px: errors beyond this one count linearly, px.
        reject_px: the largest error of a kept camera where more than two see the point, px.
    """
    rays = np.stack([camera.undistort(pixels[:, c]) for c, camera in enumerate(cameras)], axis=1)
    weights = np.where(np.isfinite(rays).all(-1), np.float64(confidence), 0.0)
    rays = np.nan_to_num(rays)
    kept = weights > 0
    points, errors = _robust(cameras, rays, weights, huber_px)
    for _ in range(len(cameras) - LEAST_VIEWS):
        visible_errors = np.where(kept, errors, 0.0)
        worst = visible_errors.argmax(1)
        wrong = (visible_errors.max(1) > reject_px) & (kept.sum(1) > LEAST_VIEWS)
        if not wrong.any():
            break
        kept[wrong, worst[wrong]] = False
        some_points, some_errors = _robust(
            cameras, rays[wrong], np.where(kept[wrong], weights[wrong], 0.0), huber_px
        )
        points[wrong] = some_points
        errors[wrong] = some_errors
    count = kept.sum(1)
    seen = count >= LEAST_VIEWS
    sums = np.where(kept, errors, 0.0).sum(1)
    return Triangulated(
        np.where(seen[:, None], points, np.nan),
        np.where(seen, sums / np.maximum(count, 1), np.nan),
        kept,
    )


def _robust(
    cameras: Sequence[CalibratedCamera], rays: np.ndarray, weights: np.ndarray, huber_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) and errors (N, C) px after the rounds of Huber's weights."""
    points = _linear(cameras, rays, weights)
    errors, depths = _errors(cameras, rays, points)
    for _ in range(ROUNDS):
        huber = huber_px / np.maximum(errors, huber_px)
        # The row of a camera is its depth times the error; Huber's weight belongs to the squared error.
        points = _linear(cameras, rays, weights * np.sqrt(huber) / np.maximum(depths, 1e-3))
        errors, depths = _errors(cameras, rays, points)
    return points, errors


def _linear(
    cameras: Sequence[CalibratedCamera], rays: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Points (N, 3) of the direct linear transform; rays (N, C, 2) and weights (N, C) in the plane z = 1."""
    rows = []
    for c, camera in enumerate(cameras):
        matrix = np.concatenate([camera.rotation, camera.translation[:, None]], axis=1)
        row = rays[:, c, :, None] * matrix[2] - matrix[:2]
        rows.append(camera.focal * weights[:, c, None, None] * row)
    system = np.concatenate(rows, axis=1)
    homogeneous = np.linalg.svd(system)[2][:, -1]
    scale = homogeneous[:, 3:]
    scale = np.where(np.abs(scale) < 1e-12, 1e-12, scale)
    return homogeneous[:, :3] / scale


def _errors(
    cameras: Sequence[CalibratedCamera], rays: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Reprojection errors without lens distortion (N, C) px and depths (N, C) metres."""
    errors = []
    depths = []
    for c, camera in enumerate(cameras):
        local = camera.to_camera(points)
        depth = local[:, 2]
        safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        plane = local[:, :2] / safe[:, None]
        errors.append(camera.focal * np.linalg.norm(plane - rays[:, c], axis=-1))
        depths.append(np.abs(safe))
    return np.stack(errors, axis=1), np.stack(depths, axis=1)
