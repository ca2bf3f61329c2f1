"""Observations: what the lifter sees of a frame, the landmarks of a short window of time around it.

An observation is (T, 33, 6): T = 9 moments, 1/15 s apart, the middle one being the frame; 33 landmarks of
``blazepose33``; and of each x and y in the crop of the frame (its box is the range [-1, 1]), visibility in [0, 1], and
the world position in metres (x right, y down, z away, about the middle of the hips). A moment without a person is all
zero. The depth that BlazePose gives in px is left out: it says the same as that in metres (correlation .99).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hrtk.body_models.skeletons import index_map
from hrtk.errors import InputError
from hrtk.geometry.constants import indices
from hrtk.structures import Landmarks

WINDOW = 9
STEP = 1 / 15  # seconds
LANDMARKS = 33
CHANNELS = 6
XY = slice(0, 2)
VISIBILITY = 2
WORLD = slice(3, 6)


def observe(landmarks: Landmarks, boxes: Tensor, indices: Iterable[int], fps: float) -> Tensor:
    """Computes the observations of some frames.

    A moment between frames is interpolated. Where frames are closer together than the moments, a moment is a mean over
    frames with weights that fall linearly to zero at the neighbouring moments.

    Args:
        landmarks: of all F frames, gaps filled.
        boxes: (F, 3) crop boxes ``[cx, cy, side]``, px.
        indices: B frames.
        fps: frames per second.

    Returns:
        (B, 9, 33, 6).
    """
    frames = torch.as_tensor(list(indices), dtype=torch.long)
    near = frames_near(frames.tolist(), len(landmarks.valid), fps)
    box = boxes[frames][:, None, None]
    landmarks = landmarks.part(slice(near.start, near.stop))
    centres = frames - near.start
    weights = _time_weights(centres, landmarks.valid, fps)
    lost = ~landmarks.valid[centres]
    if bool(lost.any()):
        # The middle moment is always there: gaps are filled.
        weights[lost, WINDOW // 2] = F.one_hot(centres[lost], len(landmarks.valid)).to(weights)
    values = torch.cat(
        [landmarks.xyz[..., :2], landmarks.visibility[..., None], landmarks.world], dim=-1
    ).flatten(1)
    moments = (weights @ values).unflatten(2, (LANDMARKS, CHANNELS))
    present = (weights.sum(2) > 0)[..., None, None]
    box = box.to(moments)
    xy = (moments[..., XY] - box[..., :2]) / (box[..., 2:] / 2)
    return torch.cat([xy, moments[..., VISIBILITY:]], dim=-1) * present


def frames_near(frames: Sequence[int], count: int, fps: float) -> range:
    """The frames, of ``count``, on which the observations of some frames depend, and those between them."""
    reach = math.ceil((WINDOW // 2 * STEP + max(STEP, 1 / fps)) * fps)
    return range(max(min(frames) - reach, 0), min(max(frames) + reach + 1, count))


def fill_gaps(landmarks: Landmarks) -> Landmarks:
    """Interpolates the frames without a person linearly in time; these stay invalid.

    Raises:
        InputError: there is no frame with a person.
    """
    if bool(landmarks.valid.all()):
        return landmarks
    if not bool(landmarks.valid.any()):
        raise InputError(
            'landmarks: nobody was found in any frame of the track; leave the track out'
        )
    known = landmarks.valid.nonzero()[:, 0]
    frames = torch.arange(len(landmarks.valid))
    after = torch.searchsorted(known, frames).clamp_max(len(known) - 1)
    before = (torch.searchsorted(known, frames, right=True) - 1).clamp_min(0)
    first = known[before]
    last = known[after]
    share = ((frames - first) / (last - first).clamp_min(1)).clamp(0, 1)

    def between(values: Tensor) -> Tensor:
        weight = share.view(-1, *[1] * (values.dim() - 1))
        return values[first] + weight * (values[last] - values[first])

    return Landmarks(
        between(landmarks.xyz),
        between(landmarks.world),
        between(landmarks.visibility),
        landmarks.valid,
    )


def observed_keypoints(observations: Tensor, skeleton: str) -> tuple[Tensor, Tensor]:
    """The middle moment's points of a joint list.

    Args:
        observations: (B, T, 33, 6).
        skeleton: a list of which ``blazepose33`` has points; others have visibility zero.

    Returns:
        (B, K, 2) positions in the crop, and (B, K) visibilities.
    """
    index = indices(index_map('blazepose33', skeleton), observations)
    middle = observations[:, WINDOW // 2]
    points = middle[:, index.clamp_min(0)]
    return points[..., XY], points[..., VISIBILITY] * (index >= 0)


def _time_weights(centres: Tensor, valid: Tensor, fps: float) -> Tensor:
    """(B, 9, F) shares of the frames in the moments around some frames; a row without valid frames is zero."""
    moments = STEP * (torch.arange(WINDOW) - WINDOW // 2)
    frames = torch.arange(len(valid))
    distance = (frames - centres[:, None]) / fps - moments[:, None, None]
    width = max(STEP, 1 / fps)
    weights = (1 - distance.abs() / width).clamp_min(0).transpose(0, 1)
    weights = torch.where(weights > 1e-4, weights, 0) * valid
    return weights / weights.sum(2, keepdim=True).clamp_min(1e-9)
