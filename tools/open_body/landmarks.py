"""Named points of the body besides the 24 joints: regressed keypoints of SPIN and Human3.6M, and single vertices.

A regressed point moves rigidly with one joint, its anchor; its regressor is fitted to reproduce this in any pose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .makehuman import Rig
from .rig_to_smpl import HIP_NARROWING
from .skeleton import INDEX, REFLECT, other_side

EXTRA = (
    'right_hip_lsp',
    'left_hip_lsp',
    'neck_lsp',
    'headtop_lsp',
    'pelvis_mpii',
    'thorax_mpii',
    'spine_h36m',
    'jaw_h36m',
    'head_h36m',
)
H36M = (
    'pelvis_mpii',
    'left_hip_h36m',
    'left_knee',
    'left_ankle',
    'right_hip_h36m',
    'right_knee',
    'right_ankle',
    'spine_h36m',
    'neck_lsp',
    'jaw_h36m',
    'head_h36m',
    'left_shoulder',
    'left_elbow',
    'left_wrist',
    'right_shoulder',
    'right_elbow',
    'right_wrist',
)
FINGERS = ('thumb', 'index', 'middle', 'ring', 'pinky')
VERTICES = (
    'nose',
    'right_eye',
    'left_eye',
    'right_ear',
    'left_ear',
    'left_big_toe',
    'left_small_toe',
    'left_heel',
    'right_big_toe',
    'right_small_toe',
    'right_heel',
    *(f'{s}_{f}' for s in ('left', 'right') for f in FINGERS),
)


class AnchoredPoint(NamedTuple):
    """Rest positions (N, 3) of a point on N bodies, and the joint it moves with."""

    anchor: int
    rest: np.ndarray


def regressed_points(
    rig: Rig, heads: np.ndarray, tails: np.ndarray, joints: np.ndarray, crown: np.ndarray
) -> dict[str, AnchoredPoint]:
    """The points of ``EXTRA`` and ``H36M``, at the positions that annotators and motion capture use.

    Hips are the rig's wide ones: surface markers and annotators place hips further out than the joint of SMPL.

    Args:
        rig: the default rig; heads, tails: (N, B, 3) its T-posed bones.
        joints: (N, 24, 3) symmetric T-pose joints.
        crown: (N, 3) top of the skull.
    """

    def joint(name: str) -> np.ndarray:
        return joints[:, INDEX[name]]

    collar_bones = (
        (heads[:, rig.index('clavicle.L')] + heads[:, rig.index('clavicle.R')]) / 2 * [0, 1, 1]
    )
    skull_base = heads[:, rig.index('head')] * [0, 1, 1]
    chin = tails[:, rig.index('jaw')] * [0, 1, 1]
    shoulders = (joint('left_shoulder') + joint('right_shoulder')) / 2
    mid_hip = (joint('left_hip') + joint('right_hip')) / 2
    thorax = (shoulders + collar_bones) / 2
    points = {
        'neck_lsp': ('spine3', (collar_bones + joint('neck')) / 2),
        'headtop_lsp': ('head', crown),
        'pelvis_mpii': ('pelvis', mid_hip),
        'thorax_mpii': ('spine3', thorax),
        'spine_h36m': ('spine1', (mid_hip + thorax) / 2),
        'jaw_h36m': ('head', (skull_base + chin) / 2),
        'head_h36m': ('head', (skull_base + crown) / 2),
    }
    for side in ('left_', 'right_'):
        hip = joint(side + 'hip') / [HIP_NARROWING, 1, 1]
        thigh = np.linalg.norm(joint(side + 'knee') - hip, axis=-1, keepdims=True)
        points[side + 'hip_h36m'] = 'pelvis', hip
        points[side + 'hip_lsp'] = 'pelvis', hip - 0.05 * thigh * [0, 1, 0]
        for name in ('knee', 'ankle', 'shoulder', 'elbow', 'wrist'):
            points[side + name] = side + name, joint(side + name)
    return {name: AnchoredPoint(INDEX[anchor], rest) for name, (anchor, rest) in points.items()}


def vertex_picks(
    rig: Rig, tails: np.ndarray, template: np.ndarray, weights: np.ndarray, mirror: np.ndarray
) -> dict[str, int]:
    """The vertex for every name of ``VERTICES``: found on the left, mirrored to the right.

    Args:
        rig: the default rig; tails: (B, 3) mean T-posed bone tails.
        template: (V, 3) metres; weights: (V, 24); mirror: (V,).
    """

    def nearest(point: np.ndarray, allowed: np.ndarray) -> int:
        return int(np.where(allowed, np.linalg.norm(template - point, axis=1), np.inf).argmin())

    left = template[:, 0] > 1e-4
    head = weights.argmax(1) == INDEX['head']
    lateral = np.where(head, template[:, 0], -np.inf)
    auricle = template[lateral > lateral.max() - 0.015].mean(0)
    sole = left & (template[:, 1] < template[:, 1].min() + 0.05)
    picks = {
        'nose': int(
            np.where(head & (mirror == np.arange(len(mirror))), template[:, 2], -np.inf).argmax()
        ),
        'left_eye': nearest(tails[rig.index('eye.L')], head & left),
        'left_ear': nearest(auricle, head & left),
        'left_big_toe': nearest(tails[rig.index('toe1-2.L')], left),
        'left_small_toe': nearest(tails[rig.index('toe5-3.L')], left),
        'left_heel': int(np.where(sole, template[:, 2], np.inf).argmin()),
    }
    for number, finger in enumerate(FINGERS, start=1):
        picks[f'left_{finger}'] = nearest(tails[rig.index(f'finger{number}-3.L')], left)
    picks.update({other_side(name): int(mirror[vertex]) for name, vertex in picks.items()})
    return {name: picks[name] for name in VERTICES}


def mirrored_bones(rig: Rig, points: np.ndarray) -> np.ndarray:
    """Bone ends (N, B, 3) averaged with their mirror images, so that both sides agree exactly."""
    swap = {'.L': '.R', '.R': '.L'}
    other = [
        rig.index(name[:-2] + swap[name[-2:]]) if name[-2:] in swap else b
        for b, name in enumerate(rig.names)
    ]
    return (points + points[:, other] * REFLECT) / 2
