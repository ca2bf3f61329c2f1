"""A user's own footage with 2D keypoints in a file."""

from hrtk.datasets.own.coco_keypoints import CocoKeypointsDataset
from hrtk.datasets.own.video import VideoDataset

__all__ = ['CocoKeypointsDataset', 'VideoDataset']
