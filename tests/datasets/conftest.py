"""Files in the layouts of the official data, drawn once, and footage. Tests write elsewhere."""

import cv2
import numpy as np
import pytest
from official_parts import F
from video_parts import COUNT, numbered

from hrtk.testing import write_official_files


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(tmp_path_factory.mktemp('cache')))
        return write_official_files(tmp_path_factory.mktemp('official') / 'data', frames=F, size=96)


@pytest.fixture(scope='session')
def bodies(data):
    return dict(
        male=data / 'body_models/smpl/SMPL_MALE.pkl',
        female=data / 'body_models/smpl/SMPL_FEMALE.pkl',
        extra_regressor=data / 'spin/J_regressor_extra.npy',
    )


@pytest.fixture(scope='session')
def numbered_clip(tmp_path_factory):
    """A video of 40 frames that carry their numbers."""
    path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (160, 120))
    for t in range(COUNT):
        writer.write(numbered(t))
    writer.release()
    return path


@pytest.fixture
def four_pictures(tmp_path):
    """Four pictures of 60x40 px, each of one grey level; their natural order is f1, f2, f9, f10."""
    for i in (1, 2, 9, 10):
        (tmp_path / 'images').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / 'images' / f'f{i}.png'), np.full((40, 60, 3), 10 * i, np.uint8))
    return tmp_path / 'images'
