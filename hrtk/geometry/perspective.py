"""Bodies in the perspective camera of the full image: from crop cameras to translations, and back.

:func:`crop_to_perspective` and :func:`perspective_to_crop` convert in least squares over points of the body, for true
focal lengths and for bodies that were turned by :func:`hrtk.geometry.camera.viewing_rotation`. The closed forms in
:mod:`hrtk.geometry.camera` are exact only in the plane of the body's origin.
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from hrtk.geometry.boxes import to_crop, to_image
from hrtk.geometry.camera import (
    CROP,
    FOCAL,
    Focal,
    Point,
    focal_column,
    image_turn,
    point_rows,
    project,
)

FIT_ROUNDS = 2  # the second one turns algebraic into pixel errors


def fit_translation(
    points: Tensor,
    pixels: Tensor,
    focal: Focal,
    principal_point: Point,
    weights: Optional[Tensor] = None,
) -> Tensor:
    """Least-squares translation of known 3D points before a perspective camera, given where they are seen.

    The projection equations ``f (X + x) = (u - cx) (Z + z)`` are linear in the translation. The first round weighs
    them equally, the second one by the inverse depths of the first, so that errors count in pixels.

    Args:
        points: (F, N, 3) metres, before translation.
        pixels: (F, N, 2) px.
        focal: px.
        principal_point: px.
        weights: (F, N), at least 0; default equal.

    Returns:
        (F, 3) metres.
    """
    centre = point_rows(principal_point, pixels)[:, None]
    slopes = (pixels - centre) / focal_column(focal, pixels)[..., None]
    constants = slopes * points[..., 2:] - points[..., :2]
    given = points.new_ones(points.shape[:2]) if weights is None else weights
    given = given[..., None]
    shares = given
    for _ in range(FIT_ROUNDS):
        total = shares.sum(1, keepdim=True)
        mean_slope = (shares * slopes).sum(1, keepdim=True) / total
        mean_constant = (shares * constants).sum(1, keepdim=True) / total
        centred = shares * (slopes - mean_slope)
        z = -(centred * constants).sum((1, 2)) / (centred * slopes).sum((1, 2))
        shares = given / (points[..., 2:] + z[:, None, None]).square()
    xy = mean_constant[:, 0] + mean_slope[:, 0] * z[:, None]
    return torch.cat([xy, z[:, None]], dim=-1)


def fit_crop_camera(
    points: Tensor, keypoints2d: Tensor, weights: Optional[Tensor] = None
) -> Tensor:
    """Least-squares crop camera under SPIN's perspective: the inverse of :func:`project`.

    Args:
        points: (B, N, 3) metres.
        keypoints2d: (B, N, 2) normalised crop positions.
        weights: (B, N), at least 0; default equal.

    Returns:
        (B, 3) cameras ``[s, tx, ty]``.
    """
    tx, ty, depth = fit_translation(
        points, keypoints2d, FOCAL / (CROP / 2), (0.0, 0.0), weights
    ).unbind(-1)
    return torch.stack([2 * FOCAL / (CROP * depth), tx, ty], dim=-1)


def crop_to_pixels(
    points: Tensor, camera: Tensor, boxes: Tensor, angle: Optional[Tensor] = None
) -> Tensor:
    """Projects points into a crop and from there into the image.

    Args:
        points: (F, N, 3) metres, before translation, in the axes of the crop.
        camera: (F, 3) weak-perspective ``[s, tx, ty]``.
        boxes: (F, 3) ``[cx, cy, side]``, px.
        angle: (F,) radians of turned regions, see :func:`~hrtk.geometry.camera.viewing_rotation`.

    Returns:
        (F, N, 2) px.
    """
    places = project(points, camera)
    if angle is not None:
        places = places @ image_turn(angle)[:, :2, :2].mT
    return to_image(places, boxes)


def crop_to_perspective(
    points: Tensor,
    turned: Tensor,
    camera: Tensor,
    boxes: Tensor,
    focal: Focal,
    principal_point: Point,
    angle: Optional[Tensor] = None,
) -> Tensor:
    """Computes the translation of a turned body in the full image's camera that keeps its place in the image.

    :func:`crop_to_image_camera` keeps only points in the plane of the body's origin. With a true focal length and a
    body that was turned by :func:`viewing_rotation`, arms and legs would move in the image; here the translation fits
    all points.

    Args:
        points: (F, N, 3) metres in the axes of the crop, before translation.
        turned: (F, N, 3) the same points of the turned body, metres in the axes of the camera, before translation.
        camera: (F, 3) weak-perspective ``[s, tx, ty]`` of the crops.
        boxes: (F, 3) ``[cx, cy, side]``, px.
        focal: px.
        principal_point: px.
        angle: (F,) radians of turned regions, see :func:`~hrtk.geometry.camera.viewing_rotation`.

    Returns:
        (F, 3) metres, to be added to the turned body.
    """
    pixels = crop_to_pixels(points, camera, boxes, angle)
    return fit_translation(turned, pixels, focal, principal_point)


def perspective_to_crop(
    points: Tensor,
    turned: Tensor,
    translation: Tensor,
    boxes: Tensor,
    focal: Focal,
    principal_point: Point,
    angle: Optional[Tensor] = None,
) -> Tensor:
    """Computes the crop camera of a body before the full image's camera: the inverse of :func:`crop_to_perspective`.

    Args:
        points: (F, N, 3) metres in the axes of the crop, before translation.
        turned: (F, N, 3) the same points of the turned body, metres in the axes of the camera, before translation.
        translation: (F, 3) metres of the turned body.
        boxes: (F, 3) ``[cx, cy, side]``, px.
        focal: px.
        principal_point: px.
        angle: (F,) radians of turned regions, see :func:`~hrtk.geometry.camera.viewing_rotation`.

    Returns:
        (F, 3) weak-perspective ``[s, tx, ty]``.
    """
    pixels = perspective_pixels(turned + translation[:, None], focal, principal_point)
    places = to_crop(pixels, boxes)
    if angle is not None:
        places = places @ image_turn(angle)[:, :2, :2]
    return fit_crop_camera(points, places)


def perspective_pixels(points: Tensor, focal: Focal, principal_point: Point) -> Tensor:
    """Projects points (F, N, 3), metres in the frame of a pinhole camera, to (F, N, 2) px."""
    centre = point_rows(principal_point, points)[:, None]
    return points[..., :2] / points[..., 2:] * focal_column(focal, points)[..., None] + centre
