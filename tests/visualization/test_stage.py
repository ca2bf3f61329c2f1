"""The world of a clip: places, floor and camera, on a synthetic camera with known truth."""

from __future__ import annotations

import numpy as np
import torch
from camera_parts import FOCAL, HEIGHT, SIZE, UP, joints_of, seen_in_crops, walking
from export_parts import free_body

from hrtk.apis.look.clips import ClipPeople
from hrtk.body_models import BodyModel
from hrtk.visualization.export import Placing
from hrtk.visualization.stage import stage_people

UP_AXES = np.array([1.0, -1, -1])
NAME = 'clip_person1'


def test_without_a_floor_the_world_is_that_of_the_camera():
    truth = walking(10)
    result = seen_in_crops(truth, focal=FOCAL)
    placing = Placing(smooth=0, floor=False)
    staged = stage_people({NAME: result}, True, free_body(), placing)
    pelvis = joints_of(truth)[:, 0].numpy() * UP_AXES
    for role in ('before', 'after'):
        np.testing.assert_allclose(staged.places[NAME][role], pelvis, atol=2e-3)
    stage = staged.stage
    np.testing.assert_array_equal(stage.camera, 0)
    np.testing.assert_allclose(stage.level, np.eye(3), atol=1e-12)
    # The four corners are seen at the corners of the image, a quarter of the way to the person.
    corners = stage.corners * UP_AXES
    width, height = SIZE
    pixels = corners[:, :2] / corners[:, 2:] * FOCAL + [width / 2, height / 2]
    expected = [[0, 0], [width, 0], [width, height], [0, height]]
    np.testing.assert_allclose(pixels, expected, atol=1e-6)
    distance = np.median(np.linalg.norm(pelvis, axis=1))
    np.testing.assert_allclose(corners[:, 2], distance / 4, rtol=1e-3)
    soles = joints_of(truth, 'openpose25')[:, 19:25, 1].numpy()
    assert abs(stage.floor - np.median((-soles).min(1))) < 2e-3
    assert 'assumed' in stage.floor_text and 'not asked for' in stage.floor_text


def test_on_a_floor_the_world_is_level_and_feet_are_at_height_zero():
    truth = walking()
    result = seen_in_crops(truth, focal=FOCAL)
    body = free_body()
    staged = stage_people({NAME: result}, False, body, Placing(smooth=0))
    stage = staged.stage
    assert 'found' in stage.floor_text and stage.floor == 0
    up = stage.level @ (UP * UP_AXES)
    assert np.degrees(np.arccos(up[1])) < 10
    np.testing.assert_allclose(stage.level @ stage.level.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(stage.level) > 0 and abs(stage.camera[1] - HEIGHT) < 0.3
    # Vertices of the truth about its pelvis, as playback packs them.
    posed = body(truth.rotmat, truth.betas)
    meshes = (posed.vertices - posed.joints[:, :1]).numpy() * UP_AXES
    world = meshes @ stage.level.T + staged.places[NAME]['before'][:, None]
    heights = world[..., 1].min(1)
    assert abs(np.median(heights)) < 0.06
    assert list(staged.places[NAME]) == ['before']
    places = staged.places_of(NAME, ('before', 'truth'))
    assert places['truth'] is places['before'] is staged.places[NAME]['before']


def test_the_body_keeps_its_type():
    """Placing computes in float64; films are drawn afterwards with the body as it was."""
    body = BodyModel()
    stage_people({NAME: seen_in_crops(walking(4))}, False, body, Placing(floor=False))
    assert body.template.dtype == torch.float32


def test_frames_of_the_people_of_a_clip():
    clip = ClipPeople('clip', {'a': range(3, 10), 'b': (6, 7, 9, 12), 'c': (8,)})
    assert clip.span(['a', 'b']) == 10 and clip.span(['c']) == 1
    # Every third frame from frame 3 on: 3, 6, 9, 12.
    assert clip.shown('a', 3, ['a', 'b']) == [0, 3, 6]
    assert clip.shown('b', 3, ['a', 'b']) == [0, 2, 3]
    assert clip.shown('c', 3, ['a', 'c']) == [0]  # has none of them, and shows its first one
    assert clip.positions['b'] == {6: 0, 7: 1, 9: 2, 12: 3}
