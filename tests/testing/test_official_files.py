"""The files that hrtk.testing writes hold what the official ones hold, and every reader of hrtk reads them."""

from __future__ import annotations

import pickle
import pickletools

import numpy as np
import pytest
import scipy.sparse
import torch

from hrtk.body_models.files import load_body_file
from hrtk.body_models.safe_pickle import load_pickle
from hrtk.datasets.official.threedpw import read_3dpw
from hrtk.errors import InputError
from hrtk.models.checkpoints import read_checkpoint
from hrtk.models.estimators import RSCNet
from hrtk.models.temporal import TCMR, VIBE, MPSNet
from hrtk.testing import write_checkpoint, write_official_files
from hrtk.testing.python2_pickle import Chumpy, ChumpySelect, Sparse, dump_python2
from hrtk.testing.smpl_files import EMBEDDED_BODY

F = 3
# The keys of a sequence file, from the description of the data set.
SEQUENCE_KEYS = {
    'sequence', 'betas', 'poses', 'trans', 'poses2d', 'cam_poses', 'cam_intrinsics', 'genders', 'campose_valid',
    'img_frame_ids', 'jointPositions', 'texture_maps', 'betas_clothed', 'v_template_clothed', 'trans_60Hz',
    'poses_60Hz',
}  # fmt: skip
SMPL_KEYS = {
    'J_regressor_prior', 'f', 'J_regressor', 'kintree_table', 'J', 'weights_prior', 'weights', 'vert_sym_idxs',
    'posedirs', 'pose_training_info', 'bs_style', 'v_template', 'shapedirs', 'bs_type',
}  # fmt: skip
GRU = ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
REGRESSOR = {f'regressor.init_{name}' for name in ('pose', 'shape', 'cam')} | {
    f'regressor.{layer}.{part}'
    for layer in ('fc1', 'fc2', 'decpose', 'decshape', 'deccam')
    for part in ('weight', 'bias')
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(tmp_path_factory.mktemp('cache')))
        return write_official_files(tmp_path_factory.mktemp('official') / 'data', frames=F, size=64)


def names_in(path):
    """The functions and classes that a pickle names, and its other opcodes."""
    opcodes = list(pickletools.genops(path.read_bytes()))
    names = {str(argument) for opcode, argument, _ in opcodes if opcode.name == 'GLOBAL'}
    return names, {opcode.name for opcode, _, _ in opcodes}


class Ch:
    """chumpy's object, for a plain unpickler."""


class PlainUnpickler(pickle.Unpickler):
    """Python's own unpickler, with scipy's matrix and a stand-in for chumpy's classes."""

    def find_class(self, module, name):
        if module.startswith('chumpy'):
            return Ch
        if module == 'scipy.sparse.csc':
            return scipy.sparse.csc_matrix
        return super().find_class(module.replace('numpy.core', 'numpy._core'), name)


def test_pickles_are_those_of_python_2(data, tmp_path):
    dense = np.array([[0, 2.0, 0], [0, 0, 0], [3.0, 0, 4.0], [0, 5.0, 0]])
    content = {
        'plain': np.arange(6.0).reshape(2, 3),
        'ch': Chumpy(np.arange(4.0)),
        'select': ChumpySelect(np.arange(12.0).reshape(3, 4), np.array([0, 1, 4, 5]), (2, 2)),
        'csc': Sparse(dense),
        'text': 'a' * 300,
        'scalar': np.float64(0.5),
        'list': [np.zeros(2, np.uint8), None, True, {'x': 2**40}],
    }
    dump_python2(content, tmp_path / 'x.pkl')
    names, opcodes = names_in(tmp_path / 'x.pkl')
    assert not opcodes & {'BINUNICODE', 'BINBYTES', 'SHORT_BINBYTES', 'STACK_GLOBAL', 'FRAME'}
    assert {'chumpy.ch Ch', 'chumpy.reordering Select', 'scipy.sparse.csc csc_matrix'} <= names
    assert not [name for name in names if 'numpy._core' in name]
    with open(tmp_path / 'x.pkl', 'rb') as file:
        plain = PlainUnpickler(file, encoding='latin1').load()
    np.testing.assert_array_equal(plain['csc'].toarray(), dense)
    np.testing.assert_array_equal(plain['ch'].x, np.arange(4))
    assert plain['select'].preferred_shape == (2, 2) and plain['select']._dirty_vars
    assert plain['text'] == 'a' * 300 and plain['scalar'] == 0.5
    assert plain['list'][3] == {'x': 2**40}
    ours = load_pickle(tmp_path / 'x.pkl')
    np.testing.assert_array_equal(ours['csc'], dense)
    np.testing.assert_array_equal(ours['select'], [[0, 1], [4, 5]])
    np.testing.assert_array_equal(ours['plain'], content['plain'])


@pytest.mark.parametrize('gender', ['NEUTRAL', 'MALE', 'FEMALE'])
def test_body_files(data, gender):
    path = data / f'body_models/smpl/SMPL_{gender}.pkl'
    names, opcodes = names_in(path)
    assert path.read_bytes()[:2] == b'\x80\x02' and 'BINUNICODE' not in opcodes
    assert {'chumpy.ch Ch', 'scipy.sparse.csc csc_matrix'} <= names
    assert ('chumpy.reordering Select' in names) == (gender != 'NEUTRAL')
    with open(path, 'rb') as file:
        plain = PlainUnpickler(file, encoding='latin1').load()
    assert plain.keys() == SMPL_KEYS
    body = load_body_file(path)
    np.testing.assert_allclose(body.v_template, plain['v_template'].x, atol=1e-6)
    np.testing.assert_allclose(body.J_regressor, plain['J_regressor'].toarray(), atol=1e-6)
    assert 0 < plain['J_regressor'].nnz < 0.05 * 24 * 6890
    np.testing.assert_allclose(body.posedirs, plain['posedirs'].x, atol=1e-6)
    assert body.shapedirs.shape == (6890, 3, 10)
    np.testing.assert_allclose(
        body.J_regressor @ body.v_template, plain['J'].x, atol=1e-5
    )  # the joints that the file holds


def test_sequence_files_of_3dpw(data):
    path = data / '3dpw/sequenceFiles/test/free_clip_00.pkl'
    names, opcodes = names_in(path)
    assert 'BINUNICODE' not in opcodes and 'numpy.core.multiarray _reconstruct' in names
    content = pickle.loads(path.read_bytes(), encoding='latin1')
    assert content.keys() == SEQUENCE_KEYS
    assert content['poses2d'][1].shape == (F, 3, 18)
    assert [betas.shape for betas in content['betas']] == [(10,), (300,)]
    for key, width in (('poses_60Hz', 72), ('trans_60Hz', 3)):
        assert [values.shape for values in content[key]] == [(2 * F, width)] * 2
    assert [track.betas.shape for track in read_3dpw(path)] == [(10,)] * 2


@pytest.mark.parametrize('value', [np.nan, 1e7, -1e30])
def test_impossible_numbers_of_3dpw(data, tmp_path, value):
    content = pickle.loads(
        (data / '3dpw/sequenceFiles/test/free_clip_00.pkl').read_bytes(), encoding='latin1'
    )
    content['trans'][1][2, 0] = value
    path = tmp_path / 'sequence.pkl'
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=r'sequence.pkl.*trans.*finite ones below 1e\+06'):
        read_3dpw(path)


def test_dynaboas_files_are_numbered_in_the_order_of_its_script(data):
    names = sorted(path.name for path in (data / 'dynaboa').iterdir())
    assert names == ['3dpw_0_0.npz', '3dpw_0_1.npz', '3dpw_1_0.npz']
    with np.load(data / 'dynaboa/3dpw_0_0.npz') as file:
        points = file['j2d'][0, :, :2]
        extent = (points.max(0) - points.min(0)).max()
        assert file['scale'][0] == pytest.approx(extent / 200, rel=1e-5)  # not 1.2 times


def checkpoint_keys(network, path, wrapper):
    write_checkpoint(network, path, wrapper)
    assert path.read_bytes()[:2] != b'PK'  # torch's older layout
    content = read_checkpoint(path)
    return content, content[wrapper] if wrapper else content


@pytest.mark.parametrize(
    'network, keys',
    [
        (
            TCMR(),
            {f'encoder.gru_cur.{part}_l{n}{way}' for part in GRU for n in (0, 1) for way in ('', '_reverse')}
            | {f'encoder.gru_{name}.{part}_l{n}' for name in ('bef', 'aft') for part in GRU for n in (0, 1)}
            | {f'encoder.linear_{name}.{p}' for name in ('cur', 'bef', 'aft') for p in ('weight', 'bias')}
            | {f'encoder.attention.fc.{p}' for p in ('weight', 'bias')}
            | {f'encoder.attention.attention.{n}.{p}' for n in (0, 2, 4) for p in ('weight', 'bias')},
        ),
        (
            MPSNet(),
            {f'nonlocalblock.conv_{name}.weight' for name in ('theta', 'phi', 'g', 'mask', 'mask_forR')}
            | {f'nonlocalblock.attention.fc.{p}' for p in ('weight', 'bias')}
            | {f'nonlocalblock.attention.attention.{n}.{p}' for n in (0, 2, 4) for p in ('weight', 'bias')},
        ),
        (
            VIBE(),
            {f'encoder.gru.{part}_l{n}' for part in GRU for n in (0, 1)}
            | {'encoder.linear.weight', 'encoder.linear.bias'},
        ),
    ],
    ids=['TCMR', 'MPS-Net', 'VIBE'],
)  # fmt: skip
def test_temporal_checkpoints_have_the_official_keys(tmp_path, network, keys):
    content, state = checkpoint_keys(network, tmp_path / 'x.pth.tar', 'gen_state_dict')
    embedded = {f'regressor.smpl.{name}' for name in EMBEDDED_BODY}
    assert set(state) == keys | REGRESSOR | embedded
    assert content['performance'] == np.float32(56.5) and content['epoch'] == 7
    assert b'cnumpy.core.multiarray\nscalar' in (tmp_path / 'x.pth.tar').read_bytes()
    other = type(network)(weights=str(tmp_path / 'x.pth.tar'))
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_rsc_nets_checkpoint_has_the_official_keys(tmp_path):
    network = RSCNet(body=None)
    _, state = checkpoint_keys(network, tmp_path / 'RSC-Net.pt', '')
    batch_norm = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    keys = {'conv1.weight', *(f'bn1.{part}' for part in batch_norm)}
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        keys |= {f'layer{stage}.alphas.{bucket}' for bucket in range(5)}
        for block in range(blocks):
            start = f'layer{stage}.hmr_layer.{block}'
            for number in (1, 2, 3):
                keys |= {f'{start}.conv{number}.weight'}
                keys |= {f'{start}.bn{number}.{part}' for part in batch_norm}
            if block == 0:
                keys |= {f'{start}.downsample.0.weight'}
                keys |= {f'{start}.downsample.1.{part}' for part in batch_norm}
    keys |= {f'layer4_mlp.{number}.{part}' for number in (0, 2) for part in ('weight', 'bias')}
    keys |= {name.removeprefix('regressor.') for name in REGRESSOR}
    assert len(keys) == 355 and set(state) == keys
