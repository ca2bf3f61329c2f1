"""An example plugin for hrtk; importing it registers what it offers."""

from hrtk_example.tiny_convnet import TinyConvNet

__all__ = ['TinyConvNet']
