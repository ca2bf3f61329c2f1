"""Data sets of the field, in the file layouts of their authors and of released code."""

from hrtk.datasets.official.amass import AMASSMotion, AMASSPoses
from hrtk.datasets.official.spin_npz import SPINFile
from hrtk.datasets.official.spin_views import SPINViews
from hrtk.datasets.official.surreal import SURREAL, SURREALViews
from hrtk.datasets.official.threedpw import ThreeDPW
from hrtk.datasets.official.vibe_clips import MixedClips, VIBEClips
from hrtk.datasets.official.vibe_db import VIBEDatabase

__all__ = [
    'SURREAL',
    'AMASSMotion',
    'AMASSPoses',
    'MixedClips',
    'SPINFile',
    'SPINViews',
    'SURREALViews',
    'ThreeDPW',
    'VIBEClips',
    'VIBEDatabase',
]
