"""The temporal teacher: which frames it looks at, in which batches, and what it computes once."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hrtk.errors import InputError
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.models.estimators import HMR
from hrtk.registry import TEACHERS
from hrtk.structures import Keypoints2D, Prediction, Sequence
from hrtk.teachers import Teacher, TemporalTeacher, window_indices
from hrtk.teachers import temporal as temporal_module
from hrtk.teachers.features import FeatureCache

sys.path.insert(0, str(Path(__file__).parents[1] / 'models'))

from temporal_golden import GOLDEN, NETWORKS, TOLERANCE, golden_features, official_network  # noqa: E402

SMALL = dict(features=32, attention=4, regressor=dict(type='IterativeRegressor', hidden=8))


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """No features of other tests."""
    monkeypatch.setattr(temporal_module, 'FEATURE_CACHE', FeatureCache())


class Extractor(HMR):
    """A small image network that counts the crops it sees."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        super().__init__(
            dict(type='ResNet', depth=18, width=4),
            dict(type='IterativeRegressor', hidden=8),
            16,
            None,
        )
        self.seen = 0
        self.eval()

    def forward(self, images):
        self.seen += len(images)
        return super().forward(images)


class Given(torch.nn.Module):
    """An "image network" whose features are given, one row per frame of a :func:`clip`."""

    resolution, device = 4, torch.device('cpu')

    def __init__(self, features):
        super().__init__()
        self.features = features

    def crops(self, sequence, indices):
        return torch.tensor(list(indices))

    def forward(self, frames):
        return Prediction(*[torch.zeros(len(frames))] * 3, features=self.features[frames])

    def fingerprint(self):
        return {'weights': str(float(self.features.sum()))}


def clip(frames, name='clip', seed=0):
    pictures = np.random.default_rng(seed).integers(0, 256, (frames, 20, 20, 3), dtype=np.uint8)
    boxes = torch.tensor([[9.5, 9.5, 16.0]]).repeat(frames, 1)
    points = Keypoints2D(torch.zeros(frames, 24, 2), torch.ones(frames, 24), 'spin24', 'gt')
    return Sequence(name, pictures, boxes, points)


def small_teacher(kind='TCMR', **options):
    torch.manual_seed(1)
    network = dict(
        type=kind, **SMALL, **({'hidden': 6} if kind == 'TCMR' else {'map_pairing': 'released'})
    )
    teacher = TemporalTeacher(network, **options)
    if kind == 'MPSNet':
        torch.nn.init.normal_(teacher.network.moca.conv_mask.weight)
    return teacher


@pytest.mark.parametrize('length', [1, 2, 8, 15, 16, 17, 40])
def test_windows(length):
    for border in ('repeat', 'clamp'):
        expected = []
        for i in range(length):
            frames = list(range(i - 8, i + 8))
            if border == 'clamp':
                frames = [min(max(t, 0), length - 1) for t in frames]
            elif i < 8 or i >= length - 7:
                frames = 16 * [i]
            expected.append(frames)
        assert window_indices(length, border).tolist() == expected


def test_a_temporal_teacher_is_a_teacher():
    assert isinstance(small_teacher(), Teacher)


def test_wrong_border():
    with pytest.raises(InputError, match="not 'mirror'"):
        small_teacher(border='mirror')


@pytest.mark.parametrize('name, batch', [('mpsnet', 8), ('mpsnet', 1), ('tcmr', 8)])
def test_released_sliding_windows(name, batch):
    """Forty frames through the published networks, as their evaluation code runs them."""
    teacher = TemporalTeacher(dict(type=NETWORKS[name], features=4), batch_size=batch)
    teacher.network = official_network(name)
    label = teacher.label(clip(40), Given(golden_features(f'{name}_seq', 1, 40)[0]))
    theta = torch.from_numpy(GOLDEN[f'{name}_sequence_{batch}'])
    rotmat = axis_angle_to_rotmat(theta[:, 3:75].view(-1, 24, 3))
    for found, expected in (
        (label.camera, theta[:, :3]),
        (label.rotmat, rotmat),
        (label.betas, theta[:, 75:]),
    ):
        assert (found - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize('kind', ['TCMR', 'MPSNet'])
@pytest.mark.parametrize(
    'length, border', [(5, 'repeat'), (5, 'clamp'), (21, 'repeat'), (21, 'clamp')]
)
def test_labels_are_those_of_an_explicit_loop(kind, length, border):
    teacher, extractor, sequence = (
        small_teacher(kind, border=border, batch_size=4),
        Extractor(),
        clip(length),
    )
    label = teacher.label(sequence, extractor)
    with torch.no_grad():
        features = [extractor(extractor.crops(sequence, [t])).features[0] for t in range(length)]
        windows = [
            torch.stack([features[t] for t in row])
            for row in window_indices(length, border).tolist()
        ]
        expected = [teacher.network(torch.stack(windows[t : t + 4])) for t in range(0, length, 4)]
    torch.testing.assert_close(
        label.rotmat, torch.cat([p.rotmat for p in expected]), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        label.betas, torch.cat([p.betas for p in expected]), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        label.camera, torch.cat([p.camera for p in expected]), rtol=0, atol=1e-5
    )
    assert label.features is None and not label.rotmat.requires_grad


def test_batches_matter_to_the_released_pairing_alone():
    sequence, extractor = clip(24), Extractor()
    spread = []
    for kind in ('MPSNet', 'TCMR'):
        one, eight = (
            small_teacher(kind, batch_size=size).label(sequence, extractor).rotmat
            for size in (1, 8)
        )
        spread.append(float((one - eight).abs().max()))
    assert spread[0] > 1e-5 and spread[1] < 1e-6


def test_features_are_computed_once():
    extractor, sequence = Extractor(), clip(20)
    first, second = small_teacher(), small_teacher('MPSNet')
    label = first.label(sequence, extractor)
    second.label(clip(20), extractor)
    assert extractor.seen == 20
    torch.testing.assert_close(first.label(sequence, extractor).rotmat, label.rotmat)
    assert extractor.seen == 20
    first.label(clip(20, 'other'), extractor)
    assert extractor.seen == 40


@pytest.mark.parametrize('change', ['weights', 'boxes', 'pictures'])
def test_nothing_is_taken_from_memory_after_a_change(change):
    teacher, extractor, sequence = small_teacher(), Extractor(), clip(20)
    before = teacher.label(sequence, extractor)
    if change == 'weights':
        with torch.no_grad():
            extractor.backbone.conv1.weight.mul_(2)
    elif change == 'boxes':
        sequence = dataclasses.replace(sequence, boxes=sequence.boxes * 0.8)
    else:
        sequence = clip(20, seed=1)
    assert (
        not torch.equal(teacher.label(sequence, extractor).rotmat, before.rotmat)
        and extractor.seen == 40
    )


def test_memory_is_bounded(monkeypatch):
    size = 20 * 32 * 4  # bytes of one clip's features
    monkeypatch.setattr(temporal_module, 'FEATURE_CACHE', FeatureCache(limit=2 * size))
    teacher, extractor = small_teacher(), Extractor()
    for name, seen in (
        ('a', 20),
        ('b', 40),
        ('a', 40),
        ('c', 60),
        ('a', 60),
        ('b', 80),
    ):  # c drives out b, not a
        teacher.label(clip(20, name), extractor)
        assert extractor.seen == seen


def test_extractor_is_left_as_it_was_and_seen_in_evaluation_mode():
    extractor, sequence = Extractor(), clip(17)
    calm = small_teacher().label(sequence, extractor)
    extractor.train()
    temporal_module.FEATURE_CACHE = FeatureCache()
    busy = small_teacher().label(sequence, extractor)
    assert extractor.training and torch.equal(calm.rotmat, busy.rotmat)


def test_an_estimator_of_its_own(tmp_path):
    own = Extractor(seed=5)
    torch.save(own.state_dict(), tmp_path / 'own.pt')
    config = dict(
        type='HMR',
        backbone=dict(type='ResNet', depth=18, width=4),
        resolution=16,
        body=None,
        head=dict(type='IterativeRegressor', hidden=8),
        weights=str(tmp_path / 'own.pt'),
    )
    teacher, student, sequence = small_teacher(features=config), Extractor(), clip(20)
    assert torch.equal(
        teacher.label(sequence, student).rotmat, small_teacher().label(sequence, own).rotmat
    )
    assert student.seen == 0
    assert set(teacher.fingerprint()) == {'teacher', 'teacher_features'}


def test_fingerprint_follows_the_weights():
    teacher = small_teacher()
    before = teacher.fingerprint()
    assert before == small_teacher().fingerprint()
    with torch.no_grad():
        teacher.network.regressor.deccam.bias[0] += 1e-6
    assert teacher.fingerprint() != before


def test_bad_configs():
    with pytest.raises(InputError, match="Did you mean 'MPSNet'"):
        TEACHERS.build(dict(type='TemporalTeacher', network=dict(type='MPSNett')))
    with pytest.raises(InputError, match='features, not'):
        TemporalTeacher(dict(type='TCMR', features=8, hidden=4)).label(clip(3), Extractor())
