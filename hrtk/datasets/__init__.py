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
    AMASSMotion,
    AMASSPoses,
    MixedClips,
    SPINFile,
    SPINViews,
    SURREALViews,
    ThreeDPW,
    VIBEClips,
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
from hrtk.datasets.sequence_clips import SequenceClips
from hrtk.datasets.stream_options import check_domain
from hrtk.datasets.view_files import reserve_views
from hrtk.registry import DATASETS

DATASETS.checkers.append(check_domain)
DATASETS.finishers.append(reserve_views)

__all__ = [
    'AMASSLifting',
    'AMASSMotion',
    'AMASSPoses',
    'BundledLandmarks',
    'CocoKeypointsDataset',
    'FeatureClips',
    'FeatureWindows',
    'ForegroundViews',
    'H36MLifting',
    'LandmarkTracks',
    'LandmarkViews',
    'MPIINF3DHPLifting',
    'MixedClips',
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
    'SequenceClips',
    'SURREAL',
    'SURREALViews',
    'SequenceDataset',
    'ThreeDPW',
    'VIBEClips',
    'VIBEDatabase',
    'VideoDataset',
]
