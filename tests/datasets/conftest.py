"""Files in the layouts of the official data, drawn once. Tests write elsewhere."""

import pytest
from official_parts import F

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
