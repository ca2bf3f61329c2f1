"""Training of start models, teachers, temporal networks, lifters, segmenters and pose priors."""

from hrtk.training.distilled import DistilledTraining
from hrtk.training.kept_checkpoints import KeptCheckpoints
from hrtk.training.landmarks import LandmarkTraining
from hrtk.training.lifting import (
    CompletionTraining,
    LiftingTraining,
    MaskedPoseTraining,
    RefineTraining,
)
from hrtk.training.metrics import ClipError, VIBEErrors, ViewError
from hrtk.training.mixed_batches import MixedBatches
from hrtk.training.mixed_video import MixedVideoTraining
from hrtk.training.part_optimizers import PartOptimizers
from hrtk.training.plain_checkpoints import PlainCheckpoints
from hrtk.training.pose_prior import PosePriorQuality, PosePriorTraining
from hrtk.training.runner import TrainRunner
from hrtk.training.seeded_steps import SeededSteps
from hrtk.training.segmentation import SegmentationTraining
from hrtk.training.supervised import SupervisedTraining
from hrtk.training.temporal import TemporalTraining
from hrtk.training.video import VideoTraining

__all__ = [
    'ClipError',
    'CompletionTraining',
    'DistilledTraining',
    'KeptCheckpoints',
    'LandmarkTraining',
    'LiftingTraining',
    'MaskedPoseTraining',
    'MixedBatches',
    'MixedVideoTraining',
    'PartOptimizers',
    'PlainCheckpoints',
    'PosePriorQuality',
    'PosePriorTraining',
    'RefineTraining',
    'SeededSteps',
    'SegmentationTraining',
    'SupervisedTraining',
    'TemporalTraining',
    'TrainRunner',
    'VIBEErrors',
    'VideoTraining',
    'ViewError',
]
