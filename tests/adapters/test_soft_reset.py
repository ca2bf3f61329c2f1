"""The soft reset of Bilevel and DynamicBilevel between sequences."""

import pytest
import torch
from tiny_parts import Tiny, tiny_sequence, weights_of

from hrtk.adapters import Bilevel, DynamicBilevel
from hrtk.adapters.run import AdapterRun
from hrtk.errors import InputError

OPTIONS = dict(
    lr=1e-3, inner_lr=1e-3, order='first', interval=2, reset='never', weights=dict(pose_prior=0.0)
)


@pytest.mark.parametrize('kind', [Bilevel, DynamicBilevel])
def test_a_sequence_begins_with_the_average(kind):
    model = Tiny()
    start = weights_of(model)
    run = AdapterRun(kind(soft_reset=0.75, **OPTIONS), model)
    plain = Tiny()
    other = AdapterRun(kind(**OPTIONS), plain)
    list(run.run(tiny_sequence('a', frames=2)))
    list(other.run(tiny_sequence('a', frames=2)))
    first = weights_of(model)
    average_bytes = sum(weight.nbytes for weight in model.parameters())
    assert run.state_bytes - other.state_bytes == average_bytes
    # Nothing is softened before the first sequence.
    assert all(torch.equal(first[name], weight) for name, weight in weights_of(plain).items())
    assert max((first[name] - start[name]).abs().max() for name in start) > 1e-4
    # A sequence without evidence shows the weights with which it begins.
    blind = tiny_sequence('b', frames=2)
    blind.keypoints2d.confidence.zero_()
    average = start
    for _ in range(2):
        with pytest.warns(UserWarning, match='none of its'):
            list(run.run(blind))
        average = {name: 0.75 * average[name] + 0.25 * first[name] for name in start}
        for name, weight in weights_of(model).items():
            torch.testing.assert_close(weight, average[name], rtol=0, atol=1e-12)
        first = average
    teacher = run._session.state.teacher
    assert all(torch.equal(teacher[name], weight) for name, weight in weights_of(model).items())


@pytest.mark.parametrize(
    'options', [dict(soft_reset=0.9), dict(soft_reset=1.5, reset='never'), dict(soft_reset=-0.1)]
)
def test_refuses(options):
    with pytest.raises(InputError, match='soft_reset'):
        Bilevel(**options)
