"""How far apart an estimator's features lie: within a video and across videos."""

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
        within: of one sequence; NaN where none has two frames.
        across: of two sequences; NaN where there is only one.
    """

    within: float
    across: float

    @property
    def share(self) -> float:
        """``within / across``: near 0 where every sequence has become a point."""
        return self.within / self.across


@torch.no_grad()
def feature_distances(estimator: Any, dataset: Any, batch_size: int = 32) -> FeatureDistances:
    """Measures them over all pairs of frames.

    A loss that only draws frames of one video together and pushes those of others away (the ``'thesis'`` variant of
    :class:`~hrtk.losses.LogRatioLoss`) shows here as a falling share.

    Args:
        estimator: in the mode that it predicts in.
        dataset: of :class:`~hrtk.structures.Sequence`.
        batch_size: frames per forward pass.

    Raises:
        InputError: the estimator gives no features.
    """
    features = [_features(estimator, dataset[i], batch_size) for i in range(len(dataset))]
    within, across, pairs, others = 0.0, 0.0, 0, 0
    for i, ours in enumerate(features):
        within += _distances(ours, ours).sum().item()
        pairs += len(ours) * (len(ours) - 1)
        for theirs in features[:i]:
            across += _distances(ours, theirs).sum().item()
            others += len(ours) * len(theirs)
    return FeatureDistances(
        within / pairs if pairs else float('nan'), across / others if others else float('nan')
    )


def _features(estimator: Any, sequence: Any, batch_size: int) -> Tensor:
    parts = [
        estimator(
            estimator.crops(sequence, range(start, min(start + batch_size, len(sequence))))
        ).features
        for start in range(0, len(sequence), batch_size)
    ]
    if parts[0] is None:
        raise InputError(f'{type(estimator).__name__} gives no features to compare')
    return torch.cat(parts).double()


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode='donot_use_mm_for_euclid_dist')
