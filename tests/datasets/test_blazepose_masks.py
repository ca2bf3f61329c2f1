"""Masks by BlazePose on drawn people, whose masks are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hrtk.datasets import OpenStream
from hrtk.errors import InputError
from hrtk.registry import MASK_SOURCES


def test_masks_of_drawn_people_and_of_nobody():
    drawn = OpenStream('studio', sequences=1, frames=2, fps=15.0, noise='clean', seed=77)[0]
    source = MASK_SOURCES.build(dict(type='BlazePoseMasks'))
    sequence = source.attach(drawn)
    assert sequence.masks_source == 'blazepose' and len(sequence.masks) == 2
    for t in range(2):
        mask = sequence.masks[t]
        true = drawn.masks[t]
        assert mask.shape == true.shape and mask.dtype == np.uint8
        union = ((mask > 0) | (true > 0)).sum()
        assert ((mask > 0) & (true > 0)).sum() / union > 0.75
    empty = dataclasses.replace(
        drawn, name='empty', frames=np.zeros((2, 256, 256, 3), np.uint8), masks=None
    )
    assert source.attach(empty).masks[0].sum() == 0
    assert len(source.fingerprint()['blazepose_masks']) == 64


def test_bad_threshold():
    with pytest.raises(InputError, match='between 0 and 1'):
        MASK_SOURCES.build(dict(type='BlazePoseMasks', threshold=1.0))
