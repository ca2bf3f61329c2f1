"""Every data set of hrtk keeps the contracts, and for every contract one that breaks it is caught."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from hrtk.apis.asset_list import ASSETS
from hrtk.apis.assets import known_assets, require_assets
from hrtk.datasets import SequenceDataset
from hrtk.datasets.base import Asset
from hrtk.errors import InputError
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth
from hrtk.testing import DATASET_CONTRACTS, BrokenContract, check_dataset, coloured_sequence

STREAM = dict(type='OpenStream', sequences=2, frames=3, size=48)


@pytest.fixture
def footage(tmp_path):
    """Three images and a keypoint file of two people."""
    (tmp_path / 'images').mkdir()
    points = np.random.default_rng(0).uniform(5, 45, (2, 17, 2)).round(2)
    entries = []
    for t in range(3):
        image = np.full((60, 80, 3), 50 * t, np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{t}.png'), image)
        entries.append(
            dict(image=f'{t}.png', keypoints=points.tolist(), scores=np.full((2, 17), 0.8).tolist())
        )
    (tmp_path / 'keypoints.json').write_text(json.dumps(entries))
    return dict(images=str(tmp_path / 'images'), keypoints=str(tmp_path / 'keypoints.json'))


def test_open_stream(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    check_dataset(STREAM)
    check_dataset(dict(STREAM, shifts=['motion'], noise='clean', skeleton='spin49'))


def test_transformed(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    transforms = [dict(type='Greyscale'), dict(type='CropTo', resolution=32)]
    check_dataset(dict(type='Transformed', dataset=STREAM, transforms=transforms))


@pytest.mark.parametrize('options', [{}, dict(fps=10), dict(people='annotated')])
def test_footage(footage, options):
    check_dataset(dict(type='VideoDataset', **footage, **options))


def test_annotated_footage(footage):
    check_dataset(dict(type='CocoKeypointsDataset', **footage))


@pytest.mark.parametrize('keypoints', ['gt', 'poses2d'])
def test_3dpw(data, bodies, keypoints):
    check_dataset(
        dict(type='ThreeDPW', root=str(data / '3dpw'), keypoints=keypoints, bodies=bodies)
    )


@pytest.mark.parametrize(
    'file, images, keypoints',
    [
        ('spin/3dpw_test.npz', '3dpw', 'none'),
        ('boa/3dpw_vid/*.npz', '3dpw', 'gt'),
        ('spin/h36m_valid_protocol2.npz', 'h36m', 'none'),
        ('spin/mpi_inf_3dhp_test.npz', 'mpi_inf_3dhp', 'annotated'),
    ],
)
def test_spin_files(data, file, images, keypoints):
    check_dataset(
        dict(
            type='SPINFile',
            file=str(data / file),
            image_root=str(data / images),
            keypoints=keypoints,
        )
    )


def test_vibe_database(data):
    check_dataset(
        dict(
            type='VIBEDatabase',
            file=str(data / 'vibe/3dpw_test_db.pt'),
            image_root=str(data / '3dpw'),
        )
    )


def test_none_is_forgotten():
    names = set()
    for name in DATASETS.names():
        cls = DATASETS.get(name)
        if isinstance(cls, type) and issubclass(cls, SequenceDataset):
            if cls.__module__.startswith('hrtk.'):
                names.add(name)
    assert names == {
        'CocoKeypointsDataset',
        'OpenStream',
        'Pose2SimProject',
        'SPINFile',
        'ThreeDPW',
        'Transformed',
        'VIBEDatabase',
        'VideoDataset',
        'SURREAL',  # test_surreal.py
    }


@DATASETS.register_module(force=True)
class Colours(SequenceDataset):
    """Two sequences of noise; ``rule`` names the contract that the data set breaks."""

    built = 0

    def __init__(self, rule='', options=None):
        Colours.built += 1
        self.rule = rule
        self.number = Colours.built if rule == 'rebuilt' else 0
        self.accesses = 0
        if rule == 'config':
            options['used'] = True

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index >= 2 and self.rule != 'items':
            raise IndexError(index)
        self.accesses += 1
        name = 'same' if self.rule == 'names' else f'colour {index}'
        sequence = coloured_sequence(name, 3, 40, seed=index)
        return dataclasses.replace(sequence, **self.changes(sequence))

    def changes(self, sequence):
        """The fields that break the rule."""
        keypoints = sequence.keypoints2d
        points = dataclasses.replace(keypoints, confidence=keypoints.confidence + 1)
        mirrored = GroundTruth(rotmat=-sequence.truth.rotmat)
        changed = torch.full_like(sequence.boxes, 20.0 + self.accesses)
        return {
            'lengths': dict(frame_ids=('0', '1')),
            'boxes': dict(boxes=sequence.boxes * torch.tensor([1.0, 1.0, 0.0])),
            'keypoints': dict(keypoints2d=points),
            'frames': dict(frames=sequence.frames.astype(np.float32)),
            'masks': dict(masks=sequence.masks * 255),
            'truth': dict(truth=mirrored),
            'fps': dict(fps=0.0),
            'repeated': dict(boxes=changed),
            'rebuilt': dict(boxes=torch.full_like(sequence.boxes, 20.0 + self.number)),
        }.get(self.rule, {})

    def fingerprint(self):
        return {'accesses': self.accesses} if self.rule == 'fingerprint' else {'file': 'abc'}

    @property
    def metainfo(self):
        return None if self.rule == 'metainfo' else dict(author='test')


def test_a_good_data_set_passes_as_config_and_as_object():
    check_dataset(dict(type='Colours', options={}))
    check_dataset(Colours())


@pytest.mark.parametrize('rule', [name for name in DATASET_CONTRACTS if name != 'base_class'])
def test_every_contract_catches_its_breach(rule):
    config = dict(type='Colours', rule=rule, options={})
    with pytest.raises(BrokenContract, match=f'Colours breaks the contract {rule!r}'):
        check_dataset(config)
    # These two depend on the number of accesses, in which a second data set differs.
    also = ['rebuilt'] if rule in ('repeated', 'fingerprint') else []
    check_dataset(config, skip=[rule, *also])


def test_a_data_set_without_the_base_class():
    class Plain(list):
        pass

    with pytest.raises(BrokenContract, match='does not derive from hrtk.datasets.SequenceDataset'):
        check_dataset(Plain())


def test_unknown_contract():
    with pytest.raises(InputError, match="no contract 'colour'"):
        check_dataset(Colours(), skip=['colour'])


@pytest.mark.parametrize(
    'change, complaint',
    [
        (lambda s: dict(boxes=s.boxes.double()), 'torch.float64, expected'),
        (lambda s: dict(boxes=s.boxes * torch.nan), 'box of frame 0 is'),
        (
            lambda s: dict(keypoints2d=dataclasses.replace(s.keypoints2d, skeleton='coco17')),
            r'keypoints2d.xy is \(3, 24, 2\) torch.float32, expected \(3, 17, 2\)',
        ),
        (
            lambda s: dict(keypoints2d=dataclasses.replace(s.keypoints2d, skeleton='coco18')),
            "no skeleton 'coco18'",
        ),
        (lambda s: dict(keypoints2d=dataclasses.replace(s.keypoints2d, source='')), 'source'),
        (
            lambda s: dict(
                keypoints2d=dataclasses.replace(s.keypoints2d, xy=s.keypoints2d.xy * torch.nan)
            ),
            'position that is not finite',
        ),
        (lambda s: dict(truth=GroundTruth(betas=torch.zeros(3, 9))), r'truth.betas is \(3, 9\)'),
        (lambda s: dict(truth=GroundTruth(joints3d=torch.zeros(3, 9, 3))), 'without a skeleton'),
        (lambda s: dict(truth=GroundTruth(gender='m')), "gender is 'm'"),
        (lambda s: dict(masks=s.masks[:, 1:]), r'mask 0 is \(39, 40\)'),
        (lambda s: dict(masks=s.masks[:2]), 'masks has 2 entries for 3 frames'),
        (lambda s: dict(frames=s.frames[..., :1]), r'frame 0 is \(40, 40, 1\) uint8'),
        (lambda s: dict(name=s.name + 'x' * 300), 'too long for a file name'),
    ],
)
def test_complaints(change, complaint):
    class Changed(Colours):
        def changes(self, sequence):
            return change(sequence)

    with pytest.raises(BrokenContract, match=complaint):
        check_dataset(Changed())


def test_assets_of_a_plugin_are_known(tmp_path, monkeypatch):
    asset = Asset('colours/all.bin', 'Colours', 'https://example.org', 'all', lambda path: 'fine')
    before = known_assets()
    assert asset not in before and before[: len(ASSETS)] == list(ASSETS)
    assert 'real4' in [declared.path for declared in before[len(ASSETS) :]]
    monkeypatch.setattr(Colours, 'assets', (asset,))
    assert asset in known_assets() and len(known_assets()) == len(before) + 1
    monkeypatch.chdir(tmp_path)
    config = dict(dataset=dict(type='Colours', options=dict(root='data/colours')))
    with pytest.raises(InputError, match=r'data/colours/all\.bin\n +all: https://example.org'):
        require_assets(config)
