"""What a mirrored run of the detector and 3D landmarks say about exchanged sides, frame by frame, as costs.

A cost is the logarithm of how much more likely the evidence is with right sides than with exchanged ones, for each half
of the body. Frames that follow each other are seen alike, so their votes are weighted by time, see
:func:`vote_weights`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrtk.body_models.pairs import body_height, first_indices

# Probabilities that the mirrored image yields other sides, for right and for exchanged ones.
DISAGREE_IF_RIGHT = 0.03
DISAGREE_IF_EXCHANGED = 0.35
# Frames within this time count as one vote of the mirrored image or of 3D landmarks.
VOTE_SECONDS = 0.5
# How far feet, knees and elbows point to the front that the sides imply, compared with the median frame: a difference
# in statures that means nothing, the cost per stature beyond it, and the largest cost.
FRONT_TOLERANCE = 0.05
FRONT_SLOPE = 12.0
FRONT_LIMIT = 1.5


def vote_weights(seconds: np.ndarray) -> np.ndarray:
    """(F,) weights of the frames' votes: all frames within :data:`VOTE_SECONDS` have one vote together."""
    if len(seconds) < 2:
        return np.ones(len(seconds))
    return np.minimum(np.gradient(seconds) / VOTE_SECONDS, 1)


def mirror_costs(disagreement: np.ndarray) -> np.ndarray:
    """Costs of exchanged sides by what the mirrored image yields; negative where it disagrees.

    Exchanged sides are more often contradicted than right ones, but not always: both runs may be wrong.

    Args:
        disagreement: (F, 2) probabilities, NaN counts as none.
    """
    agreement = 1 - disagreement
    exchanged = disagreement * DISAGREE_IF_EXCHANGED + agreement * (1 - DISAGREE_IF_EXCHANGED)
    right = disagreement * DISAGREE_IF_RIGHT + agreement * (1 - DISAGREE_IF_RIGHT)
    return np.nan_to_num(np.log(right / exchanged), nan=0.0)


def front_consistency(landmarks3d: np.ndarray, skeleton: str | Sequence[str]) -> np.ndarray:
    """How far feet, knees and elbows point to the front that left and right imply.

    Shoulders and hips have two possible fronts, and their left and right joints tell which one is meant. Toes point to
    the front of the heels, knees bend to the front, elbows bend to the back. The sum over both sides is positive for a
    body whose sides are right; it changes its sign, not its size, if left and right are exchanged.

    Args:
        landmarks3d: (F, K, 3), camera axes (x right, y down, z away), any unit.
        skeleton: name of the joint list, or the names of the K joints.

    Returns:
        (F,) in statures; NaN where shoulders or hips, or all of feet, knees and elbows are missing.
    """
    first = first_indices(skeleton)

    def joint(side: str, name: str) -> np.ndarray:
        index = first.get((side, name))
        if index is None:
            return np.full((len(landmarks3d), 3), np.nan)
        return landmarks3d[:, index]

    shoulders = [joint(side, 'shoulder') for side in ('left', 'right')]
    hips = [joint(side, 'hip') for side in ('left', 'right')]
    to_left = shoulders[0] - shoulders[1] + hips[0] - hips[1]
    upwards = shoulders[0] + shoulders[1] - hips[0] - hips[1]
    front = np.cross(to_left, upwards)
    with np.errstate(invalid='ignore', divide='ignore'):
        front = front / np.linalg.norm(front, axis=-1, keepdims=True)
    forward = []
    for side in ('left', 'right'):
        toe = joint(side, 'foot_index')
        if ('left', 'big_toe') in first:
            toe = joint(side, 'big_toe')
        forward.append(toe - joint(side, 'heel'))
        forward.append(joint(side, 'knee') - (joint(side, 'hip') + joint(side, 'ankle')) / 2)
        forward.append((joint(side, 'shoulder') + joint(side, 'wrist')) / 2 - joint(side, 'elbow'))
    along = (np.stack(forward) * front).sum(-1)
    visible = np.isfinite(landmarks3d).all(-1)
    stature = body_height(np.where(visible[..., None], landmarks3d, 0), visible, skeleton, 1.0)
    missing = np.isnan(along).all(0)
    return np.where(missing, np.nan, np.nansum(along, axis=0)) / stature


def front_costs(landmarks3d: np.ndarray, skeleton: str | Sequence[str]) -> np.ndarray:
    """(F,) cost of exchanged sides by :func:`front_consistency`; negative where the 3D landmarks look exchanged.

    Frames are compared with the median frame of the track, as people differ in how far they bend their knees.
    """
    consistency = front_consistency(landmarks3d, skeleton)
    known = np.isfinite(consistency)
    if not known.any():
        return np.zeros(len(consistency))
    deviation = consistency - np.median(consistency[known])
    size = FRONT_SLOPE * np.maximum(np.abs(deviation) - FRONT_TOLERANCE, 0)
    costs = np.sign(deviation) * np.minimum(size, FRONT_LIMIT)
    return np.nan_to_num(costs, nan=0.0)
