"""Data sets: an item of an adaptation set is one whole :class:`~hrtk.structures.Sequence`."""

from hrtk.datasets.coco_keypoints import CocoKeypointsDataset
from hrtk.datasets.feature_windows import FeatureWindows
from hrtk.datasets.lifting import AMASSLifting, H36MLifting, MocapLifting, MPIINF3DHPLifting
from hrtk.datasets.open_poses import OpenPoses
from hrtk.datasets.open_stream import OpenStream, OpenViews
from hrtk.datasets.open_tracks import OpenTracks
from hrtk.datasets.spin_npz import SPINFile
from hrtk.datasets.spin_views import SPINViews
from hrtk.datasets.threedpw import ThreeDPW
from hrtk.datasets.vibe_db import VIBEDatabase

__all__ = ['AMASSLifting', 'CocoKeypointsDataset', 'FeatureWindows', 'H36MLifting', 'MPIINF3DHPLifting',
           'MocapLifting', 'OpenPoses', 'OpenStream', 'OpenTracks', 'OpenViews', 'SPINFile', 'SPINViews',
           'ThreeDPW', 'VIBEDatabase']
