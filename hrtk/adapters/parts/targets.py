"""The 2D keypoints of a sequence in the coordinates of its crops, for losses."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import SKELETON, CropKeypoints
from hrtk.body_models.skeletons import index_map
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop, truncate_to_crop_pixels
from hrtk.geometry.uploads import upload
from hrtk.structures import Sequence

WITHOUT_EVIDENCE = 'frames_without_evidence'  # name of the count, in results and in metrics.json


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
        truncate: cast positions to whole crop pixels plus one, as the official loaders do.
        device: device of the returned tensors.

    Returns:
        (F, K, 2) positions and (F, K) confidences. Frames without a visible keypoint, e.g. those of 3DPW whose camera
        is not aligned, have confidence 0 only: no adapter may take a step on them, see :func:`report_unseen`.

    Raises:
        InputError: the data set gives no keypoints at all, or none that the skeleton has.
    """
    keypoints = sequence.keypoints2d
    source = torch.as_tensor(index_map(keypoints.skeleton, skeleton, nearest=True))
    available = source >= 0
    if keypoints.source == 'none' or not available.any():
        raise InputError(
            f'{sequence.name}: its {keypoints.skeleton} keypoints ({keypoints.source}) have no point that {skeleton} '
            f'can use; adaptation needs 2D keypoints, so choose others in the data set'
        )
    source = source.clamp_min(0)
    xy = to_crop(keypoints.xy, sequence.boxes)[:, source]
    confidence = keypoints.confidence[:, source] * available
    finite = torch.isfinite(xy).all(-1)
    confidence = torch.where(finite, confidence, confidence.new_zeros(()))
    visible = confidence > 0
    xy = torch.where(visible[..., None], xy, xy.new_zeros(()))
    if truncate:
        xy = truncate_to_crop_pixels(xy)
    return CropKeypoints(upload(xy, device), upload(confidence, device))


def report_unseen(sequence: Sequence, seen: Tensor) -> dict[str, int | float]:
    """Counts the frames of a sequence from which nothing can be learned, and warns if it has no other frames.

    Args:
        sequence: F frames.
        seen: (F,) bool, whether a frame has a visible keypoint.

    Returns:
        The count for :attr:`hrtk.adapters.Session.counts`; empty if all frames are seen.
    """
    unseen = int((~seen).sum())
    if not unseen:
        return {}
    # With reset='frame' a sequence is one frame of many.
    if unseen == len(sequence) and unseen > 1:
        keypoints = sequence.keypoints2d
        warnings.warn(
            f'{sequence.name}: none of its {keypoints.skeleton} keypoints ({keypoints.source}) has a confidence above '
            f'zero that the losses can use; no step is taken on its {unseen} frames, and they are predicted with the '
            f'present weights',
            stacklevel=2,
        )
    return {WITHOUT_EVIDENCE: unseen}
