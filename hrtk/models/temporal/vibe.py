"""VIBE: Kocabas et al., "VIBE: Video Inference for Human Body Pose and Shape Estimation", CVPR 2020."""

from __future__ import annotations

from typing import Optional

from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators import hash_tensors
from hrtk.registry import HEADS, TEMPORAL
from hrtk.structures import Prediction


@TEMPORAL.register_module()
class VIBE(nn.Module):
    """A recurrent network corrects the image features of a clip, and a regressor reads a body off each of them.

    Unlike TCMR and MPS-Net it takes clips of any length and predicts every frame. The defaults are the released
    generator, whose checkpoints load under their own key names; it looks back only, where the paper says that it looks
    both ways. The state of the recurrent units begins anew with every clip.

    Args:
        features: F, size of the image features, those of SPIN's backbone in the official network.
        hidden: width of the recurrent units. A linear layer brings their output back to F unless it has that size, as
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
        outputs = hidden * (2 if bidirectional else 1)
        self.linear = (
            None if outputs == features and not bidirectional else nn.Linear(outputs, features)
        )
        self.regressor = HEADS.build(
            regressor or dict(type='IterativeRegressor'), default_args=dict(in_channels=features)
        )
        if weights is not None:
            load_weights(self, weights)

    def encode(self, clips: Tensor) -> Tensor:
        """(B, T, F) image features -> (B, T, F), the same plus what the recurrent units found."""
        found = self.gru(clips)[0]
        return clips + (found if self.linear is None else self.linear(F.relu(found)))

    def forward(self, clips: Tensor) -> Prediction:
        """Predicts every frame.

        Args:
            clips: (B, T, F) image features of B clips.

        Returns:
            A prediction whose fields begin with (B, T): ``rotmat`` (B, T, 24, 3, 3), ``betas`` (B, T, 10), ``camera``
            (B, T, 3) and ``features`` (B, T, F), those that the regressor saw.

        Raises:
            InputError: clips of another shape.
        """
        if clips.ndim != 3 or clips.shape[2] != self.features:
            raise InputError(
                f'VIBE takes clips of (B, T, {self.features}) features, not {tuple(clips.shape)}; its '
                f'features come from the network it was trained with'
            )
        encoded = self.encode(clips)
        pose, betas, camera, *_ = self.regressor(encoded.flatten(0, 1))
        rotmat = rot6d_to_rotmat(pose.unflatten(1, (24, 6)), eps=1e-6)
        return Prediction(
            *(value.unflatten(0, clips.shape[:2]) for value in (rotmat, betas, camera)), encoded
        )

    def fingerprint(self) -> dict[str, str]:
        """A hash of the weights."""
        return {'weights': hash_tensors(self.state_dict())}

    @staticmethod
    def official_key(key: str) -> str:
        """The released name -> ours (``encoder.gru.bias_hh_l0`` -> ``gru.bias_hh_l0``)."""
        return key.removeprefix('encoder.')
