"""Every contract of detectors: one that keeps all of them, and for each contract one that breaks it."""

import numpy as np
import pytest

from hrtk.detectors import Detector, Findings
from hrtk.errors import InputError
from hrtk.registry import DETECTORS
from hrtk.testing import DETECTOR_CONTRACTS, BrokenContract, check_detector


class MeanDetector(Detector):
    """One person, all of whose joints are at the centre of brightness."""

    skeleton = 'coco17'
    source = 'mean'
    batch_size = 2

    def __call__(self, images):
        return [self.person(image)[None] for image in images]

    def person(self, image):
        light = image.mean(-1)
        rows, columns = np.indices(light.shape)
        total = light.sum()
        point = [(columns * light).sum() / total, (rows * light).sum() / total, light.mean() / 255]
        return np.tile(np.float32(point), (17, 1))

    def session(self, fps, state=None):
        return CountingSession(self, state or {'frames': 0})


class CountingSession:
    def __init__(self, detector, state):
        self.detector = detector
        self.frames = state['frames']

    def __call__(self, image):
        self.frames += 1
        (keypoints,) = self.detector([image])
        return Findings(keypoints, (self.frames,))

    def state(self):
        return {'frames': self.frames}


class WritesConfig(MeanDetector):
    def __init__(self, options=None):
        options['seen'] = True


class NoSkeleton(MeanDetector):
    skeleton = 'coco71'


class NoSource(MeanDetector):
    source = ' '


class FourPoints(MeanDetector):
    def person(self, image):
        return super().person(image)[:4]


class Doubles(MeanDetector):
    def person(self, image):
        return super().person(image).astype(np.float64)


class Percent(MeanDetector):
    def person(self, image):
        return super().person(image) * np.float32([1, 1, 100])


class NotFinite(MeanDetector):
    def person(self, image):
        return super().person(image) * np.float32([np.nan, 1, 1])


class Normalised(MeanDetector):
    def person(self, image):
        return super().person(image) / np.float32([image.shape[1], image.shape[0], 1])


class OtherImage(MeanDetector):
    def person(self, image):
        return super().person(image) * np.float32([100, 100, 1])


class Remembers(MeanDetector):
    last = 0

    def person(self, image):
        self.last = self.last / 2 + super().person(image) / 2
        return self.last.astype(np.float32)


class OneAnswer(MeanDetector):
    def __call__(self, images):
        return super().__call__(images)[:1]


class Darkens(MeanDetector):
    def __call__(self, images):
        found = super().__call__(images)
        images[0][:] //= 2
        return found


class NewFingerprint(MeanDetector):
    def fingerprint(self):
        return {'object': str(id(self))}


class ForgetsState(MeanDetector):
    def session(self, fps, state=None):
        return CountingSession(self, {'frames': 0})


BROKEN = [
    (WritesConfig, 'config'),
    (NoSkeleton, 'attributes'),
    (NoSource, 'attributes'),
    (FourPoints, 'shapes'),
    (Doubles, 'shapes'),
    (Percent, 'values'),
    (NotFinite, 'values'),
    (Normalised, 'pixels'),
    (OtherImage, 'pixels'),
    (Remembers, 'independence'),
    (OneAnswer, 'independence'),
    (Darkens, 'images'),
    (NewFingerprint, 'fingerprint'),
    (ForgetsState, 'session'),
]


def config_of(cls):
    if cls is WritesConfig:
        return dict(type=cls, options={})
    return dict(type=cls)


def test_a_good_detector_keeps_all():
    check_detector(config_of(MeanDetector))


@pytest.mark.parametrize('cls, contract', BROKEN, ids=[cls.__name__ for cls, _ in BROKEN])
def test_names_the_broken_contract(cls, contract):
    with pytest.raises(BrokenContract, match=f'breaks the contract {contract!r}') as caught:
        check_detector(config_of(cls))
    assert 'documented in' in str(caught.value)
    others = [name for name in DETECTOR_CONTRACTS if name != contract]
    with pytest.raises(BrokenContract, match=f'breaks the contract {contract!r}'):
        check_detector(config_of(cls), skip=others)


def test_every_contract_can_be_broken():
    assert {contract for _, contract in BROKEN} == set(DETECTOR_CONTRACTS)


def test_of_a_name_and_of_given_images():
    name = 'MeanDetectorOfTheContracts'
    DETECTORS.register_module(name, module=MeanDetector)
    try:
        check_detector(dict(type=name), [np.full((9, 12, 3), 7, np.uint8)] * 2)
    finally:
        DETECTORS.module_dict.pop(name)


def test_unknown_contract():
    with pytest.raises(InputError, match='no contract'):
        check_detector(config_of(MeanDetector), skip=['pixel'])
