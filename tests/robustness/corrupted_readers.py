"""The readers of hrtk with a valid file for each: ``READERS[name] = (write(folder) -> path, read(path))``."""

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch

from hrtk.apis import load_config
from hrtk.apis.asset_checks import check_array
from hrtk.apis.look.stored import latest_folder, stored_body, stored_config
from hrtk.apis.tables.table import load_table
from hrtk.body_models.files import load_body_file
from hrtk.datasets.frames import VideoFrames, read_image
from hrtk.datasets.lifting.object_npz import read_object
from hrtk.datasets.mask_sources.files import read_mask
from hrtk.datasets.motion import ASSET
from hrtk.datasets.motion_files import read_motion
from hrtk.datasets.official.joblib_file import load_joblib
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.pose2sim_files import read_trc
from hrtk.engine.store import read_state
from hrtk.evaluation.stored_joints import read_joints
from hrtk.models.checkpoints import read_checkpoint
from hrtk.models.heads import IterativeRegressor
from hrtk.models.priors.gmm import read_gmm
from hrtk.results import Result
from hrtk.structures import Prediction
from hrtk.testing.joblib_writer import dump_joblib

ROOT = Path(__file__).parents[2]
ADAPT = ROOT / 'configs/source/r18_wild.py'


def _saved(name, **arrays):
    def write(folder):
        np.savez(folder / name, **arrays)
        return folder / name

    return write


def _text(name, content):
    def write(folder):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text)
        return folder / name

    return write


def _result(folder):
    prediction = Prediction(torch.eye(3).repeat(2, 24, 1, 1), torch.zeros(2, 10), torch.ones(2, 3))
    Result(
        name='clip',
        before=prediction,
        after=prediction,
        boxes=np.ones((2, 3), np.float32),
        keypoints2d=np.ones((2, 17, 3), np.float32),
        keypoints_source='detected',
        skeleton='coco17',
        frame_ids=('a', 'b'),
        image_size=(64, 48),
        fps=25.0,
        ms_per_frame=1.0,
        before_ms_per_frame=1.0,
        report={'steps': 3},
    ).save(folder / 'clip.npz')
    return folder / 'clip.npz'


def _mixture(folder):
    content = {
        'means': np.zeros((2, 69)),
        'covars': np.stack([np.eye(69)] * 2),
        'weights': np.array([0.5, 0.5]),
    }
    (folder / 'gmm_08.pkl').write_bytes(pickle.dumps(content, 2))
    return folder / 'gmm_08.pkl'


def _tensors(name):
    def write(folder):
        content = {
            'state_dict': {'a.weight': torch.ones(64, 8), 'b': torch.zeros(3)},
            'meta': {'iter': 3},
        }
        torch.save(content, folder / name)
        return folder / name

    return write


def _picture(name, channels=3):
    def write(folder):
        image = np.random.default_rng(0).integers(0, 255, (48, 64, channels), np.uint8)
        cv2.imwrite(str(folder / name), image if channels == 3 else (image > 127) * np.uint8(255))
        return folder / name

    return write


def _video(folder):
    writer = cv2.VideoWriter(
        str(folder / 'clip.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 25, (64, 48)
    )
    for shade in range(6):
        writer.write(np.full((48, 64, 3), 40 * shade, np.uint8))
    writer.release()
    return folder / 'clip.mp4'


def _read_video(path):
    frames = VideoFrames(path)
    ids = [str(index) for index in frames.indices]
    return [frames[index] for index in range(min(len(ids), 8))]


def _run_record(folder):
    config = load_config(ADAPT).to_dict()
    content = {'config': config, 'seed': 0, 'versions': {}, 'fingerprints': {'estimator': {}}}
    (folder / 'run.json').write_text(json.dumps(content, default=str))
    return folder / 'run.json'


def _read_run(path):
    latest_folder(path.parent)
    stored_config(path)
    return stored_body(path.parent)


def _joblib(folder):
    dump_joblib({'img_name': np.array(['a', 'b']), 'pose': np.zeros((2, 72))}, folder / 'vibe.pt')
    return folder / 'vibe.pt'


def _motion(folder):
    return Path(shutil.copy(ASSET, folder / 'motion.npz'))


def _trc(folder):
    lines = [
        'PathFileType\t4\t(X/Y/Z)\tclip.trc',
        'DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits',
        '30\t30\t2\t1\tm',
        'Frame#\tTime\tHip\t\t',
        '\t\tX1\tY1\tZ1',
        '1\t0\t0.1\t0.2\t0.3',
        '2\t0.03\t0.1\t0.2\t0.3',
    ]
    (folder / 'clip.trc').write_text('\n'.join(lines) + '\n')
    return folder / 'clip.trc'


COCO = {
    'images': [{'id': 1, 'file_name': 'a.png', 'width': 64, 'height': 48}],
    'annotations': [{'image_id': 1, 'keypoints': [10.0, 12.0, 2] * 17, 'track_id': 4}],
}
RTMLIB = {'frames': [{'frame': 0, 'keypoints': [[[1.0, 2.0]] * 17], 'scores': [[0.5] * 17]}]}
OPENPOSE = {'people': [{'person_id': [-1], 'pose_keypoints_2d': [1.0, 2.0, 0.5] * 25}]}
PARTS = [f'{side}{part}' for side in 'LR' for part in ('Hip', 'Knee', 'Ankle', 'Wrist')]
INSTANCE = {'keypoints': [[1.0, 2.0]] * 17, 'keypoint_scores': [0.5] * 17}
MMPOSE = {'instance_info': [{'frame_id': 1, 'instances': [INSTANCE]}], 'meta_info': {}}
XY = {'x': [1.0] * 17, 'y': [2.0] * 17, 'visible': [0.5] * 17}
ULTRALYTICS = [[{'name': 'person', 'box': {'x1': 0.0, 'x2': 9.0}, 'track_id': 1, 'keypoints': XY}]]
VITPOSE = {
    'keypoints': [{'0': [[1.0, 2.0, 0.5]] * 8}],
    'skeleton': dict(enumerate(PARTS)),
}
MEDIAPIPE = [[{'x': 0.5, 'y': 0.25, 'z': 0.0, 'visibility': 0.9}] * 33]
LABEL = '0 0.5 0.5 0.4 0.6 ' + '0.25 0.5 0.75 ' * 17 + '0.9 3\n'
DEEPLABCUT = '\n'.join(
    [
        'scorer,' + 'me,me,' * 8,
        'bodyparts,' + ''.join(f'{part},{part},' for part in PARTS),
        'coords,' + 'x,y,' * 8,
        '0,' + '3.5,4.5,' * 8,
    ]
)
SLEAP = '\n'.join(
    ['track,frame_idx,' + ','.join(f'{part}.x,{part}.y' for part in PARTS), 'a,0' + ',3.5,4.5' * 8]
)
JOINTS = {'joints': ['hip'], 'frame_ids': ['a'], 'xyz': [[[0.0, 1.0, 2.0]]], 'axes': 'camera'}
TABLE = {
    'title': 't',
    'metrics': ['mpjpe_mm'],
    'rows': [{'label': 'a', 'config': 'a.py', 'options': {'adapter.lr': 0.1}}],
}
DATA_CONFIG = f'_base_: {ADAPT}\ndataset:\n  sequences: 1\n  frames: 2\nadapter: {{type: Source}}\n'

READERS = {
    'result': (_result, Result.load),
    'mean_params': (
        _saved('mean.npz', pose=np.zeros(144), shape=np.zeros(10), cam=np.zeros(3)),
        lambda path: IterativeRegressor(8, hidden=4, mean_params=path),
    ),
    'gmm_npz': (
        _saved('gmm.npz', means=np.zeros((1, 69)), covars=np.eye(69)[None], weights=np.ones(1)),
        read_gmm,
    ),
    'gmm_pkl': (_mixture, read_gmm),
    'body': (
        lambda folder: Path(
            shutil.copy(ROOT / 'hrtk/body_models/assets/open_body.npz', folder / 'body.npz')
        ),
        load_body_file,
    ),
    'object_npz': (
        _saved('poses.npz', positions_3d=np.array({'S1': {'Walk': np.zeros((2, 32, 3))}}, object)),
        lambda path: read_object(path, 'positions_3d', 'get it'),
    ),
    'joblib': (_joblib, load_joblib),
    'motion': (_motion, lambda path: read_motion('train', path)),
    'npy': (
        lambda folder: (np.save(folder / 'a.npy', np.zeros((9, 4))), folder / 'a.npy')[1],
        check_array(9, 4),
    ),
    'checkpoint': (_tensors('weights.pt'), read_checkpoint),
    'state': (_tensors('state.pt'), lambda path: read_state(path, 'It starts again')),
    'coco': (_text('coco.json', COCO), read_keypoints),
    'rtmlib': (_text('rtmlib.json', RTMLIB), read_keypoints),
    'openpose': (_text('a_keypoints.json', OPENPOSE), read_keypoints),
    'keypoints_npz': (
        _saved(
            'kp.npz', keypoints=np.ones((2, 17, 2)), scores=np.ones((2, 17)), frame=np.arange(2)
        ),
        read_keypoints,
    ),
    'mmpose': (_text('mmpose.json', MMPOSE), read_keypoints),
    'ultralytics': (_text('ultralytics.json', ULTRALYTICS), read_keypoints),
    'labels': (_text('clip_1.txt', LABEL), read_keypoints),
    'vitpose': (_text('vitpose.json', VITPOSE), read_keypoints),
    'mediapipe': (_text('mediapipe.json', MEDIAPIPE), read_keypoints),
    'deeplabcut': (_text('dlc.csv', DEEPLABCUT), read_keypoints),
    'sleap': (_text('sleap.csv', SLEAP), read_keypoints),
    'joints': (_text('joints.json', JOINTS), read_joints),
    'run': (_run_record, _read_run),
    'yaml_config': (_text('run.yaml', DATA_CONFIG), load_config),
    'json_config': (_text('run.json', {'_base_': str(ADAPT), 'outputs': None}), load_config),
    'table': (_text('table.yaml', json.dumps(TABLE)), load_table),
    'png': (_picture('a.png'), read_image),
    'jpg': (_picture('a.jpg'), read_image),
    'bmp': (_picture('a.bmp'), read_image),
    'tif': (_picture('a.tif'), read_image),
    'mask': (_picture('mask.png', 1), lambda path: read_mask(path, (48, 64))),
    'video': (_video, _read_video),
    'trc': (_trc, read_trc),
}
