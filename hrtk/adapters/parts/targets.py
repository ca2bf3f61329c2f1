"""The 2D evidence of a sequence in the form that losses take."""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.body_models.skeletons import index_map
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop, truncate_to_crop_pixels
from hrtk.structures import Sequence


def crop_targets(
    sequence: Sequence,
    skeleton: str = 'spin24',
    truncate: bool = False,
    device: torch.device | str = 'cpu',
) -> tuple[Tensor, Tensor]:
    """Keypoints of every frame in normalised crop coordinates.

    Args:
        sequence: whose keypoints may be of any skeleton; points that ``skeleton`` has and they lack get confidence 0.
        skeleton: joint list of the losses.
        truncate: cut positions down to whole crop pixels, as the official loaders do.
        device: where to put the result.

    Returns:
        (F, K, 2) positions and (F, K) confidences.

    Raises:
        InputError: no frame has a usable point.
    """
    given = sequence.keypoints2d
    source = torch.as_tensor(index_map(given.skeleton, skeleton, nearest=True))
    have = source >= 0
    xy = to_crop(given.xy, sequence.boxes)[:, source.clamp_min(0)]
    confidence = given.confidence[:, source.clamp_min(0)] * have
    confidence = torch.where(torch.isfinite(xy).all(-1), confidence, confidence.new_zeros(()))
    if not (confidence > 0).any():
        raise InputError(
            f'{sequence.name}: none of its {given.skeleton} keypoints ({given.source}) has a confidence '
            f'above zero that {skeleton} can use; adaptation needs 2D keypoints'
        )
    xy = torch.where(confidence[..., None] > 0, xy, xy.new_zeros(()))
    if truncate:
        xy = truncate_to_crop_pixels(xy)
    return xy.to(device), confidence.to(device)
