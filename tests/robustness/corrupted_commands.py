"""Commands of hrtk with tiny valid inputs for each.

``COMMANDS[name].write(folder)`` writes the inputs; the command runs in that folder.
"""

import dataclasses
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from wrong_options import KEYS, TRAIN_KEYS

import hrtk.apis.look.report
import hrtk.apis.look.view
import hrtk.engine  # noqa: F401  # imported before the forks, as are the commands below
import hrtk.training  # noqa: F401
import hrtk.visualization.report
from hrtk.body_models.skeletons import joint_names
from hrtk.cli.main import main as hrtk_main
from hrtk.datasets import SequenceDataset
from hrtk.registry import DATASETS, ESTIMATORS
from hrtk.structures import GroundTruth
from hrtk.testing import coloured_sequence, write_lifting_files, write_official_files
from hrtk.testing.trial import TINY, seed

ROOT = Path(__file__).parents[2]
LARGE = 1 << 18  # bytes; larger files of the valid inputs are linked, not copied
FRAMES = 3
SIZE = (64, 96)  # height and width of the images, px
DATA = dict(type='VideoDataset', images='clip', keypoints='keypoints.json', fps=25.0)
ESTIMATOR = dict(
    TINY,
    head=dict(type='IterativeRegressor', hidden=16, mean_params='mean.npz'),
    body=dict(type='BodyModel', file='body.npz'),
    weights='weights.pt',
)
ADAPT = dict(
    estimator=ESTIMATOR,
    dataset=DATA,
    adapter=dict(
        type='Bilevel',
        lr=1e-3,
        inner_lr=1e-3,
        interval=1,
        order='first',
        weights=dict(source=0.0),
    ),
    evaluator=dict(type='MeshEvaluator', protocol='open'),
    outputs=None,
)
RUN = ('adapt', 'run.yaml', '--work-dir', 'run')
LIFTER = dict(type='MPMStage2', channels=16, hidden=32, layers=1, frames=9, pretrained=None)
H36M = dict(file='data/h36m/data_3d_h36m.npz', keypoints='data/h36m/data_2d_h36m_gt.npz', frames=9)
TRAIN = dict(
    _base_='mpm/stage2_h36m',
    model=dict(network=LIFTER),
    train_dataloader=dict(dataset=dict(H36M, stride=9), num_workers=0, persistent_workers=False),
    test_dataloader=dict(dataset=dict(H36M, stride=9), num_workers=0, persistent_workers=False),
    train_cfg=dict(max_epochs=1),
)
TABLE = {
    'title': 'small',
    'metrics': ['reprojection_px'],
    'seeds': [0],
    'options': {'dataset.fps': 20.0},
    'rows': [
        {'label': 'a', 'config': 'run.yaml', 'paper': {'reprojection_px': 4.5}},
        {'label': 'b {}', 'config': 'run.yaml', 'vary': {'adapter.lr': [0.1]}, 'baseline': 'a'},
    ],
}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command with its inputs.

    Attributes:
        write: writes the inputs into a folder.
        arguments: of the command, run in that folder.
        files: patterns of the files to corrupt.
        before: commands that complete the inputs.
        codes: exit codes of proper messages.
        accepted: messages of the valid inputs, and those about a file that only a changed config names.
        keys: dotted keys for ``--cfg-options``.
    """

    write: Callable[[Path], None]
    arguments: tuple[str, ...]
    files: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    codes: tuple[int, ...] = (2,)
    accepted: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


# -- inputs ------------------------------------------------------------------------------------------------------------


def write_clip(folder):
    """Images, a video, keypoints of one person, weights, a body and a config."""
    rng = np.random.default_rng(0)
    (folder / 'clip').mkdir()
    video = cv2.VideoWriter(
        str(folder / 'clip.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 25, SIZE[::-1]
    )
    body = rng.uniform(0, 1, (17, 2)) * (30, 50)
    frames = []
    for t in range(FRAMES):
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / 'clip' / f'{t:03d}.png'), image)
        video.write(image)
        frames.append(dict(keypoints=[(body + (20 + t, 5)).tolist()], scores=[[0.9] * 17]))
    video.release()
    (folder / 'keypoints.json').write_text(json.dumps(frames))
    np.savez(
        folder / 'mean.npz',
        pose=np.tile([1.0, 0, 0, 1, 0, 0], 24),
        shape=np.zeros(10),
        cam=np.array([0.9, 0, 0]),
    )
    shutil.copy(ROOT / 'hrtk/body_models/assets/open_body.npz', folder / 'body.npz')
    seed('weights')
    network = ESTIMATORS.build(dict(TINY, head=dict(type='IterativeRegressor', hidden=16)))
    torch.save({'state_dict': network.state_dict()}, folder / 'weights.pt')
    # JSON is YAML, too, and has every kind of corruption.
    (folder / 'run.yaml').write_text(json.dumps(ADAPT))


@DATASETS.register_module(force=True)
class MeasuredTrack(SequenceDataset):
    """A track of noise with measured joints."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if index:
            raise IndexError(index)
        joints = torch.randn(FRAMES, 12, 3, generator=torch.Generator().manual_seed(0))
        sequence = coloured_sequence('track', FRAMES, 40, 0)
        truth = GroundTruth(joints3d=joints + torch.tensor([0.0, 0, 4]), skeleton='body12')
        return dataclasses.replace(sequence, truth=truth)


def write_joints(folder):
    config = dict(
        ADAPT,
        dataset=dict(type='MeasuredTrack'),
        evaluator=dict(type='MeshEvaluator', protocol='real4'),
    )
    (folder / 'run.yaml').write_text(json.dumps(config))
    sequence = MeasuredTrack()[0]
    joints = dict(
        joints=list(joint_names('body12')),
        frame_ids=list(sequence.frame_ids),
        xyz=sequence.truth.joints3d.tolist(),
        axes='camera',
    )
    (folder / 'joints').mkdir()
    (folder / 'joints' / 'track.json').write_text(json.dumps(joints))


def write_table(folder):
    write_clip(folder)
    (folder / 'table.yaml').write_text(json.dumps(TABLE))


def write_training(folder):
    write_lifting_files(folder / 'data', frames=20)
    (folder / 'train.yaml').write_text(json.dumps(TRAIN))


def write_assets(folder):
    write_official_files(folder / 'data', frames=2, size=64)
    write_lifting_files(folder / 'data', frames=6)


def write_official(folder):
    """3DPW in the files of its owners, with SMPL's body, SPIN's regressors and a pose prior."""
    write_official_files(folder / 'data', frames=2, size=64)
    smpl = 'data/body_models/smpl/SMPL_NEUTRAL.pkl'
    body = dict(
        type='BodyModel',
        file=smpl,
        extra_regressor='data/spin/J_regressor_extra.npy',
        h36m_regressor='data/spin/J_regressor_h36m.npy',
    )
    adapter = dict(
        ADAPT['adapter'], pose_prior=dict(type='GMMPosePrior', file='data/spin/gmm_08.pkl')
    )
    config = dict(
        _base_=str(ROOT / 'configs/_base_/datasets/threedpw.py'),
        estimator=dict(TINY, head=dict(type='IterativeRegressor', hidden=16), body=body),
        adapter=adapter,
        outputs=None,
    )
    (folder / 'run.yaml').write_text(json.dumps(config))


STORED = (
    'run/results/*/run.json',
    'run/results/*/*.npz',
    'run/metrics.json',
    'clip/001.png',
    'keypoints.json',
)
FOOTAGE = ('clip/001.png', 'keypoints.json', 'run.yaml', 'weights.pt', 'mean.npz', 'body.npz')
KEYPOINTS = ('--keypoints', 'keypoints.json', '--output', 'out')
INFER = ('infer', 'clip', *KEYPOINTS, '--fps', '25', '--adapt', 'run.yaml')
COMMANDS = {
    'infer': Command(write_clip, (*INFER, '--no-film'), FOOTAGE, keys=KEYS),
    'infer-video': Command(
        write_clip,
        ('infer', 'clip.mp4', *KEYPOINTS, '--no-film', '--export', 'glb'),
        ('clip.mp4', 'keypoints.json'),
    ),
    'infer-film': Command(write_clip, (*INFER, '--export', 'bvh'), ('clip/002.png',)),
    'infer-detect': Command(
        write_clip,
        ('infer', 'clip/000.png', '--output', 'out'),
        ('clip/000.png',),
        accepted=('found nobody',),
    ),
    'infer-again': Command(
        write_clip,
        (*INFER, '--no-film'),
        ('out/results/*/run.json', 'out/results/*/*.npz', 'out/metrics.json'),
        before=((*INFER, '--no-film'),),
    ),
    'adapt': Command(write_clip, RUN, FOOTAGE, keys=KEYS),
    'adapt-official': Command(
        write_official,
        RUN,
        (
            'data/body_models/smpl/*.pkl',
            'data/spin/J_regressor*.npy',
            'data/spin/gmm_08.pkl',
            'data/3dpw/sequenceFiles/test/*.pkl',
            'data/3dpw/imageFiles/*/*0.jpg',
        ),
    ),
    'evaluate': Command(write_clip, ('evaluate', 'run'), STORED, (RUN,)),
    'evaluate-joints': Command(
        write_joints,
        ('evaluate', 'joints', '--config', 'run.yaml'),
        ('joints/*.json', 'run.yaml'),
    ),
    'report': Command(write_clip, ('report', 'run', '--before', 'run'), STORED, (RUN,)),
    'view': Command(write_clip, ('view', 'run'), STORED, (RUN,)),
    'export': Command(
        write_clip,
        ('export', 'run', '--formats', 'glb', 'bvh', 'amass', 'joints', '--smooth', '0'),
        STORED,
        (RUN,),
    ),
    'train': Command(
        write_training,
        ('train', 'train.yaml', '--work-dir', 'work', '--cfg-options', 'train_cfg.max_epochs=2'),
        ('train.yaml', 'work/*.pth', 'work/last_checkpoint', 'data/h36m/data_[23]d_h36m*gt.npz')
        + ('data/h36m/data_3d_h36m.npz',),
        before=(('train', 'train.yaml', '--work-dir', 'work'),),
        accepted=('there is no such file',),
        keys=TRAIN_KEYS,
    ),
    'test': Command(
        write_training,
        ('test', 'train.yaml', '--weights', 'work/epoch_1.pth', '--work-dir', 'out'),
        ('train.yaml', 'work/*.pth', 'data/h36m/data_3d_h36m.npz'),
        before=(('train', 'train.yaml', '--work-dir', 'work'),),
        accepted=('there is no such file',),
        keys=TRAIN_KEYS,
    ),
    'publish-model': Command(
        write_training,
        ('publish-model', 'work', 'published.pt'),
        ('work/*.pth', 'work/last_checkpoint', 'work/*/vis_data/scalars.json'),
        before=(('train', 'train.yaml', '--work-dir', 'work'),),
    ),
    'benchmark': Command(
        write_table,
        ('benchmark', 'table.yaml', '--work-dir', 'tables'),
        ('table.yaml', 'run.yaml', 'keypoints.json', 'weights.pt', 'tables/runs/*/results/*/*.npz'),
        before=(('benchmark', 'table.yaml', '--work-dir', 'tables'),),
        codes=(1, 2),
    ),
    'check-assets': Command(write_assets, ('check-assets', '--root', 'data'), ('data/**/*.*',)),
}
for _command in COMMANDS.values():
    importlib.import_module(f'hrtk.cli.commands.{_command.arguments[0].replace("-", "_")}')


def targets(command, folder):
    """The files of a command that are corrupted."""
    found = []
    for pattern in command.files:
        found.extend(path for path in sorted(folder.glob(pattern)) if path.is_file())
    return found


def copy_inputs(valid, folder):
    """Copies the inputs of a command; large files are linked, so a corruption has to replace them."""

    def copy(source, target):
        if os.path.getsize(source) > LARGE:
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(valid, folder, symlinks=True, copy_function=copy)


# -- running -----------------------------------------------------------------------------------------------------------


class NoViewer:
    """Stands for the viewer, which serves until it is interrupted."""

    url = 'http://nowhere'

    def __init__(self, people, *args, **kwargs):
        for person in people:
            person.frame_image(0)

    def stop(self):
        pass


def interrupted(seconds):
    raise KeyboardInterrupt


def says(arguments, output):
    """The exit code of a command, and what this process has printed; for a child, because it replaces functions.

    Args:
        arguments: the command and its arguments.
        output: the file that stdout and stderr are written to.
    """
    os.environ['COLUMNS'] = '1000'  # no line breaks in names
    for module in (hrtk.apis.look.report, hrtk.visualization.report):
        module.plotly_script = lambda: '/* stands for plotly, which need not be installed */'
    hrtk.apis.look.view.MeshViewer = NoViewer
    importlib.import_module('hrtk.cli.commands.view').time.sleep = interrupted
    sys.argv = ['hrtk', *arguments]
    code = hrtk_main(list(arguments))
    sys.stdout.flush()
    sys.stderr.flush()
    return code, output.read_text(errors='replace')
