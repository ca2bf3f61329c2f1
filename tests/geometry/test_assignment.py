"""The best pairs against every permutation."""

import itertools

import numpy as np
import pytest

from hrtk.geometry.assignment import best_pairs


@pytest.mark.parametrize('shape', [(4, 4), (3, 5), (5, 3), (1, 4), (0, 3)])
def test_no_permutation_is_better(shape):
    scores = np.random.default_rng(5).normal(size=shape)
    pairs = best_pairs(scores)
    rows, columns = shape
    best = -np.inf
    for chosen in itertools.permutations(range(max(shape)), min(shape)):
        if rows <= columns:
            total = sum(scores[row, column] for row, column in enumerate(chosen))
        else:
            total = sum(scores[row, column] for column, row in enumerate(chosen))
        best = max(best, total)
    assert len(pairs) == min(shape) and pairs == sorted(pairs)
    assert sum(scores[pair] for pair in pairs) == pytest.approx(best)
