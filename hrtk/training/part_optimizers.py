"""PartOptimizers: one optimizer for each of several parts of a trained model."""

from __future__ import annotations

from typing import Any, Optional

from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from hrtk.errors import InputError
from hrtk.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartOptimizers:
    """Builds ``optim_wrapper=dict(constructor='PartOptimizers', <part>=dict(optimizer=..., ...), ...)``.

    Every part is a child of the model, e.g. ``network`` and ``critic``, and has the options of mmengine's
    ``OptimWrapper``. A part that the model lacks (its attribute is None) gets no optimizer.

    Args:
        optim_wrapper_cfg: part to options.
        paramwise_cfg: must be None; one optimizer has all parameters of a part.

    Raises:
        InputError: an optimizer is unknown or missing, the model has no such part, or there is a ``paramwise_cfg``.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, dict], paramwise_cfg: Optional[Any] = None
    ) -> None:
        if paramwise_cfg is not None:
            raise InputError(
                'PartOptimizers takes no paramwise_cfg; give every part of the model its own optimizer'
            )
        self.parts = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Builds the optimizers of a model."""
        wrappers = {}
        for name, options in self.parts.items():
            part = getattr(model, name, False)
            if part is None:
                continue
            if not isinstance(part, nn.Module) or 'optimizer' not in options:
                children = ', '.join(child for child, _ in model.named_children())
                raise InputError(
                    f'optim_wrapper.{name}: expected a part of {type(model).__name__} ({children}) with its '
                    f'`optimizer`'
                )
            wrappers[name] = _build_wrapper(part, options)
        return OptimWrapperDict(**wrappers)


def _build_wrapper(part: nn.Module, options: dict) -> OptimWrapper:
    options = {'type': 'OptimWrapper', **options}
    optimizer = OPTIMIZERS.build(
        options.pop('optimizer'), default_args=dict(params=part.parameters())
    )
    return OPTIM_WRAPPERS.build(options, default_args=dict(optimizer=optimizer))
