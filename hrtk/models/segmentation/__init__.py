"""Segmentation: which pixels of a crop are the person, and how that joins the features of an image network."""

from hrtk.models.segmentation.fusion import FUSIONS, GateFusion, MulFusion
from hrtk.models.segmentation.hrnet import HRNet
from hrtk.models.segmentation.ocr import HRNetOCR, Logits, foreground_map

__all__ = ['FUSIONS', 'GateFusion', 'HRNet', 'HRNetOCR', 'Logits', 'MulFusion', 'foreground_map']
