"""A loss between 2D keypoints that far outliers cannot rule."""

from __future__ import annotations

from torch import Tensor, nn

from hrtk.registry import LOSSES


@LOSSES.register_module()
class GemanMcClure(nn.Module):
    """Squared distances that saturate: ``s^2 d^2 / (s^2 + d^2)`` (Geman and McClure, 1987; SMPLify's data term).

    Args:
        scale: s, the distance at which a point has half of its largest weight, in crop coordinates (2 is the crop).
    """

    def __init__(self, scale: float = 0.2) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, found: Tensor, wanted: Tensor, confidence: Tensor) -> Tensor:
        """The mean over points that are there.

        Args:
            found: (B, K, 2) projected joints.
            wanted: (B, K, 2) keypoints.
            confidence: (B, K), 0 where there is none.

        Returns:
            A scalar; zero if there is no point.
        """
        square = (found - wanted).square().sum(-1)
        robust = self.scale**2 * square / (self.scale**2 + square)
        return (confidence * robust).sum() / confidence.sum().clamp_min(1e-6)
