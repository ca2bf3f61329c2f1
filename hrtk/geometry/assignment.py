"""One-to-one pairs of two sets by their scores."""

from __future__ import annotations

import numpy as np


def best_pairs(scores: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of rows and columns with the largest sum of scores, by scipy's Hungarian method.

    Args:
        scores: (N, M), finite.

    Returns:
        ``min(N, M)`` pairs (row, column), sorted by row.
    """
    # scipy.optimize takes a quarter of a second to import, which commands that match nobody need not spend.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(scores, maximize=True)
    return list(zip(rows.tolist(), columns.tolist()))
