"""What temporal networks share: the regressor behind them, and how their checkpoints are read."""

from __future__ import annotations

from typing import Optional

from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators import hash_tensors
from hrtk.registry import HEADS
from hrtk.structures import Prediction

WINDOW = 16  # frames of a window
MIDDLE = 8  # index of the predicted frame: eight precede it, seven follow


class FeatureNetwork(nn.Module):
    """A network over the image features of consecutive frames, with a regressor behind it.

    Attributes:
        features: F, size of the image features; those of SPIN's backbone in the official networks.
        regressor: the head.
    """

    features: int
    regressor: nn.Module

    def build_regressor(self, regressor: Optional[dict]) -> nn.Module:
        """Builds the head for features of size ``features``; None for SPIN's, as in VIBE, TCMR and MPS-Net."""
        return HEADS.build(
            regressor or dict(type='IterativeRegressor'),
            default_args=dict(in_channels=self.features),
        )

    def regress(self, encoded: Tensor) -> Prediction:
        """(B, F) temporal features -> B predictions, which hold these features."""
        pose, betas, camera, *_ = self.regressor(encoded)
        rotmat = rot6d_to_rotmat(pose.unflatten(1, (24, 6)), eps=1e-6)
        return Prediction(rotmat, betas, camera, encoded)

    def fingerprint(self) -> dict[str, str]:
        """Returns a hash of the weights."""
        return {'weights': hash_tensors(self.state_dict())}

    def load(self, weights: Optional[str]) -> None:
        """Loads ``'open:<name>'`` or a checkpoint file; None leaves the weights as they are.

        Raises:
            InputError: the weights are missing, unreadable or those of another network.
        """
        if weights is not None:
            load_weights(self, weights)


class TemporalNetwork(FeatureNetwork):
    """Image features of 16 consecutive frames to the body of frame 8.

    A subclass implements :meth:`encode`.

    Args:
        features: F, size of the image features.
        regressor: config of the head; default SPIN's, as in VIBE, TCMR and MPS-Net.
    """

    def __init__(self, features: int = 2048, regressor: Optional[dict] = None) -> None:
        super().__init__()
        self.features = features
        self.regressor = self.build_regressor(regressor)

    def encode(self, windows: Tensor) -> Tensor:
        """(B, 16, F) image features -> (B, F) one feature of the middle frame."""
        raise NotImplementedError

    def forward(self, windows: Tensor) -> Prediction:
        """(B, 16, F) image features -> B predictions of the middle frames, with their temporal features.

        Raises:
            InputError: windows of another shape.
        """
        if windows.ndim != 3 or windows.shape[1:] != (WINDOW, self.features):
            raise InputError(
                f'{type(self).__name__} takes windows of (B, {WINDOW}, {self.features}) features, not '
                f'{tuple(windows.shape)}; its features come from the network it was trained with'
            )
        return self.regress(self.encode(windows))
