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

from hrtk.apis import adapt
from hrtk.apis.look.view import view
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.results import Result

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
