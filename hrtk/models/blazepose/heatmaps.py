"""The refinement of landmarks by their heat maps."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 7  # cells along each axis, as in MediaPipe's RefineLandmarksFromHeatmapCalculator
LEAST = 0.5  # a landmark stays where it is if no cell of its window is as probable as that


def refine(xy: Tensor, heatmap: Tensor) -> Tensor:
    """Moves landmarks to the centre of mass of the heat map around them.

    Args:
        xy: (B, K, 2) in [0, 1], 1 being the side of the crop.
        heatmap: (B, K, S, S) logits.

    Returns:
        (B, K, 2) in [0, 1]. Landmarks outside the crop, and those with an improbable window, are unchanged.
    """
    size = heatmap.shape[-1]
    offsets = torch.arange(-(WINDOW // 2), WINDOW // 2 + 1, device=xy.device)
    # As in MediaPipe, a cell is as wide as the crop over their number, and its place is that of its corner.
    cell = (xy.detach() * size).long()
    inside = ((cell >= 0) & (cell < size)).all(-1)
    cell = cell.clamp(0, size - 1)
    columns = cell[..., :1] + offsets
    rows = cell[..., 1:] + offsets
    index = rows.clamp(0, size - 1)[..., None] * size + columns.clamp(0, size - 1)[..., None, :]
    window = heatmap.flatten(2).gather(2, index.flatten(2)).sigmoid()
    window = window.view(*cell.shape[:2], WINDOW, WINDOW)
    in_map = _within(rows, size)[..., None] & _within(columns, size)[..., None, :]
    window = window * in_map
    total = window.sum((2, 3)).clamp_min(1e-9)
    x = (window.sum(2) * columns).sum(-1) / total
    y = (window.sum(3) * rows).sum(-1) / total
    probable = window.detach().amax((2, 3)) >= LEAST
    refined = torch.stack([x, y], dim=-1) / size
    return torch.where((inside & probable)[..., None], refined, xy)


def _within(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)
