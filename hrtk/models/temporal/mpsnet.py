"""MPS-Net: Wei et al., "Capturing Humans in Motion: Temporal-Attentive 3D Human Pose and Shape Estimation from
Monocular Video", 2022."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from hrtk.errors import OptionError
from hrtk.models.temporal.attention import ScoredSum
from hrtk.models.temporal.base import TemporalNetwork
from hrtk.registry import TEMPORAL

PAIRINGS = ('released', 'paired')


class MotionAttention(nn.Module):
    """MoCA: every frame attends to all others, with weights from two T x T maps.

    One map compares the features themselves, the other learnt projections of them (section 3.2 of the paper).

    Args:
        features: F.
        hidden: size of the projections, half of F in the paper.
        map_pairing: see :class:`MPSNet`.
    """

    def __init__(self, features: int, hidden: int, map_pairing: str) -> None:
        super().__init__()
        self.map_pairing = map_pairing
        self.conv_theta = nn.Conv1d(features, hidden, 1, bias=False)
        self.conv_phi = nn.Conv1d(features, hidden, 1, bias=False)
        self.conv_g = nn.Conv1d(features, hidden, 1, bias=False)
        self.conv_mask = nn.Conv1d(hidden, features, 1, bias=False)
        self.conv_mask_forR = nn.Conv2d(2, 1, 1, bias=False)
        nn.init.zeros_(self.conv_mask.weight)  # an untrained block is the identity

    def forward(self, windows: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, F)."""
        x = windows.transpose(1, 2)
        similarity = (x.transpose(1, 2) @ x).softmax(-1)
        learnt = (self.conv_theta(x).transpose(1, 2) @ self.conv_phi(x)).softmax(-1)
        attention = self.conv_mask_forR(self._pair(similarity, learnt)).squeeze(1).softmax(-1)
        attended = attention @ self.conv_g(x).transpose(1, 2)
        return windows + self.conv_mask(attended.transpose(1, 2)).transpose(1, 2)

    def _pair(self, similarity: Tensor, learnt: Tensor) -> Tensor:
        """Two lists of B maps -> (B, 2, T, T)."""
        if self.map_pairing == 'paired':
            return torch.stack([similarity, learnt], dim=1)
        # Window b gets the maps 2b and 2b + 1 of one list, first all of one kind, then all of the other.
        return torch.cat([similarity, learnt]).unflatten(0, (len(similarity), 2))


@TEMPORAL.register_module()
class MPSNet(TemporalNetwork):
    """Motion attention over a window, then two levels of attention that merge nine frames into one.

    The defaults are the published network, whose checkpoints load under their own key names. The released code also
    regresses all 16 frames for its motion critic, which hrtk does not need.

    Args:
        features: F, size of the image features.
        hidden: size of the motion attention's projections; default F / 2.
        attention: width of the merging attention's layers.
        map_pairing: ``'released'`` replays the code, which mixes the attention maps of the windows of one batch, so
            that a prediction depends on the other windows of the batch (the published numbers were computed so, with
            8 windows in order); ``'paired'`` is the paper's formula. They are the same for a batch of one.
        regressor: config of the head, see :class:`~hrtk.models.temporal.base.TemporalNetwork`.
        weights: ``'open:<name>'``, a path to a checkpoint, or None for random ones.

    Raises:
        InputError: an unknown pairing; the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        features: int = 2048,
        hidden: Optional[int] = None,
        attention: int = 256,
        map_pairing: str = 'released',
        regressor: Optional[dict] = None,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__(features, regressor)
        if map_pairing not in PAIRINGS:
            raise OptionError(f'MPSNet: map_pairing is one of {PAIRINGS}, not {map_pairing!r}')
        self.moca = MotionAttention(features, hidden or features // 2, map_pairing)
        self.attention = ScoredSum(features, attention)
        self.load(weights)

    def encode(self, windows: Tensor) -> Tensor:
        """Merges frames (4, 5, 6), (7, 8, 9) and (10, 11, 12), then the three results, with the same attention."""
        triples = self.moca(windows)[:, 4:13].unflatten(1, (3, 3))
        merged = self.attention(triples.flatten(0, 1)).unflatten(0, (len(windows), 3))
        return self.attention(merged)

    @staticmethod
    def official_key(key: str) -> str:
        """Renames a released key (``nonlocalblock.conv_g.weight`` -> ``moca.conv_g.weight``)."""
        if key.startswith('nonlocalblock.attention.'):
            return key.removeprefix('nonlocalblock.')
        return key.replace('nonlocalblock.', 'moca.', 1)
