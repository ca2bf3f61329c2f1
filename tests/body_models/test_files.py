"""Body files: what chumpy and scipy really write is read to equal arrays, and nothing foreign is ever run."""

from __future__ import annotations

import hashlib
import io
import os
import pickle

import numpy as np
import pytest
import scipy.sparse
from body_file_parts import DATA, PARENTS, Call, arange, official, open_format, write

from hrtk.body_models import files
from hrtk.body_models.files import load_body_file
from hrtk.errors import InputError

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
    for value in (np.nan, np.inf, 1e39):  # the last one is infinite in float32
        np.save(tmp_path / 'huge.npy', np.full((17, 30), value))
        with pytest.raises(InputError, match=r'huge\.npy: must have finite floats of 32 bits'):
            load_body_file(body, h36m_regressor=tmp_path / 'huge.npy')
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
        (lambda c: c.update(posedirs=np.full((30, 3, 207), 1e39)), 'posedirs.*finite'),
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
    evil[()] = Call(os.system, f'touch {marker}')
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
