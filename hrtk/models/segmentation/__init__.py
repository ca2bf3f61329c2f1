"""Segmentation: foreground maps of crops, and their fusion with the features of an image network."""

from hrtk.models.segmentation.fusion import FUSIONS, GateFusion, MulFusion
from hrtk.models.segmentation.hrnet import HRNet
from hrtk.models.segmentation.ocr import HRNetOCR, Logits, foreground_map

__all__ = ['FUSIONS', 'GateFusion', 'HRNet', 'HRNetOCR', 'Logits', 'MulFusion', 'foreground_map']
