"""Backbones: ``(B, 3, R, R)`` crops to ``(B, out_channels)`` features. A plugin's backbone needs no more than that."""

from hrtk.models.backbones.resnet import ResNet

__all__ = ['ResNet']
