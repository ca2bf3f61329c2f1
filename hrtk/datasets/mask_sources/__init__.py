"""Mask sources: who says which pixels are the person, for data sets that do not bring masks."""

from hrtk.datasets.mask_sources.background import BackgroundSubtraction
from hrtk.datasets.mask_sources.base import MaskSource
from hrtk.datasets.mask_sources.files import MaskFiles

__all__ = ['BackgroundSubtraction', 'MaskFiles', 'MaskSource']
