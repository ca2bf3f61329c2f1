"""Training data of the lifter: what BlazePose finds in drawn videos, and its errors on other motion."""

from hrtk.datasets.landmarks.bundled import BundledLandmarks
from hrtk.datasets.landmarks.tracks import LandmarkTracks
from hrtk.datasets.landmarks.views import LandmarkViews

__all__ = ['BundledLandmarks', 'LandmarkTracks', 'LandmarkViews']
