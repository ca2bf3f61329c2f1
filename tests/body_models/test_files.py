"""Body files: what chumpy and scipy really write is read to equal arrays, and nothing foreign is ever run."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from hrtk.body_models import files
from hrtk.body_models.files import load_body_file, load_pickle
from hrtk.errors import InputError

DATA = Path(__file__).parents[1] / 'data'
PARENTS = (0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def arange(*shape):
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


def official(vertices=30, components=10):
    rng = np.random.default_rng(0)
    weights = rng.random((vertices, 24))
    return {
        'v_template': rng.standard_normal((vertices, 3)),
        'shapedirs': rng.standard_normal((vertices, 3, components)),
        'posedirs': rng.standard_normal((vertices, 3, 207)),
        'weights': weights / weights.sum(1, keepdims=True),
        'J_regressor': rng.random((24, vertices)),
        'f': rng.integers(0, vertices, (50, 3)).astype(np.uint32),
        'kintree_table': np.array([(2**32 - 1, *PARENTS), range(24)], dtype=np.uint32),
    }


def open_format(vertices=30):
    """A file in the compact layout, and the dense arrays that it stands for."""
    rng = np.random.default_rng(1)
    raw = {
        'format': 'hrtk-body-1',
        'v_template': rng.random((vertices, 3)).astype(np.float32),
        'shapedirs': rng.random((vertices, 3, 10)).astype(np.float16),
        'posedirs': rng.random((vertices, 3, 207)).astype(np.float16),
        'weight_index': np.array([[3, 7, 0, 0]] * vertices, np.uint8),
        'weight_value': np.array([[0.25, 0.75, 0, 0]] * vertices, np.float16),
        'faces': rng.integers(0, vertices, (20, 3)).astype(np.uint16),
        'parents': np.array((-1, *PARENTS), np.int8),
        'mirror': np.arange(vertices)[::-1].astype(np.uint16),
        'vertex_names': np.array(['nose', 'left_heel']),
        'vertex_ids': np.array([5, 8], np.uint16),
        'licence': 'CC0-1.0',
    }
    dense = {}
    for name, rows in (('J_regressor', 24), ('J_regressor_extra', 9), ('J_regressor_h36m', 17)):
        matrix = scipy.sparse.random(
            rows, vertices, density=0.2, random_state=2, dtype=np.float32
        ).tocoo()
        raw.update(
            {
                f'{name}_row': matrix.row.astype(np.uint8),
                f'{name}_col': matrix.col.astype(np.uint16),
                f'{name}_val': matrix.data,
            }
        )
        dense[name] = matrix.toarray()
    return raw, dense


def write(path, content, protocol=2):
    if path.suffix == '.npz':
        np.savez_compressed(path, **content)
    else:
        path.write_bytes(pickle.dumps(content, protocol))
    return path


# Reading pickles


@pytest.mark.parametrize(
    'file',
    [
        'chumpy_py2_protocol0',
        'chumpy_py2_protocol1',
        'chumpy_py2_protocol2',
        'chumpy_py3_protocol0',
        'chumpy_py3_protocol1',
        'chumpy_py3_protocol2',
        'chumpy_np2_protocol2',
        'chumpy_np2_protocol5',
    ],
)
def test_real_chumpy_and_scipy_pickles(file):
    """Files written by chumpy 0.70 under Python 2.7 and 3.11, numpy 1.16, 1.26 and 2.4; see make_chumpy_pickles.py."""
    read = load_pickle(DATA / f'{file}.pkl')
    base = arange(4, 6)
    sparse = np.array([[0, 5, 0, 0], [0, 0, 0, 0], [3, 0, 0, 2.0]])
    expected = {
        'plain': arange(2, 3),
        'fortran': arange(3, 2),
        'integers': np.arange(5),
        'big_endian': np.arange(4.0),
        'scalar': 1.5,
        'empty': np.zeros((0, 3)),
        'ch': base,
        'ch_used': arange(3, 3),
        'select': base[1:3, ::2],
        'select_flat': np.arange(5.0, 9),
        'concatenate': np.hstack([base, 100 + arange(4, 2)]),
        'reshape': base.reshape(6, 4),
        'nested': np.vstack([base[:2].reshape(3, 4), arange(1, 4)]),
        'csc': sparse,
        'csr': sparse,
        'coo': sparse,
        'bytes_like': np.array([b'ab', b'c']),
    }
    for key, value in expected.items():
        np.testing.assert_array_equal(read[key], value, err_msg=key)
        assert np.shape(read[key]) == np.shape(value), key
    assert read['text'] == 'lrotmin' and read['names'] == {'a', 'b'}
    assert set(read) == {*expected, 'text', 'names'}
    assert 'chumpy' not in sys.modules


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_installed_numpy_and_scipy_at_every_protocol(tmp_path, protocol):
    dense = np.where(arange(5, 7) % 4 == 0, arange(5, 7), 0)
    content = {
        kind: getattr(scipy.sparse, f'{kind}_matrix')(dense) for kind in ('csc', 'csr', 'coo')
    }
    content |= {
        'array': dense,
        'transposed': dense.T,
        'scalar': np.float32(2.5),
        'empty': np.zeros((0, 2)),
        'strings': np.array(['a', 'bc']),
        'objects': np.array([None, 'x'], dtype=object),
        'list': [dense, 1],
    }
    read = load_pickle(write(tmp_path / 'x.pkl', content, protocol))
    for kind in ('csc', 'csr', 'coo', 'array'):
        np.testing.assert_array_equal(read[kind], dense)
    np.testing.assert_array_equal(read['transposed'], dense.T)
    np.testing.assert_array_equal(read['list'][0], dense)
    assert read['scalar'] == np.float32(2.5) and read['empty'].shape == (0, 2)
    assert read['strings'].tolist() == ['a', 'bc'] and read['objects'].tolist() == [None, 'x']


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_module_names_of_other_numpy_versions(tmp_path, core):
    for protocol in (0, 2, 5):
        data = pickle.dumps({'a': arange(3, 2), 'b': np.float64(4)}, protocol)
        installed = np.empty(0).__reduce__()[0].__module__.rsplit('.', 1)[0].encode()
        if protocol < 4:
            data = data.replace(installed + b'.', core + b'.')
        else:
            old, new = (name + b'.multiarray' for name in (installed, core))
            data = data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)
            old, new = (name + b'.numeric' for name in (installed, core))
            data = data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)
            data = data[:2] + b'N0' + data[11:]  # drop the frame, whose length has changed
        (tmp_path / 'x.pkl').write_bytes(data)
        read = load_pickle(tmp_path / 'x.pkl')
        np.testing.assert_array_equal(read['a'], arange(3, 2))
        assert read['b'] == 4


# Pickles that attack


class _Call:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def _payloads(marker):
    shell = f'touch {marker}'
    python = f'open({str(marker)!r}, "w")'
    line = python.replace('\n', '').encode()
    return {
        'posix.system': pickle.dumps({'v_template': _Call(os.system, shell)}, 0),
        'builtins.eval': pickle.dumps({'v_template': _Call(eval, python)}, 4),
        '__builtin__.eval': pickle.dumps({'v_template': _Call(eval, python)}, 2),
        'builtins.getattr': pickle.dumps(
            {'a': [np.zeros(2), {'b': (_Call(getattr, [], 'append'),)}]}, 5
        ),
        'os.system': b"(dp0\nS'a'\np1\n(cos\nsystem\n" + b"S'" + shell.encode() + b"'\ntRs.",
        '__builtin__.execfile': b'\x80\x02}U\x01ac__builtin__\nexecfile\n(U\x01xtRs.',
        'numpy.load': pickle.dumps({'a': _Call(np.load, 'x')}, 4),
        'numpy.core.multiarray.fromfile': b"}(S'a'\ncnumpy.core.multiarray\nfromfile\n(S'x'\ntRu.",
        'numpy.f2py.crackfortran.myeval': b"}(S'a'\ncnumpy.f2py.crackfortran\nmyeval\n(S'"
        + line
        + b"'\ntRu.",
        'builtins.ndarray.tofile': b'\x80\x04}(\x8c\x01a\x8c\x08builtins\x8c\x0endarray.tofile\x93(tRu.',
        'subprocess.Popen': b"(dp0\nS'a'\n(S'" + shell.encode() + b"'\nisubprocess\nPopen\ns.",
    }


@pytest.mark.parametrize('name', sorted(_payloads('x')))
def test_payloads_are_named_and_not_run(tmp_path, name):
    marker = tmp_path / 'executed'
    file = tmp_path / 'evil.pkl'
    file.write_bytes(_payloads(marker)[name])
    for read in (load_pickle, load_body_file):
        with pytest.raises(InputError, match=r'evil\.pkl.*numpy\.savez') as caught:
            read(file)
        assert name in str(caught.value)
    assert not marker.exists()


def test_payload_fixture_would_run_when_fully_unpickled(tmp_path):
    """The payloads above are real: plain pickle runs them."""
    pickle.loads(_payloads(tmp_path / 'executed')['builtins.eval'])
    assert (tmp_path / 'executed').exists()


def test_nested_in_a_chumpy_object(tmp_path):
    marker = tmp_path / 'executed'
    for protocol in (0, 2):
        hidden = pickle.dumps(_Call(os.system, f'touch {marker}'), protocol)[:-1].removeprefix(
            b'\x80\x02'
        )
        data = (
            b"}S'a'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR}S'x'\n"
            + hidden
            + b'sbs.'
        )
        (tmp_path / 'x.pkl').write_bytes(data)
        with pytest.raises(InputError, match='posix.system'):
            load_pickle(tmp_path / 'x.pkl')
    assert not marker.exists()


@pytest.mark.parametrize(
    'data, complaint',
    [
        (b'\x80\x04c_codecs\nencode\n(\x8c\x01x\x8c\x05rot13tR.', "encoding 'rot13'"),
        (b'ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.', 'ndarray'),
        (b'\x80\x04P1\n.', 'persistent'),
        (b"cnumpy\ndtype\n(S'V8'\ntR.", "dtype 'V8'"),
        (b"c_codecs\nencode\n}S'__defaults__'\nNsb.", 'a state for'),
    ],
)
def test_allowed_helpers_cannot_be_misused(tmp_path, data, complaint):
    (tmp_path / 'x.pkl').write_bytes(data)
    with pytest.raises(InputError, match=complaint):
        load_pickle(tmp_path / 'x.pkl')


def test_a_high_object_number_costs_no_memory(tmp_path):
    (tmp_path / 'x.pkl').write_bytes(b'}r\xff\xff\xff\x7f.')
    tracemalloc.start()
    assert load_pickle(tmp_path / 'x.pkl') == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_every_truncation_of_a_real_file_is_an_input_error(tmp_path):
    data = (DATA / 'chumpy_py2_protocol2.pkl').read_bytes()
    for end in range(1, len(data), 37):
        (tmp_path / 'x.pkl').write_bytes(data[:end])
        with pytest.raises(InputError, match='x.pkl'):
            load_pickle(tmp_path / 'x.pkl')


def test_flipped_bytes_raise_nothing_but_input_errors(tmp_path):
    data = bytearray((DATA / 'chumpy_py2_protocol1.pkl').read_bytes())
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(120):
        broken = data.copy()
        for index in rng.integers(0, len(data), 3):
            broken[index] = rng.integers(256)
        (tmp_path / 'x.pkl').write_bytes(broken)
        try:
            load_pickle(tmp_path / 'x.pkl')
        except InputError:
            errors += 1
    assert errors > 40


def test_a_chumpy_object_inside_itself(tmp_path):
    data = b"}S'a'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtRp1\n}S'x'\ng1\nsbs."
    (tmp_path / 'x.pkl').write_bytes(data)
    with pytest.raises(InputError, match='damaged'):
        load_pickle(tmp_path / 'x.pkl')


# Body files


@pytest.mark.parametrize(
    'name, components', [('body.npz', 10), ('body.npz', 300), ('body.pkl', 10), ('body.pkl', 16)]
)
def test_official_layout(tmp_path, name, components):
    content = official(components=components)
    stored = (
        dict(content, J_regressor=scipy.sparse.csc_matrix(content['J_regressor']))
        if '.pkl' in name
        else content
    )
    file = write(tmp_path / name, {**stored, 'bs_type': 'lrotmin'})
    data = load_body_file(file)
    for key in ('v_template', 'posedirs', 'weights', 'J_regressor'):
        assert getattr(data, key).dtype == np.float32
        np.testing.assert_array_equal(getattr(data, key), content[key].astype(np.float32))
    np.testing.assert_array_equal(
        data.shapedirs, content['shapedirs'][:, :, :10].astype(np.float32)
    )
    assert data.f.dtype == np.int64 and (data.f == content['f']).all()
    assert data.parents.tolist() == [-1, *PARENTS]
    assert data.name == 'body' and data.path == file
    assert data.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert data.J_regressor_extra is None and data.mirror is None and data.vertex_ids == {}


def test_smpl_layout_as_python_2_and_chumpy_wrote_it():
    data = load_body_file(DATA / 'chumpy_smpl_layout.pkl')
    np.testing.assert_array_equal(data.v_template, arange(6, 3))
    np.testing.assert_array_equal(
        data.shapedirs, (arange(6, 3, 12)[:, :, :10] / 100).astype(np.float32)
    )
    np.testing.assert_array_equal(data.posedirs.ravel(), np.arange(6 * 3 * 207) % 251)
    np.testing.assert_array_equal(data.J_regressor, np.tile(np.eye(6), (4, 1)))
    np.testing.assert_array_equal(data.weights.argmax(1), np.arange(6) * 3)
    assert data.f.tolist() == [[0, 1, 2], [0, 2, 3], [3, 4, 5]]
    assert data.kintree_table[0, 0] == 2**32 - 1 and data.parents.tolist() == [-1, *PARENTS]


def test_smplx_takes_the_mapping(tmp_path):
    smplx = pytest.importorskip('smplx', reason='smplx is in requirements/tests')
    data = load_body_file(write(tmp_path / 'body.npz', official()))
    body = smplx.SMPL('', data_struct=smplx.utils.Struct(**data), create_transl=False)
    assert body.parents.tolist() == data.parents.tolist()
    for key in ('v_template', 'shapedirs', 'J_regressor'):
        np.testing.assert_array_equal(getattr(body, key), data[key])
    np.testing.assert_array_equal(body.lbs_weights, data.weights)
    np.testing.assert_array_equal(body.posedirs, data.posedirs.reshape(-1, 207).T)
    assert set(dict(**data)) == set(official()) and data['f'] is data.f
    with pytest.raises(KeyError):
        data['sha256']


def test_vertex_picks_belong_to_the_mesh_of_6890_vertices(tmp_path):
    content = {
        key: np.zeros((6890, *value.shape[1:]), np.float32) if len(value) == 30 else value
        for key, value in official().items()
    }
    content['J_regressor'] = np.zeros((24, 6890))
    ids = load_body_file(write(tmp_path / 'body.npz', content)).vertex_ids
    assert (ids['nose'], ids['right_eye'], ids['left_heel'], ids['right_small_toe']) == (
        332,
        6260,
        3387,
        6624,
    )


def test_open_format(tmp_path):
    raw, dense = open_format()
    data = load_body_file(write(tmp_path / 'mine.npz', raw))
    for key, value in dense.items():
        np.testing.assert_array_equal(getattr(data, key), value)
    assert (
        data.weights.dtype == np.float32 and data.weights[:, [3, 7]].tolist() == [[0.25, 0.75]] * 30
    )
    assert np.count_nonzero(data.weights) == 60
    np.testing.assert_array_equal(data.posedirs, raw['posedirs'].astype(np.float32))
    np.testing.assert_array_equal(data.f, raw['faces'])
    assert data.parents.tolist() == [-1, *PARENTS] and data.vertex_ids == {
        'nose': 5,
        'left_heel': 8,
    }
    assert data.mirror.tolist() == list(range(29, -1, -1))


def test_regressors(tmp_path):
    body = write(tmp_path / 'body.npz', official())
    for name, rows in (('extra', 9), ('h36m', 17)):
        np.save(tmp_path / f'{name}.npy', arange(rows, 30))
    data = load_body_file(body, tmp_path / 'extra.npy', tmp_path / 'h36m.npy')
    np.testing.assert_array_equal(data.J_regressor_extra, arange(9, 30))
    np.testing.assert_array_equal(data.J_regressor_h36m, arange(17, 30))
    assert data.J_regressor_h36m.dtype == np.float32
    np.save(tmp_path / 'smpl.npy', np.zeros((17, 6890)))
    with pytest.raises(
        InputError,
        match=r'smpl\.npy.*\(17, 6890\).*\(17, 30\).*body\.npz.*SMPL mesh.*contains its own',
    ):
        load_body_file(body, h36m_regressor=tmp_path / 'smpl.npy')
    np.save(tmp_path / 'object.npy', np.array([{}], dtype=object))
    np.savez(tmp_path / 'several.npz', a=np.zeros(2))
    (tmp_path / 'text.npy').write_text('no array')
    for name in ('object.npy', 'text.npy', 'several.npz', 'missing.npy', 'h36m.npy'):
        with pytest.raises(InputError, match=name):
            load_body_file(body, extra_regressor=tmp_path / name)


def _broken(change):
    content = official()
    change(content)
    return content


@pytest.mark.parametrize(
    'change, complaint',
    [
        (lambda c: c.pop('posedirs'), 'lacks posedirs'),
        (
            lambda c: c.update(weights=np.zeros((30, 55))),
            r'weights has shape \(30, 55\), expected \(30, 24\).*SMPL-X',
        ),
        (
            lambda c: c.update(J_regressor=np.zeros((24, 29))),
            r'J_regressor has shape \(24, 29\), expected \(24, 30\)',
        ),
        (lambda c: c.update(shapedirs=np.zeros((30, 3, 9))), 'shapedirs has 9 components'),
        (lambda c: c.update(v_template=np.float64(3)), r'v_template has shape \(\)'),
        (lambda c: c.update(posedirs=np.full((30, 3, 207), np.nan)), 'posedirs.*finite'),
        (
            lambda c: c.update(f=np.array([[0, 1, 30]])),
            r'f refers to vertices 0\.\.30, there are 30',
        ),
        (lambda c: c['kintree_table'].__setitem__((0, 3), 9), 'kintree_table'),
        (
            lambda c: c.update(v_template=np.array([['a', 'b', 'c']] * 30)),
            'v_template.*finite numbers',
        ),
    ],
)
@pytest.mark.parametrize('suffix', ['npz', 'pkl'])
def test_every_key_is_checked(tmp_path, change, complaint, suffix):
    file = write(tmp_path / f'bad.{suffix}', _broken(change))
    with pytest.raises(InputError, match=rf'bad\.{suffix}: .*{complaint}'):
        load_body_file(file)


def test_object_arrays_in_an_npz_are_not_unpickled(tmp_path):
    marker = tmp_path / 'executed'
    evil = np.empty((), dtype=object)
    evil[()] = _Call(os.system, f'touch {marker}')
    with pytest.raises(InputError, match='J_regressor is not a plain array.*dense numeric'):
        load_body_file(write(tmp_path / 'a.npz', official() | {'J_regressor': evil}))
    # Keys that a body does not need are not even opened: official files carry such arrays.
    assert load_body_file(write(tmp_path / 'b.npz', official() | {'part2num': evil})).name == 'b'
    assert not marker.exists()


def test_files_that_are_no_body(tmp_path):
    (tmp_path / 'empty.pkl').touch()
    (tmp_path / 'text.npz').write_text('hello')
    (tmp_path / 'login.pkl').write_text('\n<!DOCTYPE html><html>')
    (tmp_path / 'list.pkl').write_bytes(pickle.dumps([1, 2]))
    np.savez(tmp_path / 'other.npz', verts=np.zeros(3))
    np.savez(tmp_path / 'future.npz', format='hrtk-body-9')
    complete = write(tmp_path / 'whole.npz', official()).read_bytes()
    (tmp_path / 'cut.npz').write_bytes(complete[: len(complete) // 2])
    (tmp_path / 'bit.npz').write_bytes(
        complete[:2000] + bytes([complete[2000] ^ 255]) + complete[2001:]
    )
    raw, _ = open_format()
    write(tmp_path / 'part.npz', {k: v for k, v in raw.items() if k != 'mirror'})
    write(tmp_path / 'unfit.npz', raw | {'weight_index': raw['weight_index'][:-1]})
    write(tmp_path / 'short.npz', raw | {'vertex_ids': raw['vertex_ids'][:-1]})
    write(tmp_path / 'scalar.npz', raw | {'vertex_ids': np.int64(3)})
    write(tmp_path / 'nested.npz', raw | {'vertex_ids': raw['vertex_ids'][:, None]})
    write(tmp_path / 'words.npz', raw | {'faces': raw['faces'].astype(str)})
    for name, complaint in {
        'missing.pkl': 'no such file.*smpl.is.tue.mpg.de.*needs no file',
        '.': 'folder',
        'empty.pkl': 'empty',
        'text.npz': 'neither an .npz nor a .pkl',
        'login.pkl': 'web page',
        'list.pkl': 'contains a list',
        'other.npz': 'lacks v_template',
        'future.npz': 'hrtk-body-9',
        'cut.npz': 'cannot be read as an npz at the list of arrays',
        'bit.npz': 'cannot be read as an npz at ',
        'part.npz': "without 'mirror'",
        'unfit.npz': 'do not match',
        'short.npz': 'do not match',
        'scalar.npz': 'vertex_ids .* 0 axes, expected integers and 1 axes',
        'nested.npz': 'vertex_ids .* 2 axes, expected integers and 1 axes',
        'words.npz': 'faces .*dtype <U.* expected integers and 2 axes',
    }.items():
        with pytest.raises(InputError, match=complaint) as caught:
            load_body_file(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.skipif(not files.OPEN_BODY.exists(), reason='the bundled body is not built')
def test_the_bundled_body():
    data = load_body_file()
    vertices = len(data.v_template)
    assert data.name == 'open' and vertices != 6890
    assert data.J_regressor_extra.shape == (9, vertices) and data.J_regressor_h36m.shape == (
        17,
        vertices,
    )
    assert {'nose', 'left_heel', 'right_big_toe'} <= set(data.vertex_ids)
    np.testing.assert_allclose(data.weights.sum(1), 1, atol=1e-6)
    assert io.BytesIO(data.path.read_bytes()).read(2) == b'PK'
