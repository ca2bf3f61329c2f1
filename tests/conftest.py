"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # tests run side by side, and small tensors gain nothing from more


@pytest.fixture
def data_root() -> Path:
    """The folder of real photographs, clips and annotations that HRTK_TEST_DATA names."""
    if 'HRTK_TEST_DATA' not in os.environ:
        pytest.skip('HRTK_TEST_DATA names no folder of real photographs and annotations')
    return Path(os.environ['HRTK_TEST_DATA'])
