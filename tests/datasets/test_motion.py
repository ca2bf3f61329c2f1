"""The bundled clips, their file format and the mirror."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hrtk.datasets.motion import ASSET, MotionClip, load_motion, pack_motion
from hrtk.errors import InputError

KNEES, ELBOWS = (4, 5), (18, 19)


@pytest.fixture(scope='module')
def clips() -> list[MotionClip]:
    return load_motion()


def _random_clip(name: str, frames: int, seed: int, split: str = 'train') -> MotionClip:
    rng = np.random.default_rng(seed)
    poses = np.cumsum(rng.normal(scale=0.05, size=(frames, 24, 3)), axis=0).astype(np.float32)
    poses[:, 22:] = 0
    return MotionClip(
        name, 'waving', split, 30.0, poses, rng.normal(size=(frames, 3)).astype(np.float32)
    )


def test_asset_is_small_and_complete(clips):
    assert ASSET.stat().st_size <= 1.8e6
    assert 12 * 60 < sum(len(clip) / clip.fps for clip in clips) < 16 * 60
    assert len({clip.name for clip in clips}) == len(clips)
    for clip in clips:
        assert clip.poses.shape == (len(clip), 24, 3) and clip.poses.dtype == np.float32
        assert clip.transl.shape == (len(clip), 3) and clip.transl.dtype == np.float32
        assert np.isfinite(clip.poses).all() and np.isfinite(clip.transl).all()
        assert np.linalg.norm(clip.poses, axis=-1).max() <= np.pi + 1e-2


def test_split_keeps_recordings_whole_and_covers_every_action(clips):
    train, test = load_motion('train'), load_motion('test')
    assert len(train) + len(test) == len(clips)
    recordings = [{clip.name.split('#')[0] for clip in part} for part in (train, test)]
    assert not recordings[0] & recordings[1]
    assert {clip.action for clip in test} == {clip.action for clip in clips}
    assert 0.15 < sum(map(len, test)) / sum(map(len, clips)) < 0.25


def test_poses_are_human(clips):
    poses = np.concatenate([clip.poses for clip in clips])
    # Knees flex about +x, the left elbow about -y and the right one about +y; a few degrees of slack.
    assert np.degrees(poses[:, KNEES, 0].min()) > -6
    assert np.degrees(np.abs(poses[:, KNEES, 1:]).max()) < 15
    assert (
        np.degrees((poses[:, ELBOWS[0], 1]).max()) < 3
        and np.degrees(poses[:, ELBOWS[1], 1].min()) > -3
    )
    assert np.degrees(np.abs(poses[:, ELBOWS, ::2]).max()) < 25
    assert not poses[:, [10, 11, 20, 21, 22, 23]].any()
    head = Rotation.identity()
    for joint in (3, 6, 9, 12, 15):
        head = head * Rotation.from_rotvec(poses[:, joint])
    assert np.degrees(np.median(head.magnitude())) < 30


def test_walkers_are_upright_and_on_the_floor(clips):
    for clip in clips:
        if clip.action in ('walking', 'running') and not clip.name.startswith('131'):
            up = Rotation.from_rotvec(clip.global_orient).apply([0.0, 1.0, 0.0])
            assert np.median(up[:, 1]) > 0.95, clip.name
            assert 0.6 < np.median(clip.transl[:, 1]) < 1.2, clip.name
        if clip.action == 'running':  # they go where they face
            forward = Rotation.from_rotvec(clip.global_orient).apply([0.0, 0.0, 1.0])
            speed = (forward * np.gradient(clip.transl, axis=0)).sum(1) * clip.fps
            assert 2 < np.median(speed) < 5, clip.name


def test_mirrored_twice_is_the_same(clips):
    clip = clips[0]
    twice = clip.mirrored().mirrored()
    np.testing.assert_array_equal(twice.poses, clip.poses)
    np.testing.assert_array_equal(twice.transl, clip.transl)
    assert twice.name == clip.name


def test_mirrored_rotations_are_reflected(clips):
    """Rotations conjugated with the reflection diag(-1, 1, 1), partners exchanged: written out by hand."""
    pairs = [(1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23)]
    clip = clips[5]
    mirror = clip.mirrored()
    reflection = np.diag([-1.0, 1, 1])
    partner = {**dict(pairs), **{b: a for a, b in pairs}}
    for joint in range(24):
        ours = Rotation.from_rotvec(mirror.poses[:, joint]).as_matrix()
        theirs = Rotation.from_rotvec(clip.poses[:, partner.get(joint, joint)]).as_matrix()
        np.testing.assert_allclose(ours, reflection @ theirs @ reflection, atol=1e-6)
    np.testing.assert_array_equal(mirror.transl, clip.transl @ reflection.astype(np.float32))


def test_pack_and_load(tmp_path):
    clips = [_random_clip('a', 40, 0), _random_clip('b', 1, 1, 'test'), _random_clip('c', 25, 2)]
    path = tmp_path / 'motion.npz'
    np.savez_compressed(path, **pack_motion(clips, 'nobody may sell it'))
    for clip, read in zip(clips, load_motion(path=path)):
        assert (read.name, read.action, read.split, read.fps) == (
            clip.name,
            clip.action,
            clip.split,
            clip.fps,
        )
        np.testing.assert_allclose(read.poses, clip.poses, atol=2.0**-11 + 1e-6)
        np.testing.assert_allclose(read.transl, clip.transl, atol=5.1e-4)
    assert [clip.name for clip in load_motion('test', path)] == ['b']


def test_steps_too_large_for_the_file_are_refused():
    with pytest.raises(InputError, match='quantum'):
        pack_motion([_random_clip('a', 5, 0)], '', rotvec_quantum=1e-7)


def test_licence_travels_with_the_data():
    with np.load(ASSET, allow_pickle=False) as file:
        assert 'mocap.cs.cmu.edu' in str(file['licence']) and 'EIA-0196217' in str(file['licence'])
    assert 'EIA-0196217' in (ASSET.parent / 'README.md').read_text(encoding='utf-8')


@pytest.mark.parametrize(
    'damage, message',
    [
        (lambda a: a.update(format=np.array('other-2')), 'other-2'),
        (lambda a: a.pop('lengths'), 'lacks lengths'),
        (lambda a: a.update(lengths=a['lengths'] + 1), 'damaged'),
        (lambda a: a.update(names=a['names'][:1]), 'differ in length'),
        (lambda a: a.update(joints=a['joints'] + 20), 'joints'),
        (lambda a: a.update(names=np.array([{}, []], object)), 'plain arrays'),
    ],
)
def test_damaged_files_are_named(tmp_path, damage, message):
    arrays = pack_motion([_random_clip('a', 10, 0), _random_clip('b', 5, 1)], '')
    damage(arrays)
    path = tmp_path / 'damaged.npz'
    np.savez_compressed(path, **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load_motion(path=path)
    assert str(path) in str(caught.value)


def test_other_bad_input(tmp_path):
    with pytest.raises(InputError, match="'val'"):
        load_motion('val')
    with pytest.raises(InputError, match='not found'):
        load_motion(path=tmp_path / 'nothing.npz')
    path = tmp_path / 'text.npz'
    path.write_bytes(b'no archive')
    with pytest.raises(InputError, match='text.npz'):
        load_motion(path=path)
    path.write_bytes(ASSET.read_bytes()[:5000])
    with pytest.raises(InputError, match='text.npz'):
        load_motion(path=path)
