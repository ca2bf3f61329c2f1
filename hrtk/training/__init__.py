"""Training of start models, teachers, temporal networks, lifters, segmenters and pose priors."""

from hrtk.training.kept_checkpoints import KeptCheckpoints
from hrtk.training.landmarks import LandmarkTraining
from hrtk.training.lifting import CompletionTraining, LiftingTraining, MaskedPoseTraining
from hrtk.training.metrics import ClipError, ViewError
from hrtk.training.part_optimizers import PartOptimizers
from hrtk.training.plain_checkpoints import PlainCheckpoints
from hrtk.training.pose_prior import PosePriorQuality, PosePriorTraining
from hrtk.training.runner import TrainRunner
from hrtk.training.segmentation import SegmentationTraining
from hrtk.training.supervised import SupervisedTraining
from hrtk.training.temporal import TemporalTraining
from hrtk.training.video import VideoTraining

__all__ = [
    'ClipError',
    'CompletionTraining',
    'KeptCheckpoints',
    'LandmarkTraining',
    'LiftingTraining',
    'MaskedPoseTraining',
    'PartOptimizers',
    'PlainCheckpoints',
    'PosePriorQuality',
    'PosePriorTraining',
    'SegmentationTraining',
    'SupervisedTraining',
    'TemporalTraining',
    'TrainRunner',
    'VideoTraining',
    'ViewError',
]
