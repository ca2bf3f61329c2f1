"""Detectors by name, by config and as objects; batches, weights files, and detectors for single images."""

import json
import sys
import types

import cv2
import numpy as np
import pytest

from hrtk.apis.detect import detect
from hrtk.apis.infer import infer
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.detectors import Detector, RTMLib, SingleImageDetector, build_detector
from hrtk.errors import InputError
from hrtk.registry import DETECTORS

FRAMES = 7
BODY = np.random.default_rng(3).uniform(20, 100, (17, 2))


@DETECTORS.register_module(force=True)
class Brightness(Detector):
    """A plugin's detector: one person, whose confidences are the brightness of the image."""

    skeleton = 'coco17'
    option = 'label'
    batch_size = 3

    def __init__(self, label='plain', device='none', weights='1'):
        self.source = f'brightness:{label}'
        self.device = device
        self.weights = weights
        self.batches = []

    def __call__(self, images):
        self.batches.append(len(images))
        scores = [np.full((17, 1), image.mean() / 255) for image in images]
        return [np.hstack([BODY, score])[None].astype(np.float32) for score in scores]

    def fingerprint(self):
        return {'weights': self.weights}


@DETECTORS.register_module(force=True)
class NoOption(Detector):
    """Takes neither a device nor an option."""

    source = 'none'
    skeleton = 'coco17'


class Single:
    """The call signature of the first release."""

    source = 'single'
    skeleton = 'coco17'

    def __call__(self, image):
        assert image.ndim == 3
        return np.hstack([BODY, np.full((17, 1), 0.5)])[None].astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'images').mkdir()
    for t in range(FRAMES):
        image = np.full((120, 130, 3), 100 + 10 * t, np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{t}.png'), image)
    return tmp_path / 'images'


@pytest.fixture
def rtmlib(monkeypatch):
    """A stand-in for rtmlib that stores the arguments of its networks."""
    stand_in = types.SimpleNamespace(Body=lambda **options: types.SimpleNamespace(options=options))
    monkeypatch.setitem(sys.modules, 'rtmlib', stand_in)


@pytest.mark.parametrize(
    'text, mode',
    [
        ('balanced', 'balanced'),
        ('lightweight', 'lightweight'),
        ('rtmlib', 'balanced'),
        ('RTMLib:performance', 'performance'),
        ('rtmlib:performance', 'performance'),
        (dict(type='RTMLib', mode='lightweight'), 'lightweight'),
    ],
)
def test_rtmlib_by_name(rtmlib, text, mode):
    detector = build_detector(text, 'cuda')
    assert isinstance(detector, RTMLib) and detector.source == f'rtmlib:{mode}'
    assert detector._body.options['mode'] == mode and detector._body.options['device'] == 'cuda'


def test_local_weights_are_hashed(rtmlib, tmp_path):
    file = tmp_path / 'rtmpose-m_256x192.onnx'
    file.write_bytes(b'weights')
    assert RTMLib().fingerprint() == {}
    assert list(RTMLib(pose=str(file)).fingerprint()) == ['pose']


def test_a_plugin_by_name_config_and_object():
    detector = build_detector('brightness:red', 'cpu')
    assert isinstance(detector, Brightness)
    assert (detector.source, detector.device) == ('brightness:red', 'cpu')
    assert build_detector(dict(type='Brightness', device='mps'), 'cpu').device == 'mps'
    assert build_detector(detector, 'cuda') is detector
    assert isinstance(build_detector('NoOption', 'cpu'), NoOption)


@pytest.mark.parametrize(
    'text, complaint',
    [
        ('rtmlb', "no 2D detector called 'rtmlb'. Did you mean 'rtmlib'"),
        ('balancd', "Did you mean 'balanced'"),
        ('zzz:fast', "no 2D detector called 'zzz'. Known: .*brightness.*rtmlib.*balanced"),
        ('rtmlib:balancd', "no mode 'balancd'. Did you mean 'balanced'"),
        ('nooption:fast', "'nooption' has no option to set to 'fast'"),
        (dict(type='RTMLob'), "no detector called 'RTMLob'. Did you mean 'RTMLib'"),
        (dict(type='Brightness', lable='x'), 'has no argument lable; did you mean label'),
    ],
)
def test_refuses(text, complaint):
    with pytest.raises(InputError, match=complaint):
        build_detector(text, 'cpu')


def test_batches_and_resumption(folder, tmp_path):
    path = tmp_path / 'keypoints.json'
    detector = Brightness()
    detect(open_footage(folder), detector, path)
    assert detector.batches == [3, 3, 1]
    table = read_keypoints(path)
    assert [frame.name for frame in table.frames] == [f'{t}.png' for t in range(FRAMES)]
    expected = (100 + 10 * np.arange(FRAMES)) / 255
    np.testing.assert_allclose(table.points[:, 0, 2], expected, atol=1e-4)

    content = json.loads(path.read_text())
    header = {key: value for key, value in content.items() if key != 'frames'}
    lines = [json.dumps(entry) for entry in [header, *content['frames'][:4]]]
    path.rename(tmp_path / 'complete.json')
    (tmp_path / 'keypoints.json.part').write_text('\n'.join(lines) + '\n')
    resumed = Brightness()
    detect(open_footage(folder), resumed, path)
    assert resumed.batches == [3]
    assert path.read_bytes() == (tmp_path / 'complete.json').read_bytes()
    other = Brightness(weights='2')
    detect(open_footage(folder), other, path)
    assert sum(other.batches) == FRAMES


def test_one_array_per_image(folder, tmp_path):
    class Short(Brightness):
        def __call__(self, images):
            return super().__call__(images)[1:]

    with pytest.raises(RuntimeError, match='Short returned 2 arrays for 3 images'):
        detect(open_footage(folder), Short(), tmp_path / 'keypoints.json')


def test_a_detector_for_single_images_still_works(folder, tmp_path):
    with pytest.warns(DeprecationWarning, match='Single takes single images'):
        detector = build_detector(Single(), 'cpu')
    assert isinstance(detector, SingleImageDetector)
    detect(open_footage(folder), detector, tmp_path / 'keypoints.json')
    table = read_keypoints(tmp_path / 'keypoints.json')
    assert table.source == 'single' and len(table.frames) == FRAMES


def test_infer_takes_a_plugin_by_name(folder, tmp_path):
    inference = infer(
        folder, output=tmp_path / 'out', pose2d='brightness:test', fps=10, device='cpu'
    )
    assert read_keypoints(inference.keypoints).source == 'brightness:test'
    assert [path.name for path in inference.results.glob('*.npz')] == ['images_person0.npz']
