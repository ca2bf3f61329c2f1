"""From crops to the full image, worlds, and one shape for a track."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from export_parts import FRAMES, TURN, expected, free_body, make_motion

from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.visualization.export import in_world, joint_positions, motion_of_crops, with_mean_shape
from hrtk.visualization.export import motion as module


def crops(**changed) -> dict:
    motion = make_motion()
    values = dict(
        name='a',
        rotmat=motion.rotmat.numpy(),
        betas=motion.betas.numpy(),
        camera=np.tile([0.9, 0.1, -0.2], (FRAMES, 1)),
        boxes=np.tile([319.5, 179.5, 200.0], (FRAMES, 1)),
        frame_ids=motion.frame_ids,
        fps=25.0,
        image_size=(640, 360),
    )
    return {**values, **changed}


def test_a_box_in_the_middle_is_seen_as_the_crop_camera_sees_it() -> None:
    # SPIN's focal length on the crop, in pixels of the image: both cameras are one.
    values, body = crops(), free_body()
    motion = motion_of_crops(**values, focal=5000 * 200 / 224)
    _, pixels = joint_positions(motion, body, 'spin49')
    points = body.joints(motion.rotmat, motion.betas, 'spin49')
    seen = project(points, torch.as_tensor(values['camera'])) * 100 + torch.tensor([319.5, 179.5])
    torch.testing.assert_close(pixels, seen, atol=1e-6, rtol=0)


def test_depth_follows_the_focal_length() -> None:
    near, far = (motion_of_crops(**crops(), focal=focal).translation for focal in (600.0, 1200.0))
    torch.testing.assert_close(far[:, 2], 2 * near[:, 2])
    torch.testing.assert_close(far[:, :2], near[:, :2])
    assert motion_of_crops(**crops()).focal == np.hypot(640, 360)


@pytest.mark.parametrize('world', TURN)
def test_worlds_move_vertices_as_a_turn_does(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'CHUNK', 3)  # seven frames: the last part is a rest
    motion, body = make_motion(), free_body()
    vertices, joints = expected(motion, body, world, mean_shape=False)
    parts = list(module.posed(in_world(motion, body, world), body))
    assert len(parts) == 3
    np.testing.assert_allclose(torch.cat([part.vertices for part in parts]), vertices, atol=1e-5)
    np.testing.assert_allclose(torch.cat([part.joints for part in parts]), joints, atol=1e-5)


def test_one_shape_keeps_the_pelvis() -> None:
    motion, body = make_motion(), free_body()
    kept = with_mean_shape(motion, body)
    np.testing.assert_allclose(
        kept.betas.numpy(), np.tile(motion.betas.numpy().mean(0), (FRAMES, 1))
    )
    assert not torch.equal(kept.translation, motion.translation)
    before, after = (joint_positions(m, body)[0][:, 0] for m in (motion, kept))
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    'changed, parts',
    [
        (dict(rotmat=np.zeros((FRAMES, 24, 3))), ['a: rotmat', '24, 3, 3', 'run tools/adapt.py']),
        (dict(betas=np.full((FRAMES, 10), np.nan)), ['a: betas', 'finite']),
        (dict(boxes=np.zeros((FRAMES - 1, 3))), ['a: boxes', f'({FRAMES}, 3)']),
        (dict(frame_ids=()), ['at least one frame']),
        (dict(fps=0), ['a: fps', 'not 0']),
        (dict(fps=float('nan')), ['fps']),
        (dict(focal=-1), ['focal length', '-1']),
    ],
)
def test_bad_arrays_are_named(changed: dict, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        motion_of_crops(**crops(**changed))
    assert all(part in str(error.value) for part in parts)


def test_unknown_world() -> None:
    with pytest.raises(InputError, match="no world 'up'; use camera, y-up, z-up"):
        in_world(make_motion(), free_body(), 'up')
