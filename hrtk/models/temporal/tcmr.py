"""TCMR: Choi et al., "Beyond Static Features for Temporally Consistent 3D Human Pose and Shape from a Video", 2021."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.models.temporal.attention import ScoredSum
from hrtk.models.temporal.base import MIDDLE, TemporalNetwork
from hrtk.registry import TEMPORAL


@TEMPORAL.register_module()
class TCMR(TemporalNetwork):
    """Three recurrent encodings of a window, of past, all and future frames, merged by attention.

    The defaults are the published network, whose checkpoints load under their own key names.

    Args:
        features: F, size of the image features.
        hidden: width of the recurrent units.
        attention: width of the attention's layers.
        regressor: config of the head, see :class:`~hrtk.models.temporal.base.TemporalNetwork`.
        weights: ``'open:<name>'``, a path to a checkpoint, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        features: int = 2048,
        hidden: int = 1024,
        attention: int = 256,
        regressor: Optional[dict] = None,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__(features, regressor)
        self.gru_cur = _gru(features, hidden, bidirectional=True)
        self.linear_cur = nn.Linear(2 * hidden, features)
        self.gru_bef = _gru(features, hidden)
        self.linear_bef = nn.Linear(hidden, features)
        self.gru_aft = _gru(features, hidden)
        self.linear_aft = nn.Linear(hidden, features)
        self.attention = ScoredSum(features, attention)
        self.load(weights)

    def encode(self, windows: Tensor) -> Tensor:
        """Encodes frames 0..7 forwards, all frames around frame 8, and frames 15..9 backwards, without a residual."""
        current = self.gru_cur(windows)[0][:, MIDDLE]
        past = self.gru_bef(windows[:, :MIDDLE])[0][:, -1]
        future = self.gru_aft(windows[:, MIDDLE + 1 :].flip(1))[0][:, -1]
        three = [
            self.linear_bef(F.relu(past)),
            self.linear_cur(F.relu(current)),
            self.linear_aft(F.relu(future)),
        ]
        return self.attention(torch.stack(three, dim=1))

    @staticmethod
    def official_key(key: str) -> str:
        """Renames a released key (``encoder.gru_cur.bias_hh_l0`` -> ``gru_cur.bias_hh_l0``)."""
        return key.removeprefix('encoder.')


def _gru(features: int, hidden: int, bidirectional: bool = False) -> nn.GRU:
    return nn.GRU(features, hidden, num_layers=2, batch_first=True, bidirectional=bidirectional)
