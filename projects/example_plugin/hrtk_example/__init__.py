"""An example plugin for hrtk; importing it registers what it offers."""

from hrtk_example.heatmap_detector import HeatmapDetector
from hrtk_example.keypoint_tuner import KeypointTuner
from hrtk_example.plain_vit import PlainViT
from hrtk_example.robust_keypoints import GemanMcClure
from hrtk_example.timm_backbone import TimmBackbone
from hrtk_example.tiny_convnet import TinyConvNet

__all__ = [
    'GemanMcClure',
    'HeatmapDetector',
    'KeypointTuner',
    'PlainViT',
    'TimmBackbone',
    'TinyConvNet',
]
