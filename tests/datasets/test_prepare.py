"""Making npz files of official data, and joblib's files, against joblib itself and SPIN's order of joints."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from official_parts import F, rewritten

from hrtk.datasets.official import prepare
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.errors import InputError
from hrtk.testing import dump_joblib

CONTENT = {
    'names': np.array(['a_0'] * 5),
    'features': np.random.default_rng(0).random((5, 7), np.float32),
    'fortran': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    'objects': np.array(['x', None], object),
    'text': 'x',
    'empty': np.zeros((0, 3)),
    'scalar': np.float32(2),
}


def test_joblib_round_trip(tmp_path):
    dump_joblib(CONTENT, tmp_path / 'x.pt')
    read = load_joblib(tmp_path / 'x.pt')
    for key, value in CONTENT.items():
        np.testing.assert_array_equal(read[key], value)


@pytest.mark.parametrize('compress', [0, 3, ('gzip', 3), ('bz2', 3), ('xz', 3), ('lzma', 3)])
def test_what_joblib_itself_writes_and_reads(tmp_path, compress):
    joblib = pytest.importorskip('joblib', reason="joblib writes VIBE's files")
    for protocol in (2, 3, 4, 5):
        joblib.dump(CONTENT, tmp_path / 'x.pt', compress=compress, protocol=protocol)
        read = load_joblib(tmp_path / 'x.pt')
        for key, value in CONTENT.items():
            np.testing.assert_array_equal(read[key], value)
    dump_joblib(CONTENT, tmp_path / 'y.pt')
    back = joblib.load(tmp_path / 'y.pt')
    np.testing.assert_array_equal(back['features'], CONTENT['features'])


def test_prepared_3dpw_is_boas(data, bodies, tmp_path):
    assert prepare.prepare_3dpw(data / '3dpw', tmp_path / 'out/x.npz', bodies) == 3 * F - 1
    made, wanted = read_spin_npz(tmp_path / 'out/x.npz'), {}
    for file in sorted((data / 'boa/3dpw_vid').glob('*.npz')):
        for key, value in read_spin_npz(file).items():
            wanted.setdefault(key, []).append(value)
    assert set(made) == set(wanted) - {'part'}
    for key, value in made.items():
        value_there = np.concatenate(wanted[key])
        if value.dtype.kind == 'U':
            assert value.tolist() == value_there.tolist()
        else:
            np.testing.assert_allclose(
                value, value_there, atol=2e-2 if key in ('center', 'smpl_j2d') else 1e-4
            )


def test_prepared_vibe(data, tmp_path):
    assert prepare.prepare_vibe(data / 'vibe/3dpw_test_db.pt', tmp_path / 'x.npz') == 3 * F
    made, table = np.load(tmp_path / 'x.npz'), load_joblib(data / 'vibe/3dpw_test_db.pt')
    assert set(made.files) == set(table)
    for key, value in table.items():
        np.testing.assert_array_equal(made[key], value)


def test_prepared_h36m(data, tmp_path):
    train = np.load(data / 'spin/h36m_train.npz')
    pick = [7, 2, 0]
    np.savez(
        tmp_path / 'bodies.npz', **{key: train[key][pick] for key in ('imgname', 'pose', 'shape')}
    )
    bare = rewritten(data / 'spin/h36m_train.npz', tmp_path / 'bare.npz', pose=None, shape=None)
    assert prepare.prepare_h36m(bare, tmp_path / 'bodies.npz', tmp_path / 'x.npz') == 3
    made = read_spin_npz(tmp_path / 'x.npz')
    assert np.flatnonzero(made['has_smpl']).tolist() == [0, 2, 7]
    for row in pick:
        np.testing.assert_array_equal(made['pose'][row], train['pose'][row])
        np.testing.assert_array_equal(made['shape'][row], train['shape'][row])
    np.savez(
        tmp_path / 'others.npz',
        imgname=np.array(['x']),
        pose=np.zeros((1, 72)),
        shape=np.zeros((1, 10)),
    )
    with pytest.raises(InputError, match='no imgname is one of'):
        prepare.prepare_h36m(bare, tmp_path / 'others.npz', tmp_path / 'x.npz')


# The order of SPIN's script: where its 24 joints take the 17 points of the annotation from, and its places for them.
SPIN_POINTS = [14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]
SPIN_PLACES = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]


def test_prepared_3dhp(tmp_path, monkeypatch):
    rng, annotations = np.random.default_rng(0), {}
    for subject in range(1, 7):
        folder = tmp_path / f'mpi_inf_3dhp_test_set/TS{subject}'
        (folder / 'imageSequence').mkdir(parents=True)
        points = rng.uniform(5, 90, (3, 1, 17, 2))
        points[2, 0, 4] = 120, 30  # beyond the right edge
        annotations[folder / 'annot_data.mat'] = dict(
            valid_frame=np.array([1, 0, 1]) if subject == 1 else np.array([0, subject == 2, 0]),
            annot2=points,
            univ_annot3=rng.normal(0, 900, (3, 1, 17, 3)),
        )
        for frame in range(3):
            cv2.imwrite(
                str(folder / f'imageSequence/img_{frame + 1:06d}.jpg'),
                np.zeros((100, 110, 3), np.uint8),
            )
    monkeypatch.setattr(prepare, '_read_mat', annotations.__getitem__)
    assert prepare.prepare_3dhp(tmp_path, tmp_path / 'x.npz') == 2
    made = read_spin_npz(tmp_path / 'x.npz')
    for row, (subject, frame) in enumerate([(1, 0), (2, 1)]):
        annotation = annotations[tmp_path / f'mpi_inf_3dhp_test_set/TS{subject}/annot_data.mat']
        joints = annotation['annot2'][frame, 0, SPIN_POINTS]
        S = annotation['univ_annot3'][frame, 0, SPIN_POINTS] / 1000
        np.testing.assert_allclose(made['part'][row][SPIN_PLACES], np.c_[joints, np.ones(17)])
        np.testing.assert_allclose(
            made['S'][row][SPIN_PLACES], np.c_[S - S[0], np.ones(17)], atol=1e-12
        )
        low, high = joints.min(0), joints.max(0)
        np.testing.assert_allclose(made['center'][row], (low + high) / 2)
        assert made['scale'][row] == pytest.approx(1.2 * (high - low).max() / 200)
        assert (
            made['imgname'][row]
            == f'mpi_inf_3dhp_test_set/TS{subject}/imageSequence/img_{frame + 1:06d}.jpg'
        )


def test_annotations_of_3dhp(tmp_path):
    h5py = pytest.importorskip('h5py', reason='h5py reads MATLAB 7.3 files')
    content = dict(
        valid_frame=np.array([[1.0, 0, 1]]),
        annot2=np.arange(102.0).reshape(3, 1, 17, 2),
        univ_annot3=np.arange(153.0).reshape(3, 1, 17, 3),
    )
    for name, left_out in (('whole', None), ('cut', 'annot2')):
        with h5py.File(tmp_path / name, 'w') as file:
            for key in set(content) - {left_out}:
                file[key] = content[key]
    read = prepare._read_mat(tmp_path / 'whole')
    assert read['valid_frame'].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(read['annot2'], content['annot2'])
    with pytest.raises(InputError, match='not an annotation of 3DHP'):
        prepare._read_mat(tmp_path / 'cut')
    with pytest.raises(InputError, match='no such file'):
        prepare._read_mat(tmp_path / 'none')
