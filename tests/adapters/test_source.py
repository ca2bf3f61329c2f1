"""The frozen model."""

from __future__ import annotations

import pytest
import torch
from tiny_parts import Tiny, equal, tiny_sequence, weights_of

from hrtk.adapters import Adapter
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction


@pytest.mark.parametrize('batch_size', [1, 3, 32])
def test_source_is_the_plain_model(batch_size):
    model, sequence = Tiny(), tiny_sequence(frames=7)
    before = weights_of(model)
    found = list(ADAPTERS.build(dict(type='Source', batch_size=batch_size)).adapt(model, sequence))
    assert len(found) == 7 and all(len(prediction) == 1 for prediction in found)
    with torch.no_grad():
        expected = Prediction.cat([model(model.crops(sequence, [t])) for t in range(7)])
    for name in ('rotmat', 'betas', 'camera'):
        torch.testing.assert_close(getattr(Prediction.cat(found), name), getattr(expected, name))
    assert equal(weights_of(model), before)


def test_source_needs_no_keypoints_and_switches_dropout_off():
    model, sequence = Tiny(), tiny_sequence(frames=2)
    sequence.keypoints2d.confidence.zero_()
    model.train()
    first, second = (
        torch.cat([p.rotmat for p in ADAPTERS.build(dict(type='Source')).adapt(model, sequence)])
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_defaults_of_the_interface():
    adapter = Adapter()
    assert adapter.prepare(Tiny(), None) is None and adapter.report() == adapter.state_dict() == {}
    with pytest.raises(InputError, match="reset is one of .* not 'always'"):
        Adapter(reset='always')
