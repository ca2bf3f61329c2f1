"""The interfaces of backbones."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Backbone(Protocol):
    """A module that maps crops to features; a plugin's backbone needs nothing else.

    Attributes:
        out_channels: C, size of the features.
    """

    out_channels: int

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) normalised crops -> (B, C) features."""
        ...


class StagedBackbone(Protocol):
    """A backbone that can be cut before its last stage, ``backbone(x) == from_trunk(trunk(x))``.

    An HMR with such a backbone is cut there too, so that adapters can compute the trunk once per crop. The attribute
    ``last_stage`` marks a backbone as one with a cut.

    Attributes:
        out_channels: C, size of the features.
        last_stage: name of the submodule behind the cut, e.g. ``'layer4'``. It holds all parameters that
            :meth:`trunk` does not use.
    """

    out_channels: int
    last_stage: str

    def trunk(self, images: Tensor) -> Tensor:
        """All stages but the last one: (B, 3, R, R) normalised crops -> maps."""
        ...

    def from_trunk(self, maps: Tensor) -> Tensor:
        """The last stage and the pooling: maps -> (B, C) features."""
        ...
