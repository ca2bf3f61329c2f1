"""The 2D keypoints of a sequence in the coordinates of its crops, for losses."""

from __future__ import annotations

import torch

from hrtk.adapters.parts.posed import SKELETON, CropKeypoints
from hrtk.body_models.skeletons import index_map
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop, truncate_to_crop_pixels
from hrtk.geometry.uploads import upload
from hrtk.structures import Sequence


def crop_targets(
    sequence: Sequence,
    skeleton: str = SKELETON,
    truncate: bool = False,
    device: torch.device | str = 'cpu',
) -> CropKeypoints:
    """Returns the keypoints of every frame in normalised crop coordinates.

    Args:
        sequence: F frames, with keypoints of any skeleton; a joint of ``skeleton`` that the keypoints lack has
            confidence 0.
        skeleton: joint list of the losses, K joints.
        truncate: truncate positions to whole crop pixels, as the official loaders do.
        device: device of the returned tensors.

    Returns:
        (F, K, 2) positions and (F, K) confidences. A sequence of a single frame, e.g. with ``reset='frame'``, may have
        no visible keypoint.

    Raises:
        InputError: the sequence has more than one frame, and none has a visible keypoint.
    """
    keypoints = sequence.keypoints2d
    source = torch.as_tensor(index_map(keypoints.skeleton, skeleton, nearest=True))
    available = source >= 0
    source = source.clamp_min(0)
    xy = to_crop(keypoints.xy, sequence.boxes)[:, source]
    confidence = keypoints.confidence[:, source] * available
    finite = torch.isfinite(xy).all(-1)
    confidence = torch.where(finite, confidence, confidence.new_zeros(()))
    visible = confidence > 0
    if len(sequence) > 1 and not visible.any():
        raise InputError(
            f'{sequence.name}: none of its {keypoints.skeleton} keypoints ({keypoints.source}) has a confidence '
            f'above zero that {skeleton} can use; adaptation needs 2D keypoints'
        )
    xy = torch.where(visible[..., None], xy, xy.new_zeros(()))
    if truncate:
        xy = truncate_to_crop_pixels(xy)
    return CropKeypoints(upload(xy, device), upload(confidence, device))
