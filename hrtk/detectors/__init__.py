"""Detectors of 2D keypoints."""

from hrtk.detectors.base import Detector
from hrtk.detectors.blazepose import BlazePose
from hrtk.detectors.building import SingleImageDetector, batched, build_detector
from hrtk.detectors.rtmlib import MODES, RTMLib

__all__ = [
    'MODES',
    'BlazePose',
    'Detector',
    'RTMLib',
    'SingleImageDetector',
    'batched',
    'build_detector',
]
