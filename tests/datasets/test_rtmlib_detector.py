"""The detector of rtmlib, on a stand-in for that package."""

import json
import sys
import types

import numpy as np
import pytest

from hrtk.detectors.rtmlib import RTMLib
from hrtk.errors import InputError


class FakeBody:
    """Stands for rtmlib.Body: finds whoever is brighter than the rest, and keeps what it was given."""

    def __init__(self, mode, backend, device, det, pose, **sizes):
        self.given = (mode, backend, device, det, pose)
        self.sizes = sizes
        if det == 'offline':
            raise OSError('urlopen error')

    def det_model(self, image):
        assert image[0, 0].tolist() == [30, 20, 10]  # BGR
        return np.array([[5.0, 6, 25, 46]] * int(image.max() > 200))

    def pose_model(self, image, bboxes):
        corners = bboxes[:, None, :2].repeat(17, 1)
        return corners + np.arange(17)[None, :, None], np.full((len(bboxes), 17), 0.75)


def test_rtmlib(monkeypatch):
    monkeypatch.setitem(sys.modules, 'rtmlib', types.SimpleNamespace(Body=FakeBody))
    detector = RTMLib('lightweight', 'cuda')
    assert detector._body.given == ('lightweight', 'onnxruntime', 'cuda', None, None)
    assert (detector.source, detector.skeleton) == ('rtmlib:lightweight', 'coco17')
    empty = np.full((60, 40, 3), (10, 20, 30), np.uint8)
    occupied = empty.copy()
    occupied[30, 20] = 255
    nobody, somebody = detector([empty, occupied])
    assert nobody.shape == (0, 17, 3)  # rtmlib itself would take the whole image for a person
    assert somebody.shape == (1, 17, 3) and somebody.dtype == np.float32
    assert somebody[0, 3].tolist() == [8, 9, 0.75]
    with pytest.raises(InputError, match='could not get its weights.*urlopen error'):
        RTMLib(detector='offline', detector_size=(640, 640))
    with pytest.raises(InputError, match='lightweight, balanced, performance'):
        RTMLib('best')


class Network:
    """Stands for onnxruntime.InferenceSession: the file holds the shape of the input."""

    def __init__(self, path, providers):
        self.shape = json.loads(open(path).read())

    def get_inputs(self):
        return [types.SimpleNamespace(shape=self.shape)]


@pytest.mark.parametrize(
    'option, name, content, size',
    [
        ('detector', 'mine.onnx', [1, 3, 416, 512], (512, 416)),
        ('pose', 'a.onnx', ['batch', 3, 384, 288], (288, 384)),
        # The network takes any size, or cannot be read: the name counts.
        (
            'pose',
            'rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4.onnx',
            [1, 3, 'h', 'w'],
            (192, 256),
        ),
        ('pose', 'rtmpose-x_simcc-body7_700e-384x288-71d7/end2end.onnx', 'broken', (288, 384)),
        ('detector', 'yolox_tiny_8xb8-300e_humanart-6f32.onnx', 'broken', (416, 416)),
        ('detector', 'yolox_x_8xb8-300e_humanart-a39d.onnx', 'broken', (640, 640)),
        ('detector', 'yolox_m_8xb8-300e_humanart/end2end.onnx', 'broken', (640, 640)),
    ],
)
def test_local_networks_of_rtmlib_have_their_own_sizes(
    monkeypatch, tmp_path, option, name, content, size
):
    """The sizes by default are those of the largest networks, so that a smaller one got a wrong input."""
    monkeypatch.setitem(sys.modules, 'rtmlib', types.SimpleNamespace(Body=FakeBody))
    runtime = types.SimpleNamespace(InferenceSession=Network)
    monkeypatch.setitem(sys.modules, 'onnxruntime', runtime)
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(content if content == 'broken' else json.dumps(content))
    key = {'detector': 'det_input_size', 'pose': 'pose_input_size'}[option]
    assert RTMLib(**{option: str(file)})._body.sizes == {key: size}
    given = RTMLib(**{option: str(file), f'{option}_size': (64, 48)})
    assert given._body.sizes == {key: (64, 48)}
    assert RTMLib()._body.sizes == {}  # rtmlib knows the sizes of the networks of its modes


def test_local_networks_whose_size_nobody_tells(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'rtmlib', types.SimpleNamespace(Body=FakeBody))
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    (tmp_path / 'pose.onnx').write_text('[1, 3, 256, 192]')
    with pytest.raises(InputError, match=r'pose\.onnx: .*give pose_size=\(width, height\)'):
        RTMLib(pose=str(tmp_path / 'pose.onnx'))
    with pytest.raises(InputError, match=r'detector_size must be \(width, height\)'):
        RTMLib(detector='yolox_m.onnx', detector_size=(640,))


def test_without_rtmlib(monkeypatch):
    monkeypatch.setitem(sys.modules, 'rtmlib', None)
    with pytest.raises(InputError, match=r'--keypoints.*hrtk\[pose2d\].*downloads'):
        RTMLib()
