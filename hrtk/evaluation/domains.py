"""Statistics of the domain gap between data sets (Guan et al., CVPR 2021, Table 1; Wang, Shin and Fowlkes, 2020)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.gendered import WHERE, GenderedBodies
from hrtk.body_models.skeletons import index_map, joint_names
from hrtk.errors import InputError
from hrtk.structures import GroundTruth, Sequence

SKELETON = 'h36m17'  # points that Human3.6M, 3DHP and, by a regressor, bodies have in common
# The paper says only that the topology is shared across data sets; this is the tree of the 17 points.
TREE = (
    ('pelvis', 'left_hip'),
    ('left_hip', 'left_knee'),
    ('left_knee', 'left_ankle'),
    ('pelvis', 'right_hip'),
    ('right_hip', 'right_knee'),
    ('right_knee', 'right_ankle'),
    ('pelvis', 'spine'),
    ('spine', 'neck'),
    ('neck', 'jaw'),
    ('jaw', 'head'),
    ('neck', 'left_shoulder'),
    ('left_shoulder', 'left_elbow'),
    ('left_elbow', 'left_wrist'),
    ('neck', 'right_shoulder'),
    ('right_shoulder', 'right_elbow'),
    ('right_elbow', 'right_wrist'),
)
NAMES = [name.removesuffix('_mocap') for name in joint_names(SKELETON)]
STARTS = [NAMES.index(start) for start, _ in TREE]
ENDS = [NAMES.index(end) for _, end in TREE]


class Spread(NamedTuple):
    """Mean and standard deviation over frames."""

    mean: float
    deviation: float


class DomainStatistics(NamedTuple):
    """What differs between data sets; None where the ground truth does not tell.

    Attributes:
        frames: number of valid frames.
        focal: focal length, px of the source image.
        bones: sum of the lengths of the 16 bones of ``h36m17``, metres.
        distance: distance of the pelvis from the camera, metres.
    """

    frames: int
    focal: Optional[Spread]
    bones: Optional[Spread]
    distance: Optional[Spread]


@torch.no_grad()
def domain_statistics(
    sequences: Iterable[Sequence], bodies: Optional[GenderedBodies] = None
) -> DomainStatistics:
    """Computes the statistics over all valid frames.

    Args:
        sequences: with ground truth.
        bodies: body models of true bodies of a gender; unnecessary for data sets with joints.

    Raises:
        InputError: there is no valid frame with ground truth, or the body of a gender is missing.
    """
    focal: list[Tensor] = []
    bones: list[Tensor] = []
    distance: list[Tensor] = []
    frames = 0
    for sequence in sequences:
        truth = sequence.truth
        if truth is None:
            continue
        valid = torch.ones(len(sequence), dtype=torch.bool)
        if truth.valid is not None:
            valid = truth.valid
        frames += int(valid.sum())
        if truth.intrinsics is not None:
            focal.append(truth.intrinsics[valid, 0])
        joints = _joints(sequence.name, truth, bodies)
        if joints is None:
            continue
        joints = joints[valid].double()
        bones.append((joints[:, ENDS] - joints[:, STARTS]).norm(dim=-1).sum(1))
        if truth.translation is not None:
            pelvis = joints[:, 0] + truth.translation[valid].double()
            distance.append(pelvis.norm(dim=-1))
    if not frames:
        raise InputError(
            'the data set has no valid frame with ground truth; name one that has it, e.g. ThreeDPW'
        )
    return DomainStatistics(frames, _spread(focal), _spread(bones), _spread(distance))


def _joints(name: str, truth: GroundTruth, bodies: Optional[GenderedBodies]) -> Optional[Tensor]:
    """(F, 17, 3) of ``h36m17``, metres, in the frame of the body or of the data set; None without all of them."""
    if truth.joints3d is not None:
        index = list(index_map(truth.skeleton, SKELETON))
        if min(index) < 0:
            return None
        return truth.joints3d[:, index]
    if truth.rotmat is None or truth.betas is None:
        return None
    body: BodyModel
    if truth.gender == 'neutral':
        body = BodyModel()
    elif bodies is not None:
        body = bodies.get(truth.gender)
    else:
        raise InputError(f'{name}: its bodies are {truth.gender}; name their body files. {WHERE}')
    return body.joints(truth.rotmat, truth.betas, SKELETON)


def _spread(values: list[Tensor]) -> Optional[Spread]:
    if not values:
        return None
    numbers = torch.cat(values).double().numpy()
    return Spread(float(np.mean(numbers)), float(np.std(numbers)))
