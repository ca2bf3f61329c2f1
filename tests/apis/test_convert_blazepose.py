"""The reader of TFLite files against a file of Google's own writer, and the conversion of BlazePose's weights."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from hrtk.apis.zoo import blazepose
from hrtk.apis.zoo.blazepose import convert_blazepose, detector_layers, landmark_layers
from hrtk.apis.zoo.tflite import Level, densify, read_convolutions
from hrtk.errors import InputError
from hrtk.models.blazepose import LandmarkNetwork, PoseDetector
from hrtk.models.checkpoints import find_weights, read_checkpoint
from hrtk.reading.hashes import sha256

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'data' / 'blazepose_golden.npz'))


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / 'tiny.tflite'
    path.write_bytes(GOLDEN['tiny/file'].tobytes())
    return path


def test_convolutions_of_a_file_of_the_official_writer(tiny):
    found = read_convolutions(tiny)
    assert [layer.kernel.dtype.itemsize for layer in found] == [4, 2, 2]
    for index, layer in enumerate(found):
        np.testing.assert_array_equal(layer.kernel, GOLDEN[f'tiny/kernel{index}'])
        np.testing.assert_array_equal(layer.bias, GOLDEN[f'tiny/bias{index}'])
    assert (found[1].kernel == 0).mean() > 0.2  # the sparse one


@pytest.mark.parametrize('blocks', [(2, 3), (4, 1), (1, 3)])
def test_sparse_constants_are_those_of_scipy(blocks):
    dense = sp.random(8, 9, 0.3, random_state=0).toarray()
    matrix = sp.bsr_matrix(dense, blocksize=blocks)
    levels = [
        Level(size=8 // blocks[0]),
        Level(segments=matrix.indptr, indices=matrix.indices),
        Level(size=blocks[0]),
        Level(size=blocks[1]),
    ]
    values = matrix.data.reshape(-1)
    found = densify(values, dense.shape, [0, 1, 2, 3], [0, 1], levels)
    np.testing.assert_array_equal(found, dense)
    with pytest.raises(ValueError, match='stored values'):
        densify(values[1:], dense.shape, [0, 1, 2, 3], [0, 1], levels)


def test_sparse_columns():
    dense = sp.random(8, 9, 0.3, random_state=1).toarray()
    matrix = sp.csc_matrix(dense)
    levels = [Level(size=9), Level(segments=matrix.indptr, indices=matrix.indices)]
    np.testing.assert_array_equal(densify(matrix.data, dense.shape, [1, 0], [], levels), dense)


@pytest.mark.parametrize('length', [0, 6, 40, 300])
def test_truncated_files(tiny, length):
    tiny.write_bytes(tiny.read_bytes()[:length])
    with pytest.raises(InputError, match='tiny.tflite: not a TFLite file'):
        read_convolutions(tiny)


@pytest.mark.parametrize(
    'network, layers', [(PoseDetector, detector_layers), (LandmarkNetwork, landmark_layers)]
)
def test_every_parameter_has_a_place_in_the_file(network, layers):
    with torch.device('meta'):
        names = set(network().state_dict())
    listed = layers()
    assert len(listed) == len(set(listed))
    assert {f'{name}.{kind}' for name in listed for kind in ('weight', 'bias')} == names


def test_the_record_of_the_bundled_weights():
    path = find_weights('open:blazepose')
    record = json.loads(path.with_suffix('.json').read_text())
    state = read_checkpoint(path)['state_dict']
    assert record['bytes'] == path.stat().st_size
    assert record['parameters'] == sum(value.numel() for value in state.values())
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert record['files'] == blazepose.FILES and len(record['wheel']['sha256']) == 64
    assert 'Apache-2.0' in record['licence'] and 'float16' in record['changes']


def test_wrong_sources(tmp_path):
    with pytest.raises(InputError, match='neither a folder nor a wheel.*pip download'):
        convert_blazepose(tmp_path / 'nothing.whl', tmp_path / 'out.pt')
    with pytest.raises(InputError, match='no pose_detection.tflite.*newer releases'):
        convert_blazepose(tmp_path, tmp_path / 'out.pt')
    wheel = tmp_path / 'mediapipe-0.10.21.whl'
    with zipfile.ZipFile(wheel, 'w') as file:
        file.writestr('mediapipe/modules/pose_detection/pose_detection.tflite', b'other')
    with pytest.raises(InputError, match='not that of mediapipe 0.10.21'):
        convert_blazepose(wheel, tmp_path / 'out.pt')
    assert not (tmp_path / 'out.pt').exists()


def test_the_command_line(call_tool, tmp_path):
    run = call_tool('convert_blazepose', tmp_path, '--output', tmp_path / 'out.pt')
    assert run.returncode == 2 and 'pip download' in run.stderr


def test_the_wheel_gives_the_bundled_bytes(tmp_path):
    """Runs where HRTK_MEDIAPIPE_WHEEL names the wheel."""
    if 'HRTK_MEDIAPIPE_WHEEL' not in os.environ:
        pytest.skip('HRTK_MEDIAPIPE_WHEEL names no wheel of mediapipe 0.10.21')
    convert_blazepose(os.environ['HRTK_MEDIAPIPE_WHEEL'], tmp_path / 'blazepose.pt')
    state = read_checkpoint(tmp_path / 'blazepose.pt')['state_dict']
    bundled = read_checkpoint(find_weights('open:blazepose'))['state_dict']
    assert list(state) == list(bundled)
    assert all(torch.equal(state[name], bundled[name]) for name in state)
    assert len(sha256(tmp_path / 'blazepose.json')) == 64
