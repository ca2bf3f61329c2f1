"""A user's own footage: one camera with 2D keypoints in a file, or several calibrated ones."""

from hrtk.datasets.own.coco_keypoints import CocoKeypointsDataset
from hrtk.datasets.own.pose2sim import Pose2SimProject
from hrtk.datasets.own.video import VideoDataset

__all__ = ['CocoKeypointsDataset', 'Pose2SimProject', 'VideoDataset']
