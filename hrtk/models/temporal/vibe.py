"""VIBE: Kocabas et al., "VIBE: Video Inference for Human Body Pose and Shape Estimation", CVPR 2020."""

from __future__ import annotations

from typing import Optional

from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.models.temporal.base import FeatureNetwork
from hrtk.registry import TEMPORAL
from hrtk.structures import Prediction


@TEMPORAL.register_module()
class VIBE(FeatureNetwork):
    """A recurrent network that corrects the image features of a clip, and a regressor for each of its frames.

    Unlike TCMR and MPS-Net it takes clips of any length and predicts every frame. The defaults are the released
    generator, whose checkpoints load under their own key names; it looks back only, where the paper says that it looks
    both ways. The state of the recurrent units is reset at every clip.

    Args:
        features: F, size of the image features, those of SPIN's backbone in the official network.
        hidden: width of the recurrent units. A linear layer maps their output back to F unless it has that size, as
            with ``hidden=features`` in one direction.
        layers: recurrent layers.
        bidirectional: also look ahead.
        regressor: config of the head; default SPIN's.
        weights: ``'open:<name>'``, a path to a checkpoint, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        features: int = 2048,
        hidden: int = 1024,
        layers: int = 2,
        bidirectional: bool = False,
        regressor: Optional[dict] = None,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.gru = nn.GRU(
            features, hidden, num_layers=layers, batch_first=True, bidirectional=bidirectional
        )
        self.linear: Optional[nn.Linear] = None
        if bidirectional:
            self.linear = nn.Linear(2 * hidden, features)
        elif hidden != features:
            self.linear = nn.Linear(hidden, features)
        self.regressor = self.build_regressor(regressor)
        self.load(weights)

    def encode(self, clips: Tensor) -> Tensor:
        """(B, T, F) image features -> (B, T, F), the same plus the recurrent network's correction."""
        correction = self.gru(clips)[0]
        if self.linear is not None:
            correction = self.linear(F.relu(correction))
        return clips + correction

    def forward(self, clips: Tensor) -> Prediction:
        """Predicts every frame.

        Args:
            clips: (B, T, F) image features of B clips.

        Returns:
            A prediction whose fields begin with (B, T): ``rotmat`` (B, T, 24, 3, 3), ``betas`` (B, T, 10), ``camera``
            (B, T, 3) and ``features`` (B, T, F), those that the regressor received.

        Raises:
            InputError: clips of another shape.
        """
        if clips.ndim != 3 or clips.shape[2] != self.features:
            raise InputError(
                f'VIBE takes clips of (B, T, {self.features}) features, not {tuple(clips.shape)}; its '
                f'features come from the network it was trained with'
            )
        encoded = self.encode(clips)
        frames = self.regress(encoded.flatten(0, 1))
        shape = clips.shape[:2]
        return Prediction(
            frames.rotmat.unflatten(0, shape),
            frames.betas.unflatten(0, shape),
            frames.camera.unflatten(0, shape),
            encoded,
        )

    @staticmethod
    def official_key(key: str) -> str:
        """Renames a released key (``encoder.gru.bias_hh_l0`` -> ``gru.bias_hh_l0``)."""
        return key.removeprefix('encoder.')
