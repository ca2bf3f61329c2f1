"""tools/view.py: the server starts on a free port, shows the stored bodies and stops."""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hrtk.apis import adapt
from hrtk.apis.look.view import view
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.results import Result
from hrtk.visualization.doubts import Doubt
from hrtk.visualization.stage import Stage
from hrtk.visualization.viewer import MeshViewer, ViewedPerson, first_view

CONFIG = Path(__file__).parents[2] / 'configs/source/r18_wild.py'
OPTIONS = {'dataset.sequences': 1, 'dataset.frames': 3, 'dataset.size': 64, 'outputs': None}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    adapt(CONFIG, work_dir=folder, cfg_options=OPTIONS)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_missing_library_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, 'viser', None)
    with pytest.raises(InputError, match=r'hrtk\[viewer\]'):
        view(run)


def test_unknown_sequence_is_named(run):
    with pytest.raises(InputError, match="'nobody'.*wild_s0_000"):
        view(run, sequence='nobody')


def test_shows_the_stored_bodies(run):
    pytest.importorskip('viser', reason='viser serves the viewer')
    viewer = view(run, port=free_port())
    try:
        assert urllib.request.urlopen(viewer.url, timeout=10).status == 200
        assert set(viewer.handles) == {'before', 'truth'}
        viewer.show(2)
        assert viewer.label.value == '000002'
        result = Result.load(next(run.glob('results/*/*.npz')))
        output = BodyModel()(result.after.rotmat[2:], result.after.betas[2:])
        expected = (output.vertices - output.joints[:, :1])[0].numpy() * (1, -1, -1)
        np.testing.assert_allclose(viewer.handles['before'].vertices, expected, atol=1e-5)
        viewer.speed.value, viewer.playing.value = 60.0, True
        seen = set()
        for _ in range(100):
            seen.add(viewer.time.value)
            if len(seen) == 3:
                break
            time.sleep(0.02)
        assert seen == {0, 1, 2}
    finally:
        viewer.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(viewer.url, timeout=2)


def test_people_doubts_floor_and_camera():
    pytest.importorskip('viser', reason='viser serves the viewer')
    rng = np.random.default_rng(0)
    turn = Rotation.from_euler('x', 30, degrees=True).as_matrix()
    stage = Stage(
        level=turn,
        camera=np.array([0, 1.5, 0]),
        corners=np.array([[-1, 1, -1], [1, 1, -1], [1, -1, -1], [-1, -1, -1.0]]),
        floor=0.25,
        floor_text='assumed',
    )

    def person(name, frames, doubts):
        meshes = {role: rng.normal(size=(len(frames), 4, 3)) for role in ('before', 'after')}
        places = {role: rng.normal(size=(len(frames), 3)) for role in meshes}
        labels = [str(frame) for frame in frames]
        image = np.zeros((4, 4, 3), np.uint8)
        return ViewedPerson(name, frames, labels, meshes, places, lambda t: image, doubts)

    people = [
        person('a', range(10, 14), [Doubt(1, 'jump')]),
        person('b', range(12, 16), [Doubt(3, 'hidden')]),
    ]
    viewer = MeshViewer(people, 0, np.array([[0, 1, 2]]), 10, stage, port=free_port())
    try:
        assert viewer.doubts == {1: 'a: jump', 5: 'b: hidden'}
        viewer.to_doubt(1)
        assert viewer.time.value == 1 and viewer.reason.value == 'a: jump'
        viewer.to_doubt(1)
        assert viewer.time.value == 5 and viewer.label.value == 'a is not here'
        assert [handle.visible for handle in viewer.handles.values()] == [False, False]
        viewer.to_doubt(-1)
        viewer.show(2)
        own, other = viewer.handles['after'], viewer.others[1]
        assert own.visible and other.visible and not viewer.others[0].visible
        np.testing.assert_allclose(own.vertices, people[0].meshes['after'][2], atol=1e-6)
        np.testing.assert_allclose(own.position, people[0].places['after'][2])
        np.testing.assert_allclose(other.position, people[1].places['after'][0])
        w, x, y, z = own.wxyz
        np.testing.assert_allclose(Rotation.from_quat([x, y, z, w]).as_matrix(), turn, atol=1e-9)
        grid, frustum = viewer.surroundings
        assert grid.position[1] == 0.25
        # The image stands where the scene has its corners, and every corner is joined to the camera.
        ends = {tuple(map(tuple, edge)) for edge in np.asarray(frustum.points)}
        assert len(ends) == 8 and {edge[0] for edge in ends} == {
            (0, 1.5, 0),
            *map(tuple, stage.corners),
        }
        assert {((0, 1.5, 0), tuple(corner)) for corner in stage.corners} < ends
        viewer.choose('b')
        assert viewer.label.value == '12' and not viewer.others[1].visible
        with pytest.raises(InputError, match="'nobody'.*a, b"):
            viewer.choose('nobody')
    finally:
        viewer.stop()


@pytest.mark.parametrize('camera', [(0, 1.5, 4.5), (-3, 2.0, 1.0), (0.1, 1.0, 60.0), (0, 5, 0)])
def test_nothing_stands_between_the_first_view_and_the_bodies(camera):
    """The clip's camera, and its drawn frustum of a quarter of the distance, are outside the middle of the picture."""
    path = np.array([[0.0, 1, 0], [0.6, 1, 0.2], [-0.6, 1, -0.2]])
    eye, middle = first_view(path, np.array(camera))
    assert 2 <= np.linalg.norm(eye - middle) <= 4 and eye[1] > middle[1]
    ahead = (middle - eye) / np.linalg.norm(middle - eye)
    for share in (1.0, 0.75):
        seen = middle + share * (np.array(camera) - middle) - eye
        assert np.degrees(np.arccos(ahead @ seen / np.linalg.norm(seen))) > 30
