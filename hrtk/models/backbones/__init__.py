"""Backbones: ``(B, 3, R, R)`` crops to ``(B, out_channels)`` features. A plugin's backbone needs no more than that."""

from hrtk.models.backbones.base import Backbone, StagedBackbone
from hrtk.models.backbones.resnet import ResNet
from hrtk.models.backbones.rsc_resnet import RSCResNet
from hrtk.models.backbones.vit import ViT

__all__ = ['Backbone', 'RSCResNet', 'ResNet', 'StagedBackbone', 'ViT']
