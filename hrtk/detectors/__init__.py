"""Detectors: 2D keypoints of everybody in an image."""

from hrtk.detectors.rtmlib import MODES, Detector, RTMLib

__all__ = ['MODES', 'Detector', 'RTMLib']
