"""Every image network of timm as a backbone; needs ``pip install hrtk-example[timm]``."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.registry import BACKBONES


@BACKBONES.register_module()
class TimmBackbone(nn.Module):
    """A network of timm without its classifier (Wightman, PyTorch Image Models).

    Args:
        model: timm's name of it, e.g. ``'convnext_atto'``.
        pretrained: load timm's weights, which it fetches from its own hub under their own licences.
        **options: other arguments of ``timm.create_model``, e.g. ``img_size=112`` for a transformer.

    Raises:
        InputError: timm cannot be imported, or has no such network.
    """

    def __init__(
        self, model: str = 'convnext_atto', pretrained: bool = False, **options: Any
    ) -> None:
        super().__init__()
        try:
            import timm  # here, so that the rest of the plugin works without it
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
            raise InputError(
                f'TimmBackbone needs timm and a torchvision that fits torch ({error}); '
                f'pip install hrtk-example[timm]'
            ) from error
        if not timm.is_model(model):
            near = timm.list_models(f'{model.partition("_")[0]}*')[:5]
            raise InputError(f'timm has no network {model!r}; it has {", ".join(near) or "others"}')
        self.network = timm.create_model(model, pretrained=pretrained, num_classes=0, **options)
        self.out_channels = self.network.num_features

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> (B, out_channels) pooled features."""
        return self.network(images)
