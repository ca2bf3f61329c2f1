"""BlazePose as a detector of 2D keypoints."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hrtk.datasets.open_stream import OpenStream
from hrtk.detectors import BlazePose, build_detector
from hrtk.errors import InputError


@pytest.fixture(scope='module')
def image():
    """A drawn person in an image."""
    sequence = OpenStream(domain='studio', sequences=1, frames=1, size=256, seed=0)[0]
    return np.asarray(sequence.frames[0]), sequence.keypoints2d.xy[0].numpy()


def test_by_name():
    detector = build_detector('blazepose', 'cpu')
    assert isinstance(detector, BlazePose)
    assert (detector.skeleton, detector.source) == ('coco17', 'blazepose')
    assert build_detector('BlazePose:blazepose33', 'cpu').skeleton == 'blazepose33'
    other = build_detector(dict(type='BlazePose', tiles=2), 'cpu')
    assert detector.fingerprint()['weights'] == other.fingerprint()['weights']
    assert detector.fingerprint() != other.fingerprint()
    with pytest.raises(InputError, match="no skeleton 'coco19'. Did you mean 'coco17'"):
        build_detector('blazepose:coco19', 'cpu')


def test_a_drawn_person(image):
    picture, truth = image
    empty = np.zeros((50, 80, 3), np.uint8)
    nobody, people = BlazePose()([empty, picture])
    assert nobody.shape == (0, 17, 3) and nobody.dtype == np.float32
    assert people.shape == (1, 17, 3) and people.dtype == np.float32
    assert 0 <= people[..., 2].min() and people[..., 2].max() <= 1
    height = np.ptp(truth[:, 1])
    assert np.median(np.linalg.norm(people[0, :, :2] - truth, axis=1)) < 0.05 * height
    everything = BlazePose('blazepose33')([picture])[0]
    assert everything.shape == (1, 33, 3)
    np.testing.assert_allclose(everything[0, 0], people[0, 0], atol=1e-4)
    assert BlazePose('blazepose33')([empty])[0].shape == (0, 33, 3)


def test_small_images(image):
    picture, _ = image
    tiny = cv2.resize(picture, (1, 1))
    assert BlazePose(tiles=2)([tiny])[0].shape == (0, 17, 3)
