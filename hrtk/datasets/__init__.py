"""Data sets: an item of an adaptation set is one whole :class:`~hrtk.structures.Sequence`."""

from hrtk.datasets.coco_keypoints import CocoKeypointsDataset
from hrtk.datasets.open_stream import OpenStream, OpenViews

__all__ = ['CocoKeypointsDataset', 'OpenStream', 'OpenViews']
