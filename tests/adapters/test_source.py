"""The frozen model."""

from __future__ import annotations

import pytest
import torch
from tiny_parts import Tiny, equal, run, tiny_sequence, weights_of

from hrtk.adapters import Adapter, FrozenSession, Preparation, Session
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction


@pytest.mark.parametrize('batch_size', [1, 3, 32])
def test_source_is_the_plain_model(batch_size):
    model, sequence = Tiny(), tiny_sequence(frames=7)
    before = weights_of(model)
    adapter = ADAPTERS.build(dict(type='Source', batch_size=batch_size))
    found = list(adapter.start(model).run(sequence))
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
    adapter = ADAPTERS.build(dict(type='Source'))
    first, second = (run(adapter, model, sequence) for _ in range(2))
    assert torch.equal(first, second)


def test_defaults_of_the_interface():
    adapter = Adapter()
    assert adapter.prepare(Tiny(), None, Preparation()) is None and adapter.states == ()
    session = adapter.start(Tiny())
    assert session.counts == session.state_dict() == {}
    with pytest.raises(InputError, match="reset is one of .* not 'always'"):
        Adapter(reset='always')


def test_an_adapter_of_the_old_interface_is_named():
    with pytest.raises(
        TypeError, match='Old.adapt.* is the interface of hrtk 0.1.*moving_from_0_1'
    ):

        class Old(Adapter):
            def adapt(self, estimator, sequence):
                yield


def test_reset_by_frame_adds_totals_and_averages_means():
    class Counting(Session):
        frames = 0

        def run(self, sequence):
            Counting.frames += len(sequence)
            yield from FrozenSession(Tiny()).run(sequence)

        @property
        def counts(self):
            return {'total': Counting.frames, 'mean': float(Counting.frames)}

    class Frames(Adapter):
        def start(self, estimator):
            return Counting()

    started = AdapterRun(Frames(reset='frame'), Tiny())
    assert len(list(started.run(tiny_sequence(frames=3)))) == 3
    assert started.counts == {'total': 1 + 2 + 3, 'mean': 2.0}
