"""An example plugin for hrtk; importing it registers what it offers."""

from hrtk_example.keypoint_tuner import KeypointTuner
from hrtk_example.robust_keypoints import GemanMcClure
from hrtk_example.timm_backbone import TimmBackbone
from hrtk_example.tiny_convnet import TinyConvNet

__all__ = ['GemanMcClure', 'KeypointTuner', 'TimmBackbone', 'TinyConvNet']
