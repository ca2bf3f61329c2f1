"""The fusion of image features with those of a foreground map (thesis, section 3.6, Eq. 4)."""

from __future__ import annotations

from torch import Tensor, nn


class MulFusion(nn.Module):
    """The product of both, as published: ``f = f_p * g``.

    Pooled after a ReLU, g is about 0.4 on average and never negative: before training the product is a small fraction
    of the features that the regressor was trained on. Where g has another size, a linear map without bias maps it to
    that of f_p; as in the thesis there is none where both are 2048.

    Args:
        features: E, size of the image features.
        foreground: G, size of the foreground features.
    """

    def __init__(self, features: int, foreground: int) -> None:
        super().__init__()
        self.project: nn.Module = nn.Identity()
        if features != foreground:
            self.project = nn.Linear(foreground, features, bias=False)

    def forward(self, features: Tensor, foreground: Tensor) -> Tensor:
        """(B, E) image features and (B, G) foreground features -> (B, E)."""
        return features * self.project(foreground)


class GateFusion(nn.Module):
    """A gate around one: ``f = f_p * (1 + tanh(W g))`` with W = 0 before training, which leaves f_p unchanged.

    Args:
        features: E, size of the image features.
        foreground: G, size of the foreground features.
    """

    def __init__(self, features: int, foreground: int) -> None:
        super().__init__()
        self.project = nn.Linear(foreground, features, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, features: Tensor, foreground: Tensor) -> Tensor:
        """(B, E) image features and (B, G) foreground features -> (B, E)."""
        return features * (1 + self.project(foreground).tanh())


FUSIONS = {'mul': MulFusion, 'gate': GateFusion}
