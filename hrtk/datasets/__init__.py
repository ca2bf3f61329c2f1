"""Data sets: an item of an adaptation set is one whole :class:`~hrtk.structures.Sequence`."""

from hrtk.datasets.coco_keypoints import CocoKeypointsDataset
from hrtk.datasets.feature_windows import FeatureClips, FeatureWindows
from hrtk.datasets.foreground_views import ForegroundViews, OpenForeground
from hrtk.datasets.lifting import AMASSLifting, H36MLifting, MocapLifting, MPIINF3DHPLifting
from hrtk.datasets.motion_windows import MotionWindows
from hrtk.datasets.open_poses import OpenPoses
from hrtk.datasets.open_stream import OpenStream, OpenViews
from hrtk.datasets.open_tracks import OpenTracks
from hrtk.datasets.spin_npz import SPINFile
from hrtk.datasets.spin_views import SPINViews
from hrtk.datasets.threedpw import ThreeDPW
from hrtk.datasets.vibe_db import VIBEDatabase
from hrtk.datasets.video import VideoDataset

__all__ = [
    'AMASSLifting',
    'CocoKeypointsDataset',
    'FeatureClips',
    'FeatureWindows',
    'ForegroundViews',
    'H36MLifting',
    'MPIINF3DHPLifting',
    'MocapLifting',
    'MotionWindows',
    'OpenForeground',
    'OpenPoses',
    'OpenStream',
    'OpenTracks',
    'OpenViews',
    'SPINFile',
    'SPINViews',
    'ThreeDPW',
    'VIBEDatabase',
    'VideoDataset',
]
