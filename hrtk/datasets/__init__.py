"""Data sets: an item of an adaptation set is one whole :class:`~hrtk.structures.Sequence`."""

from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.feature_windows import FeatureClips, FeatureWindows
from hrtk.datasets.landmarks import BundledLandmarks, LandmarkTracks, LandmarkViews
from hrtk.datasets.lifting import (
    AMASSLifting,
    H36MLifting,
    MocapLifting,
    MotionWindows,
    MPIINF3DHPLifting,
)
from hrtk.datasets.mixed import MixedDataset
from hrtk.datasets.official import (
    SURREAL,
    SPINFile,
    SPINViews,
    SURREALViews,
    ThreeDPW,
    VIBEDatabase,
)
from hrtk.datasets.open_stream import (
    ForegroundViews,
    OpenForeground,
    OpenPoses,
    OpenStream,
    OpenTracks,
    OpenViews,
)
from hrtk.datasets.own import CocoKeypointsDataset, Pose2SimProject, VideoDataset

__all__ = [
    'AMASSLifting',
    'BundledLandmarks',
    'CocoKeypointsDataset',
    'FeatureClips',
    'FeatureWindows',
    'ForegroundViews',
    'H36MLifting',
    'LandmarkTracks',
    'LandmarkViews',
    'MPIINF3DHPLifting',
    'MixedDataset',
    'MocapLifting',
    'MotionWindows',
    'OpenForeground',
    'OpenPoses',
    'OpenStream',
    'OpenTracks',
    'OpenViews',
    'Pose2SimProject',
    'SPINFile',
    'SPINViews',
    'SURREAL',
    'SURREALViews',
    'SequenceDataset',
    'ThreeDPW',
    'VIBEDatabase',
    'VideoDataset',
]
