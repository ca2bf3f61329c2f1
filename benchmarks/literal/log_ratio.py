"""The log-ratio loss triplet by triplet, as its equations are printed, and anchor by anchor, as one would write it."""

from __future__ import annotations

import itertools
from typing import Iterator

import torch
from torch import Tensor

Samples = list[tuple[int, list[int], list[int]]]


def distance(a: Tensor, b: Tensor, eps: float) -> Tensor:
    """Euclidean, of (C,)."""
    return ((a - b).square().sum() + eps).sqrt()


def pose_distance(a: Tensor, b: Tensor, root: tuple[int, ...], eps: float) -> Tensor:
    """Mean over joints of (J, 3), relative to their root."""
    a = a - a[list(root)].mean(0)
    b = b - b[list(root)].mean(0)
    mean = sum((a[j] - b[j]).square().sum().sqrt() for j in range(len(a))) / len(a)
    return (mean**2 + eps).sqrt()


def penalty(f_i: Tensor, f_j: Tensor, y_i: Tensor, y_j: Tensor, variant: str) -> Tensor:
    """One triplet, from the anchor's distances to its positive i and its negative j."""
    if variant == 'thesis':
        return torch.log(1 + (f_i / f_j) * (y_j / y_i))
    difference = torch.log(f_i / f_j) - torch.log(y_i / y_j)
    return difference**2 if variant == 'kim' else difference.abs()


def video_samples(anchors: list[int], length: int, skip: int, nearby: str) -> Samples:
    """(anchor, positives, negatives) of every sequence, frame t of sequence b being ``b * length + t``."""
    samples = []
    for b, anchor in enumerate(anchors):
        positives = []
        negatives = []
        for other, t in itertools.product(range(len(anchors)), range(length)):
            is_near = abs(t - anchor) <= skip
            if other != b:
                negatives.append(other * length + t)
            elif t != anchor and is_near == (nearby == 'include'):
                positives.append(other * length + t)
        samples.append((b * length + anchor, positives, negatives))
    return samples


def ranked_samples(
    target_joints: Tensor, source_joints: Tensor, root: tuple[int, ...], share: float
) -> Samples:
    """(anchor, nearest, farthest); the indices of target frames come first, those of source frames after them."""
    count = int(share * len(source_joints))
    samples = []
    for anchor, joints in enumerate(target_joints):
        distances = [float(pose_distance(joints, source, root, 0)) for source in source_joints]
        order = sorted(range(len(source_joints)), key=distances.__getitem__)
        indices = [len(target_joints) + source for source in order]
        samples.append((anchor, indices[:count], indices[-count:]))
    return samples


def triplets_of(samples: Samples) -> Iterator[tuple[int, int, int, float]]:
    """Every anchor, positive and negative, with the triplet's share of the loss."""
    for anchor, positives, negatives in samples:
        share = 1 / (len(positives) * len(negatives))
        for positive, negative in itertools.product(positives, negatives):
            yield anchor, positive, negative, share


def literal_log_ratio(
    features: Tensor,
    joints: Tensor,
    samples: Samples,
    variant: str,
    eps: float = 1e-8,
    root: tuple[int, ...] = (2, 3),
) -> Tensor:
    """Eq. 2 of the thesis, or Eq. 1 with the same triplets.

    Args:
        features: (N, C).
        joints: (N, J, 3).
        samples: anchors with their positives and negatives.
        variant: ``'thesis'``, ``'kim'`` or ``'abs'``.
        eps: added to squared distances.
        root: joints whose mean is subtracted from a pose.

    Returns:
        A scalar.
    """
    total = features.new_zeros(())
    for a, i, j, share in triplets_of(samples):
        f_i = distance(features[a], features[i], eps)
        f_j = distance(features[a], features[j], eps)
        y_i = pose_distance(joints[a], joints[i], root, eps)
        y_j = pose_distance(joints[a], joints[j], root, eps)
        total = total + share * penalty(f_i, f_j, y_i, y_j, variant)
    return total


def log_ratio_by_anchors(
    features: Tensor,
    joints: Tensor,
    samples: Samples,
    variant: str,
    eps: float = 1e-8,
    root: tuple[int, ...] = (2, 3),
) -> Tensor:
    """The same from two matrices of distances, a table of positives by negatives for every anchor.

    Args and the result are those of :func:`literal_log_ratio`.
    """
    anchors = [anchor for anchor, _, _ in samples]
    poses = joints - joints[:, list(root)].mean(1, keepdim=True)
    feature_distance = (torch.cdist(features[anchors], features).square() + eps).sqrt()
    joint_distance = torch.linalg.norm(poses[anchors, None] - poses[None], dim=-1)
    label_distance = (joint_distance.mean(-1).square() + eps).sqrt()
    total = features.new_zeros(())
    for f, y, (_, positives, negatives) in zip(feature_distance, label_distance, samples):
        f_i = f[positives, None]
        y_i = y[positives, None]
        total = total + penalty(f_i, f[negatives], y_i, y[negatives], variant).mean()
    return total
