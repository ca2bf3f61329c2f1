"""Distances between an estimator's image features, within a video and across videos."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hrtk.errors import InputError


@dataclasses.dataclass(frozen=True)
class FeatureDistances:
    """Mean Euclidean distances between the features of two frames.

    Attributes:
        within: of one sequence; NaN if every sequence has a single frame.
        across: of two sequences; NaN if there is a single sequence.
    """

    within: float
    across: float

    @property
    def share(self) -> float:
        """``within / across``; near 0 if the features of each sequence have collapsed to a point."""
        return self.within / self.across


@torch.no_grad()
def feature_distances(estimator: Any, dataset: Any, batch_size: int = 32) -> FeatureDistances:
    """Measures feature distances over all pairs of frames.

    A loss that only pulls frames of one video together and pushes frames of other videos away (the ``'thesis'``
    variant of :class:`~hrtk.losses.LogRatioLoss`) shows as a falling share.

    Args:
        estimator: in the mode it predicts in.
        dataset: of :class:`~hrtk.structures.Sequence`.
        batch_size: frames per forward pass.

    Raises:
        InputError: the estimator returns no features.
    """
    features = [_features(estimator, dataset[i], batch_size) for i in range(len(dataset))]
    within_sum = 0.0
    within_pairs = 0
    across_sum = 0.0
    across_pairs = 0
    for i, current in enumerate(features):
        within_sum += _distances(current, current).sum().item()
        within_pairs += len(current) * (len(current) - 1)
        for earlier in features[:i]:
            across_sum += _distances(current, earlier).sum().item()
            across_pairs += len(current) * len(earlier)
    return FeatureDistances(_mean(within_sum, within_pairs), _mean(across_sum, across_pairs))


def _features(estimator: Any, sequence: Any, batch_size: int) -> Tensor:
    """(F, D) float64 features of all frames."""
    batches = []
    for start in range(0, len(sequence), batch_size):
        frames = range(start, min(start + batch_size, len(sequence)))
        features = estimator(estimator.crops(sequence, frames)).features
        if features is None:
            raise InputError(f'{type(estimator).__name__} returns no features to compare')
        batches.append(features)
    return torch.cat(batches).double()


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode='donot_use_mm_for_euclid_dist')


def _mean(total: float, count: int) -> float:
    if count == 0:
        return float('nan')
    return total / count
