"""Random changes of training batches: mirror images, colours, noise and erased patches."""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.body_models.skeletons import flip_map
from hrtk.geometry.mirror import mirror_points, mirror_rotmat

# Of `distort` at strength 1, for pixel values in [0, 255].
GAIN = 0.3  # half width of the gain around 1
BRIGHTNESS = 30  # half width of the offset
NOISE = 12  # largest standard deviation
PATCH_SIDE = 0.35  # largest side of an erased patch, as a share of the crop's side
PATCH_SHARE = 1 / 3  # of crops with an erased patch


def random_half(count: int, device: torch.device) -> Tensor:
    """(B,) bool, each True with probability one half."""
    return torch.rand(count, device=device) < 0.5


def mirror_images(chosen: Tensor, images: Tensor) -> Tensor:
    """Mirrors the images or masks (B, ..., R, R) that are ``chosen`` (B,)."""
    return _where(chosen, images.flip(-1), images)


def mirror_labels(chosen: Tensor, rotmat: Tensor, keypoints2d: Tensor) -> tuple[Tensor, Tensor]:
    """Mirrors the labels that are ``chosen``.

    Args:
        chosen: (B,) bool.
        rotmat: (B, 24, 3, 3), or (B, T, 24, 3, 3) of all frames.
        keypoints2d: (B, 24, 2), or (B, T, 24, 2) of all frames; ``spin24``.

    Returns:
        Rotations and keypoints in the same shapes.
    """
    mirrored_rotmat = mirror_rotmat(rotmat, flip_map('smpl24'))
    mirrored_keypoints2d = mirror_points(keypoints2d, flip_map('spin24'))
    return (
        _where(chosen, mirrored_rotmat, rotmat),
        _where(chosen, mirrored_keypoints2d, keypoints2d),
    )


def mirror_half(
    image: Tensor, rotmat: Tensor, keypoints2d: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mirrors a random half of a batch.

    Args:
        image: (B, 3, R, R) crops.
        rotmat: as of :func:`mirror_labels`.
        keypoints2d: as of :func:`mirror_labels`.
    """
    chosen = random_half(len(image), image.device)
    return mirror_images(chosen, image), *mirror_labels(chosen, rotmat, keypoints2d)


def mirror_features(
    features: Tensor, rotmat: Tensor, keypoints2d: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Takes the features of the mirrored crops for a random half of a batch, and mirrors its labels.

    Args:
        features: (B, 2, T, F), the second those of mirrored crops, or (B, 1, T, F), where nothing is mirrored.
        rotmat: as of :func:`mirror_labels`.
        keypoints2d: as of :func:`mirror_labels`.

    Returns:
        (B, T, F) features, and the labels in their shapes.
    """
    if features.shape[1] == 1:
        return features[:, 0], rotmat, keypoints2d
    chosen = random_half(len(features), features.device)
    windows = _where(chosen, features[:, 1], features[:, 0])
    return windows, *mirror_labels(chosen, rotmat, keypoints2d)


def distort(image: Tensor, strength: float) -> Tensor:
    """Random gain per channel, brightness, noise and, for a third, an erased patch.

    Args:
        image: (B, 3, R, R) float in [0, 255], or (B, T, 3, R, R) clips, whose frames get the same gain, brightness,
            strength of the noise and patch.
        strength: factor of all changes; at 0 only values outside [0, 255] change.

    Returns:
        The shape of ``image``, in [0, 255].
    """
    over_time = [1] * (image.ndim - 4)

    def uniform(*shape: int) -> Tensor:
        values = torch.rand((len(image), *over_time, *shape), device=image.device)
        return values.to(image.dtype)

    image = image * (1 + strength * GAIN * (2 * uniform(3, 1, 1) - 1))
    image = image + strength * BRIGHTNESS * (2 * uniform(1, 1, 1) - 1)
    image = image + torch.randn_like(image) * (strength * NOISE * uniform(1, 1, 1))

    side = image.shape[-1]
    corner = uniform(2, 1) * side
    extent = uniform(2, 1) * side * PATCH_SIDE * strength
    grid = torch.arange(side, device=image.device)
    inside = (grid >= corner) & (grid < corner + extent)
    rows = inside[..., 0, None, :, None]
    columns = inside[..., 1, None, None, :]
    patch = rows & columns & (uniform(1, 1, 1) < PATCH_SHARE)
    return torch.where(patch, 255 * uniform(3, 1, 1), image).clamp(0, 255)


def _where(chosen: Tensor, mirrored: Tensor, original: Tensor) -> Tensor:
    """The mirrored samples that are ``chosen`` (B,), the original ones elsewhere."""
    per_sample = (-1, *[1] * (original.ndim - 1))
    return torch.where(chosen.view(per_sample), mirrored, original)
