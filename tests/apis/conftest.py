"""Footage of the tests of infer, drawn once."""

import json

import cv2
import pytest
from infer_parts import FRAMES, picture, points


@pytest.fixture(scope='session')
def drawn_clip(tmp_path_factory):
    """A video of the pictures of the stub."""
    path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (160, 120))
    for t in range(FRAMES):
        writer.write(picture(t))
    writer.release()
    return path


@pytest.fixture(scope='session')
def two_people(tmp_path_factory):
    """A file of two people in every frame."""
    path = tmp_path_factory.mktemp('keypoints') / 'kp.json'
    entries = [[points(20 + 4 * t), points(100)] for t in range(FRAMES)]
    path.write_text(
        json.dumps(
            [
                dict(
                    keypoints=[p[:, :2].tolist() for p in people],
                    scores=[p[:, 2].tolist() for p in people],
                )
                for people in entries
            ]
        )
    )
    return path
