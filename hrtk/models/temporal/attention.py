"""The attention with which TCMR and MPS-Net merge three features into one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScoredSum(nn.Module):
    """A weighted sum of three features, whose weights depend on all three.

    One shared layer reduces each feature; their concatenation passes through three layers with tanh, the last one
    too, and a softmax yields the weights (Choi et al., TCMR, 2021; Wei et al., MPS-Net, 2022; released code of both).
    The names of the layers are the official ones.

    Args:
        features: F, size of the features.
        hidden: width of the reduced features and of the layers.
    """

    def __init__(self, features: int, hidden: int = 256) -> None:
        super().__init__()
        self.fc = nn.Linear(features, hidden)
        self.attention = nn.Sequential(
            nn.Linear(3 * hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, 3),
            nn.Tanh(),
        )

    def scores(self, three: Tensor) -> Tensor:
        """(B, 3, F) features -> (B, 3) weights that sum to one."""
        return self.attention(self.fc(three).flatten(1)).softmax(1)

    def forward(self, three: Tensor) -> Tensor:
        """(B, 3, F) features -> (B, F) weighted sum."""
        return torch.einsum('bn,bnf->bf', self.scores(three), three)
