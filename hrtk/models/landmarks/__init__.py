"""From the landmarks of BlazePose to bodies."""

from hrtk.models.landmarks.lifter import LandmarkLifter
from hrtk.models.landmarks.observations import (
    CHANNELS,
    LANDMARKS,
    STEP,
    WINDOW,
    fill_gaps,
    frames_near,
    observe,
    observed_keypoints,
)

__all__ = [
    'CHANNELS',
    'LANDMARKS',
    'STEP',
    'WINDOW',
    'LandmarkLifter',
    'fill_gaps',
    'frames_near',
    'observe',
    'observed_keypoints',
]
