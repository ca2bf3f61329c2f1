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
    """Three recurrent views of a window, from the past, of all frames and from the future, merged by attention.

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
        for name, directions in (('cur', 2), ('bef', 1), ('aft', 1)):
            setattr(
                self,
                f'gru_{name}',
                nn.GRU(
                    features, hidden, num_layers=2, batch_first=True, bidirectional=directions == 2
                ),
            )
            setattr(self, f'linear_{name}', nn.Linear(directions * hidden, features))
        self.attention = ScoredSum(features, attention)
        self._load(weights)

    def encode(self, windows: Tensor) -> Tensor:
        """Frames 0..7 forwards, all around frame 8, frames 15..9 backwards; there is no residual."""
        whole = self.gru_cur(windows)[0][:, MIDDLE]
        past = self.gru_bef(windows[:, :MIDDLE])[0][:, -1]
        future = self.gru_aft(windows[:, MIDDLE + 1 :].flip(1))[0][:, -1]
        three = [
            self.linear_bef(F.relu(past)),
            self.linear_cur(F.relu(whole)),
            self.linear_aft(F.relu(future)),
        ]
        return self.attention(torch.stack(three, dim=1))

    @staticmethod
    def official_key(key: str) -> str:
        """The released name -> ours (``encoder.gru_cur.bias_hh_l0`` -> ``gru_cur.bias_hh_l0``)."""
        return key.removeprefix('encoder.')
