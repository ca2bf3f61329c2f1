"""A drawn clip of two people, and a detector that stands for real ones."""

from pathlib import Path

import cv2
import numpy as np

from hrtk.detectors import Detector
from hrtk.evaluation import get_protocol

ROOT = Path(__file__).parents[2]
OPEN = get_protocol('open')
BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (30, 80)
FRAMES = 7


def picture(t):
    """Grey, with a bright square that moves by 4 px per frame, where the stub of a detector finds a person."""
    image = np.full((120, 160, 3), 90, np.uint8)
    image[10:20, 20 + 4 * t : 30 + 4 * t] = 250
    return image


def points(x):
    return np.column_stack([BODY + (x, 20), np.full(17, 0.9)]).astype(np.float32)


class Stub(Detector):
    """Finds one person at the bright square and counts the images."""

    source = 'stub'
    skeleton = 'coco17'

    def __init__(self, stop_at=None):
        self.asked = 0
        self.stop_at = stop_at

    def __call__(self, images):
        if self.asked == self.stop_at:
            raise KeyboardInterrupt
        (image,) = images
        self.asked += 1
        columns = np.flatnonzero(image[12:18].mean((0, 2)) > 170)
        return [points(columns.min())[None]]


def film(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1].astype(int))
    return frames
