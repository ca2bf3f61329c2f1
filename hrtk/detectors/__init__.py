"""Detectors of 2D keypoints."""

from hrtk.detectors.base import ClipSession, Detector
from hrtk.detectors.blazepose import BlazePose
from hrtk.detectors.building import SingleImageDetector, batched, build_detector
from hrtk.detectors.findings import Findings, FoundLandmarks
from hrtk.detectors.rtmlib import MODES, RTMLib
from hrtk.detectors.running import checked, detect_batch, find_people

__all__ = [
    'MODES',
    'BlazePose',
    'ClipSession',
    'Detector',
    'Findings',
    'FoundLandmarks',
    'RTMLib',
    'SingleImageDetector',
    'batched',
    'build_detector',
    'checked',
    'detect_batch',
    'find_people',
]
