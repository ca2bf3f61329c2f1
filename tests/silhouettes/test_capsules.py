"""Capsules against distances of every pixel to densely sampled segments."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hrtk.silhouettes.capsules import capsule_mask


@pytest.mark.parametrize(
    'start, end, radius',
    [
        ((5.2, 7.9), (20.1, 11.3), 3.3),
        ((12.0, 12.0), (12.0, 12.0), 4.0),
        ((-8.0, 3.0), (4.0, -5.0), 6.0),
        ((30.0, 2.0), (30.0, 40.0), 1.5),
        ((-30.0, -30.0), (-20.0, -10.0), 5.0),
        ((60.0, 5.0), (70.0, 9.0), 4.0),
    ],
)
def test_pixels_near_a_segment(start, end, radius):
    size = (24, 32)
    samples = np.linspace(start, end, 20001)
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance = cdist(np.stack([columns.ravel(), rows.ravel()], 1), samples).min(1).reshape(size)
    mask = capsule_mask(np.array([start]), np.array([end]), radius, size)
    clear = abs(distance - radius) > 1e-3  # samples are as far apart as that
    assert clear.mean() > 0.99 and (mask == (distance <= radius))[clear].all()


def test_several_are_a_union():
    starts = np.array([[2, 2], [20, 3.0]])
    ends = np.array([[9, 15], [25, 20.0]])
    both = capsule_mask(starts, ends, 2.5, (24, 32))
    each = [capsule_mask(starts[i : i + 1], ends[i : i + 1], 2.5, (24, 32)) for i in (0, 1)]
    assert (both == each[0] | each[1]).all() and both.any()
    assert not capsule_mask(starts[:0], ends[:0], 2.5, (24, 32)).any()
