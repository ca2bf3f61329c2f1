"""Shots that differ from each other as much as possible, chosen without any label."""

from __future__ import annotations

from typing import Literal
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.few_shot.process import centred_joints, features_of
from hrtk.adapters.few_shot.shots import Shot, candidate_shots, check_count
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.models.estimators import Estimator, predict_sequence
from hrtk.structures import Sequence

Space = Literal['poses', 'features']


def diverse_shots(
    estimator: Estimator,
    sequences: SequenceOf[Sequence],
    count: int,
    seed: int,
    clip: int = 1,
    space: Space = 'poses',
) -> list[Shot]:
    """Chooses the frames, or clips of them, that cover the predictions of the start model best.

    Greedy k-centre selection (Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
    Approach", ICLR 2018, Algorithm 1; Gonzalez 1985): every shot is the one farthest from those chosen before. The
    order does not depend on ``count``: a smaller choice is the beginning of a larger one. The ground truth is not
    read; it only has to exist.

    Args:
        estimator: the start model, in evaluation mode.
        sequences: as of :func:`~hrtk.adapters.few_shot.shots.draw_shots`.
        count: number of shots.
        seed: seed of the first shot.
        clip: consecutive frames per shot.
        space: what is compared: predicted joints relative to the hips (``'poses'``) or the features of the network.

    Raises:
        InputError: the sequences have fewer shots than ``count``, or the estimator has no features.
    """
    shots: list[Shot] = []
    points = []
    for index, sequence in enumerate(sequences):
        candidates = candidate_shots(index, sequence, clip)
        if not candidates:
            continue
        embedded = _embedded(estimator, sequence, space)
        for shot in candidates:
            points.append(embedded[shot.frames.start : shot.frames.stop].flatten())
        shots += candidates
    check_count(len(shots), count, len(sequences), clip)
    random = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(shots), (1,), generator=random))
    return [shots[i] for i in farthest_first(torch.stack(points), first, count)]


def farthest_first(points: Tensor, first: int, count: int) -> list[int]:
    """Orders points so that each is the farthest from those before it.

    Args:
        points: (N, D). A point that is not finite comes after all others.
        first: index of the first point; if it is not finite, the first finite one takes its place.
        count: number of indices to return, at most N.

    Returns:
        Indices of points. Among equally distant points the first is taken.
    """
    points = points.double()
    finite = torch.isfinite(points).all(1)
    points = torch.where(finite[:, None], points, points.new_zeros(()))
    if finite.any() and not finite[first]:
        first = int(finite.nonzero()[0])
    order = [first]
    nearest = points.new_full((len(points),), torch.inf)
    while len(order) < count:
        distance = (points - points[order[-1]]).norm(dim=1)
        nearest = torch.minimum(nearest, distance)
        # Chosen points never come again, points that are not finite come last.
        rank = torch.where(finite, nearest, -1.0)
        rank[order] = -2.0
        order.append(int(rank.argmax()))
    return order


@torch.no_grad()
def _embedded(estimator: Estimator, sequence: Sequence, space: Space) -> Tensor:
    """Returns one vector per frame, on the CPU."""
    prediction = predict_sequence(estimator, sequence)
    posed = PosedPrediction.of(prediction, estimator.required_body)
    if space == 'poses':
        return centred_joints(posed).cpu()
    return features_of(posed).cpu()
