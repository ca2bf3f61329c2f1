"""Official data on files of exactly its layouts, against what the raw files say by plain algebra."""

from __future__ import annotations

import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch
from official_parts import F, rewritten
from scipy.spatial.transform import Rotation

from hrtk.apis import load_config
from hrtk.body_models import BodyModel
from hrtk.body_models.safe_pickle import load_pickle
from hrtk.datasets import SPINFile, SPINViews, ThreeDPW, VIBEDatabase
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image
from hrtk.registry import DATASETS
from hrtk.testing import dump_joblib


@pytest.fixture(scope='module')
def raw(data, bodies):
    return ThreeDPW(data / '3dpw', 'test', keypoints='gt', bodies=bodies)


def by_name(dataset):
    return {dataset[i].name: dataset[i] for i in range(len(dataset))}


# 3DPW, raw


def test_raw_3dpw(raw, data, bodies):
    sequences = by_name(raw)
    assert list(sequences) == ['free_clip_00_0', 'free_clip_00_1', 'free_clip_01_0']
    for name, sequence in sequences.items():
        clip, person = name.rsplit('_', 1)
        file = pickle.loads(
            (data / f'3dpw/sequenceFiles/test/{clip}.pkl').read_bytes(), encoding='latin1'
        )
        person, truth = int(person), sequence.truth
        gender = {'m': 'male', 'f': 'female'}[file['genders'][person]]
        assert truth.gender == gender
        world = (
            Rotation.from_rotvec(file['poses'][person].reshape(-1, 3))
            .as_matrix()
            .reshape(F, 24, 3, 3)
        )
        body = BodyModel(bodies[gender], bodies['extra_regressor'])
        betas = torch.tensor(file['betas'][person][:10]).float().expand(F, 10)
        points = body.joints(torch.tensor(world).float(), betas, 'spin49').double().numpy()
        points = points + file['trans'][person][:, None]
        for t in range(F):
            rotation, shift = file['cam_poses'][t, :3, :3], file['cam_poses'][t, :3, 3]
            np.testing.assert_allclose(truth.rotmat[t, 0], rotation @ world[t, 0], atol=1e-5)
            np.testing.assert_allclose(truth.rotmat[t, 1:], world[t, 1:], atol=1e-5)
            seen = (points[t] @ rotation.T + shift) @ file['cam_intrinsics'].T
            if not file['campose_valid'][person][t]:
                assert not truth.valid[t] and (sequence.keypoints2d.confidence[t] == 0).all()
                continue
            assert truth.valid[t] and (sequence.keypoints2d.confidence[t] == 1).all()
            pixels = seen[:, :2] / seen[:, 2:]
            np.testing.assert_allclose(sequence.keypoints2d.xy[t], pixels, atol=2e-2)
            low, high = pixels.min(0), pixels.max(0)
            np.testing.assert_allclose(
                sequence.boxes[t], [*(low + high) / 2, 1.2 * (high - low).max()], atol=5e-2
            )
        # The translation carries the body's own frame to the camera's.
        own = body.joints(truth.rotmat, truth.betas, 'spin49') + truth.translation[:, None]
        there = np.einsum('ij,fnj->fni', rotation, points) + shift
        np.testing.assert_allclose(own, there, atol=1e-4)
        assert sequence.keypoints2d.source == 'gt' and sequence.keypoints2d.skeleton == 'spin49'
        picture = cv2.imread(str(data / f'3dpw/imageFiles/{clip}/image_00002.jpg'))[..., ::-1]
        np.testing.assert_array_equal(sequence.frames[2], picture)


def test_frame_without_an_aligned_camera_has_the_box_beside_it(raw):
    sequence = by_name(raw)['free_clip_00_1']
    assert sequence.truth.valid.tolist() == [False, True, True, True]
    assert torch.equal(sequence.boxes[0], sequence.boxes[1])


def test_poses2d_need_no_body(data):
    dataset = ThreeDPW(data / '3dpw', keypoints='poses2d')
    file = pickle.loads(
        (data / '3dpw/sequenceFiles/test/free_clip_01.pkl').read_bytes(), encoding='latin1'
    )
    sequence = by_name(dataset)['free_clip_01_0']
    np.testing.assert_allclose(
        sequence.keypoints2d.xy, file['poses2d'][0][:, :2].transpose(0, 2, 1), rtol=1e-6
    )
    np.testing.assert_allclose(sequence.keypoints2d.confidence, 0.9, rtol=1e-6)
    assert sequence.keypoints2d.skeleton == 'openpose18' and sequence.truth.translation is None


def test_order_of_sequences(data):
    dataset = ThreeDPW(
        data / '3dpw', keypoints='poses2d', sequences=['free_clip_01', 'free_clip_00']
    )
    assert list(by_name(dataset)) == ['free_clip_01_0', 'free_clip_00_0', 'free_clip_00_1']


def test_3dpw_refusals(data, bodies, tmp_path):
    with pytest.raises(InputError, match='needs bodies'):
        ThreeDPW(data / '3dpw', keypoints='gt')
    with pytest.raises(
        InputError, match=r'SMPL_MALE.pkl and .*none.pkl: no such body file.*smpl.is.tue.mpg.de'
    ):
        ThreeDPW(
            data / '3dpw',
            keypoints='gt',
            bodies=dict(male=tmp_path / 'SMPL_MALE.pkl', female=tmp_path / 'none.pkl'),
        )
    with pytest.raises(InputError, match='sequenceFiles.*virtualhumans'):
        ThreeDPW(tmp_path, keypoints='poses2d')
    with pytest.raises(InputError, match='keypoints one of'):
        ThreeDPW(data / '3dpw', keypoints='openpose')
    file = load_pickle(data / '3dpw/sequenceFiles/test/free_clip_00.pkl')
    folder = tmp_path / 'sequenceFiles/test'
    folder.mkdir(parents=True)

    def tried(content):
        (folder / 'x.pkl').write_bytes(pickle.dumps(content, 2))
        return ThreeDPW(tmp_path, keypoints='poses2d')

    with pytest.raises(InputError, match='lacks cam_poses'):
        tried({key: value for key, value in file.items() if key != 'cam_poses'})
    with pytest.raises(InputError, match=r'poses\[1\] has shape \(3, 72\)'):
        tried({**file, 'poses': [file['poses'][0], file['poses'][1][:3]]})
    with pytest.raises(InputError, match='the same 2 people'):
        tried({**file, 'genders': ['m']})
    with pytest.raises(InputError, match=r'trans\[0\] holds .* expected finite'):
        tried({**file, 'trans': [file['trans'][0] * np.nan, file['trans'][1]]})
    with pytest.raises(InputError, match='this pickle contains the name .*print'):
        tried({**file, 'sequence': print})
    with pytest.raises(InputError, match='image_00000.jpg: the first image'):
        tried(file)


# SPIN, BOA and DynaBOA


@pytest.mark.parametrize(
    'file, keypoints',
    [
        ('spin/3dpw_test.npz', 'none'),
        ('boa/3dpw_vid/*.npz', 'gt'),
        ('dynaboa/3dpw_*.npz', 'gt'),
        ('dynaboa/3dpw_*.npz', 'openpose'),
    ],
)
def test_npz_say_what_the_raw_files_say(raw, data, file, keypoints):
    dataset = SPINFile(data / file, data / '3dpw', keypoints)
    found, wanted = by_name(dataset), by_name(raw)
    assert list(found) == list(wanted)
    for name, sequence in found.items():
        valid, same = wanted[name].truth.valid, wanted[name]
        np.testing.assert_allclose(sequence.truth.rotmat, same.truth.rotmat[valid], atol=1e-5)
        np.testing.assert_allclose(sequence.truth.betas, same.truth.betas[valid], atol=1e-6)
        assert sequence.truth.gender == same.truth.gender
        boxes = same.boxes[valid].clone()
        if file.startswith('dynaboa'):
            boxes[:, 2] /= 1.2  # its script does not enlarge the boxes
        np.testing.assert_allclose(sequence.boxes, boxes, atol=2e-2)
        assert sequence.frame_ids == tuple(np.array(same.frame_ids)[valid.numpy()])
        evidence = sequence.keypoints2d
        assert evidence.source == keypoints
        if keypoints == 'gt':
            assert evidence.skeleton == 'spin49'
            np.testing.assert_allclose(evidence.xy, same.keypoints2d.xy[valid], atol=2e-2)
        elif keypoints == 'openpose':  # the other 24 of the 49 slots are empty in these files
            assert evidence.skeleton == 'openpose25' and (evidence.confidence == 1).all()
        else:
            assert (evidence.confidence == 0).all()


def test_files_of_a_pattern_are_in_numeric_order(data, tmp_path):
    """DynaBOA sorts its 3dpw_<index>_<person>.npz by 10 * index + person."""
    for number in (0, 1, 2, 9, 10, 23):
        for person in (0, 1):
            shutil.copy(data / 'dynaboa/3dpw_1_0.npz', tmp_path / f'3dpw_{number}_{person}.npz')
    dataset = SPINFile(tmp_path / '3dpw_*.npz', data / '3dpw', 'gt')
    found = [tuple(map(int, path.stem.split('_')[1:])) for path in dataset.files]
    assert found == [(n, person) for n in (0, 1, 2, 9, 10, 23) for person in (0, 1)]


def test_boas_order_of_the_test_set(data, tmp_path):
    """The order of the scripts of BOA and DynaBOA, whose weights go on from sequence to sequence."""
    folder = tmp_path / 'sequenceFiles/test'
    folder.mkdir(parents=True)
    content = load_pickle(data / '3dpw/sequenceFiles/test/free_clip_01.pkl')
    order = (
        'downtown_runForBus_00 downtown_rampAndStairs_00 flat_packBags_00 downtown_runForBus_01 office_phoneCall_00 '
        'downtown_windowShopping_00 downtown_walkUphill_00 downtown_sitOnStairs_00 downtown_enterShop_00 '
        'downtown_walking_00 downtown_stairs_00 downtown_crossStreets_00 downtown_car_00 downtown_downstairs_00 '
        'downtown_bar_00 downtown_walkBridge_01 downtown_weeklyMarket_00 downtown_warmWelcome_00 '
        'downtown_arguing_00 downtown_upstairs_00 downtown_bus_00 flat_guitar_01 downtown_cafe_00 '
        'outdoors_fencing_01'
    ).split()
    for name in [*order, 'another_00']:
        (folder / f'{name}.pkl').write_bytes(pickle.dumps({**content, 'sequence': name}))
        images = tmp_path / f'imageFiles/{name}'
        images.mkdir(parents=True)
        (images / 'image_00000.jpg').touch()
    assert len(set(order)) == 24

    def names(**options):
        dataset = ThreeDPW(tmp_path, keypoints='poses2d', **options)
        return [track.clip for track in dataset.tracks]

    assert names(order='boa') == [*order, 'another_00']
    assert names() == sorted([*order, 'another_00'])
    assert names(order='boa', sequences=order[:1:-1]) == order[:1:-1]
    with pytest.raises(InputError, match="order is one of 'name', 'boa'"):
        names(order='size')


def test_dynaboas_config_crops_as_its_script_and_goes_in_its_order():
    for name, scale in (('boa/r50_3dpw_ps', 1.2), ('dynaboa/r50_3dpw_ps', 1.0)):
        dataset = load_config(name).dataset
        assert dataset.order == 'boa' and dataset.get('box_scale', 1.2) == scale


def test_tracks_split_where_only_the_person_changes(data, tmp_path):
    with np.load(data / 'spin/3dpw_test.npz') as file:
        rows = [0, 1, 4, 5]  # two people of one clip, the frame numbers rise throughout
        arrays = {key: file[key][rows] for key in file.files}
    arrays['imgname'] = np.array([f'imageFiles/free_clip_00/image_{t:05d}.jpg' for t in range(4)])
    np.savez(tmp_path / 'x.npz', **arrays)
    dataset = SPINFile(tmp_path / 'x.npz', data / '3dpw', 'none')
    assert [len(dataset[i]) for i in range(len(dataset))] == [2, 2]
    assert [dataset[i].truth.gender for i in range(2)] == ['male', 'female']


@pytest.mark.parametrize(
    'protocol, clips',
    [
        (1, ['S9_Directions_1.54138969', 'S9_Directions_1.60457274', 'S11_Walking.60457274']),
        (2, ['S9_Directions_1.60457274', 'S11_Walking.60457274']),
    ],
)
def test_human36m(data, protocol, clips):
    file = data / f'spin/h36m_valid_protocol{protocol}.npz'
    dataset = SPINFile(file, data / 'h36m', 'none', fps=10)
    assert list(by_name(dataset)) == [f'{clip}_0' for clip in clips]
    truth = dataset[0].truth
    np.testing.assert_allclose(truth.joints3d, np.load(file)['S'][:F, :, :3], rtol=1e-6)
    assert truth.rotmat is None and truth.valid.all() and truth.skeleton == 'spin24_mocap'


def test_3dhp(data, tmp_path):
    file = data / 'spin/mpi_inf_3dhp_test.npz'
    dataset = SPINFile(file, data / 'mpi_inf_3dhp', 'gt')
    assert list(by_name(dataset)) == ['TS1_0', 'TS2_0']
    np.testing.assert_allclose(
        dataset[1].keypoints2d.xy, np.load(file)['part'][F:, :, :2], rtol=1e-6
    )
    S = np.load(file)['S']
    S[1, 18, 3] = S[2, 13, 3] = 0  # a joint that is scored, and one that is not
    S[3, 5, 3] = 0
    changed = SPINFile(rewritten(file, tmp_path / 'x.npz', S=S), data / 'mpi_inf_3dhp', 'gt')
    assert changed[0].truth.valid.tolist() == [True, False, True, False]


def test_spin_refusals(data, tmp_path):
    file, root = data / 'spin/3dpw_test.npz', data / '3dpw'
    with pytest.raises(InputError, match="keypoints is one of 'gt'.*not 'GT'"):
        SPINFile(file, root, 'GT')
    with pytest.raises(InputError, match='needs smpl_j2d or j2d or part, the file has imgname'):
        SPINFile(file, root, 'gt')
    with pytest.raises(InputError, match='first image of .*free_clip_00_0'):
        SPINFile(file, tmp_path, 'none')
    with pytest.raises(InputError, match='no such file; tools/prepare_dataset.py'):
        SPINFile(tmp_path / 'none.npz', root, 'none')
    with pytest.raises(InputError, match='no file matches'):
        SPINFile(tmp_path / '*.npz', root, 'none')
    with pytest.raises(InputError, match='lacks center'):
        SPINFile(rewritten(file, tmp_path / 'x.npz', center=None), root, 'none')
    with pytest.raises(InputError, match=r'pose has shape \(11, 69\)'):
        SPINFile(rewritten(file, tmp_path / 'x.npz', pose=np.zeros((11, 69))), root, 'none')
    with pytest.raises(InputError, match='scale holds numbers that are not finite'):
        SPINFile(rewritten(file, tmp_path / 'x.npz', scale=np.full(11, np.nan)), root, 'none')
    with pytest.raises(InputError, match='imgname holds Python objects'):
        SPINFile(
            rewritten(file, tmp_path / 'x.npz', imgname=np.array(['a'] * 11, object)), root, 'none'
        )
    (tmp_path / 'cut.npz').write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match='copy or download it again'):
        read_spin_npz(tmp_path / 'cut.npz')


def test_labelled_views(data):
    body = dict(
        type='BodyModel',
        file=str(data / 'body_models/smpl/SMPL_NEUTRAL.pkl'),
        extra_regressor=str(data / 'spin/J_regressor_extra.npy'),
    )
    views = DATASETS.build(
        dict(
            type='SPINViews',
            file=str(data / 'spin/h36m_train.npz'),
            image_root=str(data / 'h36m'),
            body=body,
            resolution=64,
        )
    )
    table, view = np.load(data / 'spin/h36m_train.npz'), views[5]
    assert isinstance(views, SPINViews) and len(views) == 12
    rotmat = Rotation.from_rotvec(table['pose'][5].reshape(24, 3)).as_matrix()
    np.testing.assert_allclose(view['rotmat'], rotmat, atol=1e-6)
    centre, side = table['center'][5], 200 * table['scale'][5]
    seen = table['part'][5, :, 2] > 0
    wanted = (table['part'][5, :, :2] - centre) / (side / 2)
    np.testing.assert_allclose(view['keypoints2d'][seen], wanted[seen], atol=1e-5)
    assert seen.sum() == 17
    # What was measured, with the confidences of the file.
    np.testing.assert_allclose(view['part'][seen, :2], wanted[seen], atol=1e-5)
    np.testing.assert_array_equal(view['part'][:, 2], seen)
    assert (view['part'][~seen] == 0).all()
    np.testing.assert_array_equal(view['S'], table['S'][5])
    assert (view['S'][:, 3] > 0).sum() == 17
    # Fitted by numpy: u = s x + s tx, v = s y + s ty.
    joints = views.body.joints(view['rotmat'][None], view['betas'][None], 'spin24')[0].numpy()
    rows = np.concatenate(
        [
            np.stack([joints[seen, 0], np.ones(17), np.zeros(17)], 1),
            np.stack([joints[seen, 1], np.zeros(17), np.ones(17)], 1),
        ]
    )
    s, a, b = np.linalg.lstsq(rows, wanted[seen].T.reshape(-1), rcond=None)[0]
    np.testing.assert_allclose(view['camera'], [s, a / s, b / s], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        view['keypoints2d'][~seen], (s * joints[:, :2] + [a, b])[~seen], atol=1e-3
    )
    picture = cv2.imread(str(data / 'h36m' / table['imgname'][5]))[..., ::-1].copy()
    crop = crop_image(picture, torch.tensor([*centre, side]), 64)
    assert (view['image'].float() - crop).abs().max() <= 0.5
    # The 17 points come from a body that is 4 % taller, through a perspective camera.
    hidden = table['part'][5, ~seen, :2]  # zeros in the file
    assert (hidden == 0).all() and (view['keypoints2d'].abs() < 1.5).all()
    with pytest.raises(InputError, match='labelled views need part, pose, shape'):
        SPINViews(data / 'spin/h36m_valid_protocol1.npz', data / 'h36m', body)


# VIBE


def test_vibe_database(raw, data, tmp_path):
    dataset = VIBEDatabase(data / 'vibe/3dpw_test_db.pt', data / '3dpw')
    found, wanted = by_name(dataset), by_name(raw)
    assert list(found) == list(wanted)
    table = load_joblib(data / 'vibe/3dpw_test_db.pt')
    for name, sequence in found.items():
        truth, rows = sequence.truth, table['vid_name'] == name
        np.testing.assert_allclose(truth.rotmat, wanted[name].truth.rotmat, atol=1e-5)
        np.testing.assert_array_equal(truth.joints3d, table['joints3D'][rows])
        np.testing.assert_allclose(sequence.boxes[:, 2], 1.2 * table['bbox'][rows, 2], rtol=1e-6)
        assert (
            truth.skeleton == 'lsp14' and truth.valid.tolist() == wanted[name].truth.valid.tolist()
        )
        assert (
            sequence.keypoints2d.skeleton == 'common14'
            and sequence.frame_ids == wanted[name].frame_ids
        )
        np.testing.assert_array_equal(sequence.frames[1], wanted[name].frames[1])
    np.savez(tmp_path / 'db.npz', **table)
    same = VIBEDatabase(tmp_path / 'db.npz', data / '3dpw', box_scale=1.3)
    np.testing.assert_allclose(same[1].boxes[:, 2], dataset[1].boxes[:, 2] * 1.3 / 1.2, rtol=1e-6)
    assert torch.equal(same[1].truth.joints3d, dataset[1].truth.joints3d)


def test_vibe_refusals(data, tmp_path):
    table = load_joblib(data / 'vibe/3dpw_test_db.pt')

    def tried(**changes):
        dump_joblib(
            {key: value for key, value in {**table, **changes}.items() if value is not None},
            tmp_path / 'x.pt',
        )
        return VIBEDatabase(tmp_path / 'x.pt', data / '3dpw')

    assert len(tried()) == 3
    with pytest.raises(InputError, match='lacks bbox'):
        tried(bbox=None)
    with pytest.raises(InputError, match=r'joints2D has shape \(12, 13, 3\)'):
        tried(joints2D=np.zeros((12, 13, 3)))
    with pytest.raises(InputError, match='not consecutive'):
        tried(vid_name=np.array(['a', 'b'] * 6))
    with pytest.raises(InputError, match='no ending of'):
        VIBEDatabase(data / 'vibe/3dpw_test_db.pt', tmp_path)
    with pytest.raises(InputError, match='no such file'):
        VIBEDatabase(tmp_path / 'none.pt', data / '3dpw')
    whole = (data / 'vibe/3dpw_test_db.pt').read_bytes()
    for length in (10, 700, len(whole) - 100):
        (tmp_path / 'cut.pt').write_bytes(whole[:length])
        with pytest.raises(InputError, match='truncated or damaged'):
            VIBEDatabase(tmp_path / 'cut.pt', data / '3dpw')


class Payload:
    def __reduce__(self):
        return print, ('run',)


def test_joblib_payload_is_not_run(tmp_path, capsys):
    for name, content in (('a', {'x': Payload()}), ('b', {'x': np.arange(3), 'y': [Payload()]})):
        dump_joblib(content, tmp_path / name)
        with pytest.raises(InputError, match='this pickle contains the name .*print'):
            load_joblib(tmp_path / name)
    assert capsys.readouterr().out == ''
