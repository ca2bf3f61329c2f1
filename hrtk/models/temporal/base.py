"""What TCMR and MPS-Net share: the window, the regressor behind it, and how their checkpoints are read."""

from __future__ import annotations

from typing import Optional

from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators import hash_tensors
from hrtk.registry import HEADS
from hrtk.structures import Prediction

WINDOW = 16  # frames that a network sees
MIDDLE = 8  # the one that it predicts: eight come before it, seven after


class TemporalNetwork(nn.Module):
    """Image features of 16 consecutive frames to the body of frame 8.

    A subclass implements :meth:`encode`. The features are those of SPIN's backbone in the official networks.

    Args:
        features: F, size of the image features.
        regressor: config of the head; default SPIN's, as in VIBE, TCMR and MPS-Net.
    """

    def __init__(self, features: int = 2048, regressor: Optional[dict] = None) -> None:
        super().__init__()
        self.features = features
        self.regressor = HEADS.build(
            regressor or dict(type='IterativeRegressor'), default_args=dict(in_channels=features)
        )

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
        encoded = self.encode(windows)
        pose, betas, camera, *_ = self.regressor(encoded)
        return Prediction(
            rot6d_to_rotmat(pose.unflatten(1, (24, 6)), eps=1e-6), betas, camera, encoded
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the weights."""
        return {'weights': hash_tensors(self.state_dict())}

    def _load(self, weights: Optional[str]) -> None:
        if weights is not None:
            load_weights(self, weights)
