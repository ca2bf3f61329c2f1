"""Mirror images against those of a body whose vertices are seen in a mirror."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models.skeletons import flip_map
from hrtk.geometry.mirror import mirror_points, mirror_rotmat

ORDER = flip_map('smpl24')
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]


def chain(rotmat, offsets):
    """Places of the joints by forward kinematics, one after the other."""
    turned = []
    places = []
    for joint, parent in enumerate(PARENTS):
        turned.append(rotmat[joint] if parent < 0 else turned[parent] @ rotmat[joint])
        places.append(
            offsets[joint] if parent < 0 else places[parent] + turned[parent] @ offsets[joint]
        )
    return np.array(places)


def test_a_mirrored_pose_puts_joints_where_the_mirror_shows_them():
    rotmat = Rotation.random(24, random_state=0).as_matrix()
    offsets = np.random.default_rng(0).normal(size=(24, 3))
    offsets = (offsets + offsets[list(ORDER)] * [-1, 1, 1]) / 2  # of a body whose sides are alike
    turned = mirror_rotmat(torch.from_numpy(rotmat), ORDER)
    np.testing.assert_allclose(np.linalg.det(turned), 1)
    shown = mirror_points(torch.from_numpy(chain(rotmat, offsets)), ORDER)
    np.testing.assert_allclose(chain(turned.numpy(), offsets), shown, atol=1e-12)


def test_twice_changes_nothing():
    rotmat = torch.randn(2, 5, 24, 3, 3)
    points = torch.randn(5, 24, 2)
    original = points.clone()
    for part in rotmat:
        assert torch.equal(mirror_rotmat(mirror_rotmat(part, ORDER), ORDER), part)
    assert torch.equal(mirror_points(mirror_points(points, ORDER), ORDER), points) and torch.equal(
        points, original
    )
