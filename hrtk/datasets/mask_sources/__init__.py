"""Mask sources: foreground masks for data sets that have none, computed or read from files."""

from hrtk.datasets.mask_sources.background import BackgroundSubtraction
from hrtk.datasets.mask_sources.base import MaskSource
from hrtk.datasets.mask_sources.blazepose import BlazePoseMasks
from hrtk.datasets.mask_sources.files import MaskFiles

__all__ = ['BackgroundSubtraction', 'BlazePoseMasks', 'MaskFiles', 'MaskSource']
