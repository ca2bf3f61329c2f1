"""The versions that a run depends on."""

from __future__ import annotations

import platform

import cv2
import mmengine
import numpy as np
import torch

from hrtk.models.estimators import Estimator
from hrtk.version import __version__


def versions() -> dict[str, str]:
    """Versions of everything that can change a digit, and the device, for logs and ``run.json``.

    With a GPU also whether it rounds products and convolutions to TF32, 10 bits of mantissa.
    """
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu'
    found = {
        'hrtk': __version__,
        'torch': torch.__version__,
        'mmengine': mmengine.__version__,
        'numpy': np.__version__,
        'opencv': cv2.__version__,
        'python': platform.python_version(),
        'device': device,
    }
    if torch.cuda.is_available():
        found['tf32'] = _rounded_to_tf32()
    return found


def computing(estimator: torch.nn.Module) -> dict[str, str | int]:
    """How a run computes, for ``run.json``: the ``precision`` of convolutions and the ``threads`` of torch.

    A change of the precision gives other results, which lie in another folder; a change of the threads may change
    digits by rounding.
    """
    precision = getattr(estimator, 'precision', Estimator.precision)  # a plugin's may be any module
    return {'precision': precision, 'threads': torch.get_num_threads()}


def _rounded_to_tf32() -> str:
    kinds = []
    if torch.backends.cuda.matmul.allow_tf32:
        kinds.append('products')
    if torch.backends.cudnn.allow_tf32:
        kinds.append('convolutions')
    return ' and '.join(kinds) or 'nothing'
