"""The frames that a temporal network receives for each frame of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.temporal import MIDDLE, WINDOW

BORDERS = ('repeat', 'clamp')


def window_indices(length: int, border: str = 'repeat') -> Tensor:
    """Returns sliding windows of stride 1: for frame i the frames i - 8 to i + 7.

    Args:
        length: F, frames of the sequence.
        border: ``'repeat'``, the rule of the released code of TCMR and MPS-Net: the window of a frame that would leave
            the sequence (the first 8 and the last 7) holds this frame 16 times; ``'clamp'``: only the missing frames
            are replaced, by the first or the last one. In a sequence of fewer than 16 frames ``'repeat'`` labels every
            frame by itself, as all of them are at a border.

    Returns:
        (F, 16) frame indices.

    Raises:
        InputError: an unknown border.
    """
    if border not in BORDERS:
        raise InputError(f'the border of windows is one of {BORDERS}, not {border!r}')
    frames = torch.arange(length)[:, None]
    windows = frames + torch.arange(WINDOW) - MIDDLE
    if border == 'clamp':
        return windows.clamp(0, length - 1)
    inside = (windows[:, :1] >= 0) & (windows[:, -1:] < length)
    return torch.where(inside, windows, frames)
