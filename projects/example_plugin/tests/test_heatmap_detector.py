"""The detector; run with the plugin installed."""

import json

import cv2
import numpy as np
import pytest
import torch

from hrtk.apis.detect import detect
from hrtk.datasets.own.footage import open_footage
from hrtk.detectors import build_detector
from hrtk.errors import InputError
from hrtk.geometry.boxes import IMAGE_MEAN, IMAGE_STD
from hrtk.registry import DETECTORS
from hrtk.testing import check_detector
from hrtk.visualization.video import write_video

SMALL = dict(type='HeatmapDetector', resolution=64, width=8)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
# Of joint k mod 3, px of an image of 128 x 96.
DOTS = np.array([[21.5, 30.5], [61.5, 14.5], [101.5, 70.5]])


@pytest.fixture(scope='module')
def colour_weights(tmp_path_factory):
    """A file of weights by hand: joint k is where the image has colour k mod 3."""
    network = DETECTORS.build(SMALL).network
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        # 6 times a colour minus the other two, the mean of 4 x 4 px; black gives 0.
        for channel in range(3):
            sign = 2 * torch.eye(3)[channel] - 1
            weight = 6 * sign * torch.tensor(IMAGE_STD) / 16
            network[0].weight[channel] = weight[:, None, None]
            network[0].bias[channel] = 6 * (sign * torch.tensor(IMAGE_MEAN)).sum()
        for joint in range(17):
            network[2].weight[joint, joint % 3] = 1.0
        network[2].bias[:] = -3.0
    path = tmp_path_factory.mktemp('weights') / 'colours.pt'
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(scope='module')
def dots():
    """A black image with three coloured squares of 16 px."""
    image = np.zeros((96, 128, 3), np.uint8)
    for colour, (x, y) in zip(COLOURS, DOTS.astype(int)):
        cv2.rectangle(image, (x - 7, y - 7), (x + 8, y + 8), colour.tolist(), -1)
    return image


def test_keeps_hrtks_contracts(colour_weights, dots):
    black = np.zeros((48, 80, 3), np.uint8)
    check_detector({**SMALL, 'weights': colour_weights}, [dots, black, dots[:, ::-1].copy()])


def test_points_are_where_the_colours_are(colour_weights, dots):
    detector = DETECTORS.build({**SMALL, 'weights': colour_weights})
    found, nobody = detector([dots, np.zeros_like(dots)])
    assert found.shape == (1, 17, 3) and nobody.shape == (0, 17, 3)
    wanted = DOTS[np.arange(17) % 3]
    assert np.abs(found[0, :, :2] - wanted).max() <= 8  # a place of a heatmap is 8 px of the image
    assert (found[..., 2] > 0.5).all()


def test_by_name_it_finds_the_dots_of_a_video(colour_weights, dots, tmp_path):
    write_video(tmp_path / 'dots.mp4', [dots] * 2, fps=10)
    name = f'heatmapdetector:weights={colour_weights},resolution=64,width=8'
    footage = open_footage(tmp_path / 'dots.mp4')
    path = detect(footage, build_detector(name, 'cpu'), tmp_path / 'keypoints.json')
    content = json.loads(path.read_text())
    assert content['source'] == 'heatmaps' and len(content['frames']) == 2
    for frame in content['frames']:
        (points,) = np.array(frame['keypoints'])
        assert np.abs(points[:, :2] - DOTS[np.arange(17) % 3]).max() <= 8


def test_weights_of_another_width_are_refused(colour_weights):
    with pytest.raises(InputError, match='another shape'):
        DETECTORS.build({**SMALL, 'width': 16, 'weights': colour_weights})
