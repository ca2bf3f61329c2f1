"""Training data of the lifter: simulated landmarks, BlazePose's errors, the bundled observations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import PARENTS24, joint_names
from hrtk.datasets import BundledLandmarks, LandmarkViews
from hrtk.datasets.landmarks.errors import bone_rotations
from hrtk.datasets.landmarks.motion import RandomMotion, Variety
from hrtk.errors import InputError
from hrtk.geometry.boxes import to_crop
from hrtk.models.landmarks import observed_keypoints

TRACKS = dict(type='LandmarkTracks', length=2, frames=12, seed=2001)
CALM = dict(
    other_limb=0.0, added=0.0, bent=0.0, leaning=0.0, tilted=0.0, roll=0.0, distance=(3.0, 3.0)
)


@pytest.fixture(scope='module')
def views(tmp_path_factory):
    """A small set; its two videos are drawn and looked at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(tmp_path_factory.mktemp('cache')))
        yield LandmarkViews(length=256, seed=3, tracks=TRACKS)


def test_items_are_the_same_in_any_order_and_process(views):
    item = views[130]
    again = LandmarkViews(length=256, seed=3, tracks=TRACKS)
    views[5]
    assert all(torch.equal(item[name], again[130][name]) for name in item)
    assert {name: tuple(value.shape) for name, value in item.items()} == dict(
        image=(9, 33, 6), rotmat=(24, 3, 3), betas=(10,), keypoints2d=(24, 2)
    )
    with pytest.raises(IndexError):
        views[256]
    with pytest.raises(InputError, match='seen a share'):
        LandmarkViews(seen=2.0)


def test_the_labels_are_where_the_landmarks_were_seen(views):
    """The 2D label of every item lies near its observed landmarks, whether simulated or seen."""
    items = [views[index] for index in range(128)]
    image = torch.stack([item['image'] for item in items])
    xy, _ = observed_keypoints(image, 'spin24')
    common = [
        joint_names('spin24').index(f'{side}_{part}')
        for side in ('left', 'right')
        for part in ('shoulder', 'elbow', 'knee', 'hip_lsp')
    ]
    labels = torch.stack([item['keypoints2d'] for item in items])
    distance = (xy - labels)[:, common].norm(dim=-1)
    assert float(distance.median()) < 0.12


def test_motion_is_that_of_a_clip_before_a_camera():
    motion = RandomMotion('train', 9, 15.0, Variety(**CALM))
    bodies = motion.draw(64, torch.Generator().manual_seed(0))
    assert bodies.rotmat.shape == (64, 9, 24, 3, 3) and bodies.offset.shape == (64, 9, 3)
    flat = bodies.rotmat.flatten(0, 2).double().numpy()
    np.testing.assert_allclose(
        flat @ flat.transpose(0, 2, 1), np.broadcast_to(np.eye(3), flat.shape), atol=1e-5
    )
    assert np.linalg.det(flat) == pytest.approx(1, abs=1e-5)
    assert float(bodies.offset[:, 4].abs().max()) < 1e-6  # relative to the middle frame
    assert bodies.distance.tolist() == pytest.approx([3.0] * 64)
    # People stand with the head up: y points down in the camera frame.
    body = BodyModel()
    joints = body.joints(bodies.rotmat[:, 4], bodies.betas, 'smpl24')
    names = joint_names('smpl24')
    higher = joints[:, names.index('head'), 1] < joints[:, names.index('left_ankle'), 1]
    assert float(higher.float().mean()) > 0.9


def test_bone_rotations_are_products_along_the_chain():
    rotmat = Rotation.random(48, random_state=0).as_matrix().reshape(2, 24, 3, 3)
    found = bone_rotations(torch.tensor(rotmat))
    for name, joint in (('left_wrist', 18), ('right_ankle', 5), ('nose', 15)):
        chain = np.eye(3)
        walk = joint
        while walk >= 0:
            chain = rotmat[1, walk] @ chain
            walk = PARENTS24[walk]
        row = joint_names('blazepose33').index(name)
        np.testing.assert_allclose(found[1, row].numpy(), chain, atol=1e-12)


def test_errors_repeat_the_difference_between_landmarks_and_bodies(views):
    """World landmarks minus their definition minus the error are the points of the body."""
    errors = views.errors
    assert len(errors.windows.pose) == len(errors.seen.betas) > 0
    assert float(errors.windows.xy.norm(dim=-1).median()) < 0.15  # half box sides
    world = errors.windows.world.norm(dim=-1)
    assert 0.01 < float(world.median()) < 0.25  # metres
    seen = errors.seen
    body = views.body
    joints = body.joints(seen.rotmat, seen.betas, 'spin24')
    spread = to_crop(joints[..., :2], torch.tensor([[0.0, 0.0, 2.0]]).expand(len(joints), 3))
    # Labels in the crop are the joints up to a camera: strongly correlated.
    for axis in (0, 1):
        a = (spread[..., axis] - spread[..., axis].mean(1, keepdim=True)).flatten()
        b = seen.keypoints2d[..., axis]
        b = (b - b.mean(1, keepdim=True)).flatten()
        assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 0.95


def test_bundled_observations():
    bundled = BundledLandmarks()
    assert len(bundled) == 512
    image = torch.stack([bundled[index]['image'] for index in range(0, 512, 16)])
    assert image.shape[1:] == (9, 33, 6) and bool(image.isfinite().all())
    rotmat = bundled[3]['rotmat'].double()
    torch.testing.assert_close(
        rotmat @ rotmat.mT, torch.eye(3).double().expand(24, 3, 3), atol=1e-6, rtol=0
    )
    assert len(bundled.fingerprint()['landmark_views']) == 64
    with pytest.raises(IndexError):
        bundled[512]
