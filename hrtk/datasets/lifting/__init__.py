"""Paired 2D and 3D joints over time, data of networks from 2D to 3D."""

from hrtk.datasets.lifting.amass import AMASSLifting
from hrtk.datasets.lifting.h36m import H36MLifting
from hrtk.datasets.lifting.mocap import MocapLifting
from hrtk.datasets.lifting.motion_windows import BodyPoseWindows, MotionWindows
from hrtk.datasets.lifting.mpi_inf_3dhp import MPIINF3DHPLifting
from hrtk.datasets.lifting.windows import PoseTrack, PoseWindows

__all__ = [
    'AMASSLifting',
    'BodyPoseWindows',
    'H36MLifting',
    'MPIINF3DHPLifting',
    'MocapLifting',
    'MotionWindows',
    'PoseTrack',
    'PoseWindows',
]
