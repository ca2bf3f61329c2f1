"""Distances between features, against a loop over pairs."""

import itertools
import math

import numpy as np
import pytest
import torch

from hrtk.errors import InputError
from hrtk.evaluation import feature_distances
from hrtk.structures import Prediction


class Flat:
    """Features that are the frames themselves."""

    def __init__(self, features=True):
        self.features = features

    def crops(self, sequence, indices):
        return torch.as_tensor(sequence[list(indices)])

    def __call__(self, crops):
        return Prediction(crops, crops, crops, crops if self.features else None)


def clips(*lengths):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 5)) + 3 * rng.normal(size=5) for length in lengths]


def mean_distance(pairs):
    return np.mean([np.sqrt(((a - b) ** 2).sum()) for a, b in pairs])


def test_equals_a_loop_over_pairs():
    data = clips(4, 1, 7)
    found = feature_distances(Flat(), data, batch_size=3)
    within = mean_distance(pair for clip in data for pair in itertools.combinations(clip, 2))
    across = mean_distance(
        pair for a, b in itertools.combinations(data, 2) for pair in itertools.product(a, b)
    )
    assert found.within == pytest.approx(within, rel=1e-12) and found.across == pytest.approx(
        across, rel=1e-12
    )
    assert found.share == pytest.approx(within / across)


def test_one_sequence_or_one_frame_has_no_pairs():
    assert math.isnan(feature_distances(Flat(), clips(5)).across)
    assert math.isnan(feature_distances(Flat(), clips(1, 1)).within)


def test_collapsed_sequences_show():
    collapsed = [np.repeat(clip[:1], 4, 0) for clip in clips(4, 4)]
    assert feature_distances(Flat(), collapsed).share == 0


def test_an_estimator_without_features_is_refused():
    with pytest.raises(InputError, match='Flat returns no features'):
        feature_distances(Flat(features=False), clips(3))
