"""Which frames a temporal network sees for each frame of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.temporal import MIDDLE, WINDOW

BORDERS = ('repeat', 'clamp')


def window_indices(length: int, border: str = 'repeat') -> Tensor:
    """Sliding windows of stride 1: frame i from the frames i - 8 to i + 7.

    Args:
        length: F, frames of the sequence.
        border: ``'repeat'``, what the released code of TCMR and MPS-Net does: a frame whose window would leave the
            sequence (the first 8 and the last 7) is seen alone, 16 times; ``'clamp'``: only the missing frames are
            replaced, by the first or the last one. Of fewer than 16 frames the first labels each by itself, as all of
            them are at a border.

    Returns:
        (F, 16) frame numbers.

    Raises:
        InputError: an unknown rule.
    """
    if border not in BORDERS:
        raise InputError(f'the border of windows is one of {BORDERS}, not {border!r}')
    frames = torch.arange(length)[:, None]
    wanted = frames + torch.arange(WINDOW) - MIDDLE
    if border == 'clamp':
        return wanted.clamp(0, length - 1)
    inside = (wanted[:, :1] >= 0) & (wanted[:, -1:] < length)
    return torch.where(inside, wanted, frames)
