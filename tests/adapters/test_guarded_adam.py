"""The guarded Adam: the bits of torch's fused Adam, the formula of the paper, skipped steps, and old states."""

import copy
import subprocess
import sys

import pytest
import torch

from hrtk.adapters.parts import guarded_adam
from hrtk.adapters.parts.guarded_adam import GuardedAdam, has_fused_adam

BETAS = (0.5, 0.999)
# Shapes and layouts of the weights of a network: matrices, vectors, single numbers, channels_last kernels.
PATHS = ['vectors', 'transposed', 'channels_last', 'float64', 'many']


def weights_of(path):
    generator = torch.Generator().manual_seed(3)
    if path == 'many':
        shapes = [(k, 2) for k in range(1, 40)]
    else:
        shapes = [(6, 4, 3, 3), (6,), (), (33, 17), (1, 5000)]
    dtype = torch.float64 if path == 'float64' else torch.float32
    weights = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    if path == 'transposed':
        weights[3] = weights[3].T
    if path == 'channels_last':
        weights[0] = weights[0].contiguous(memory_format=torch.channels_last)
    return [weight.requires_grad_() for weight in weights]


def gradients_of(weights, step):
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(w.shape, generator=generator, dtype=w.dtype) * 10**-step for w in weights]


@pytest.mark.parametrize('path', PATHS)
def test_bits_of_torchs_fused_adam(path):
    ours, theirs = weights_of(path), weights_of(path)
    adam = GuardedAdam(ours, 1e-2, BETAS)
    reference = torch.optim.Adam(theirs, lr=1e-2, betas=BETAS, fused=True)
    for step in range(6):
        adam.lr = reference.param_groups[0]['lr'] = 1e-2 / (1 + step)
        gradients = gradients_of(ours, step)
        for weight, gradient in zip(theirs, gradients):
            weight.grad = torch.empty_like(weight).copy_(gradient)
        adam.step(gradients, [])
        reference.step()
    assert all(map(torch.equal, ours, theirs))
    for name in ('exp_avg', 'exp_avg_sq', 'step'):
        pairs = zip(adam.state_dict()['state'].values(), reference.state_dict()['state'].values())
        assert all(torch.equal(a[name], b[name]) for a, b in pairs)


def written_out(weights, lr, steps):
    """Algorithm 1 of Kingma and Ba, number by number, float64."""
    results = []
    for index, weight in enumerate(weights):
        values = weight.detach().double().flatten().tolist()
        mean, square = [0.0] * len(values), [0.0] * len(values)
        for t in range(1, steps + 1):
            gradient = gradients_of(weights, t - 1)[index].double().flatten().tolist()
            for k, g in enumerate(gradient):
                mean[k] = BETAS[0] * mean[k] + (1 - BETAS[0]) * g
                square[k] = BETAS[1] * square[k] + (1 - BETAS[1]) * g * g
                unbiased = mean[k] / (1 - BETAS[0] ** t)
                scale = (square[k] / (1 - BETAS[1] ** t)) ** 0.5 + 1e-8
                values[k] -= lr * unbiased / scale
        results.append(torch.tensor(values, dtype=torch.float64).view(weight.shape))
    return results


@pytest.mark.parametrize('fused', [True, False])
def test_formula(monkeypatch, fused):
    monkeypatch.setattr(guarded_adam, 'has_fused_adam', lambda device_type: fused)
    weights = weights_of('float64')
    expected = written_out(weights, 1e-2, 5)
    adam = GuardedAdam(weights, 1e-2, BETAS)
    for step in range(5):
        adam.step(gradients_of(weights, step), [])
    for weight, value in zip(weights, expected):
        torch.testing.assert_close(weight.detach(), value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('place', ['gradient', 'loss'])
def test_a_step_that_is_not_finite_changes_nothing(monkeypatch, fused, bad, place):
    monkeypatch.setattr(guarded_adam, 'has_fused_adam', lambda device_type: fused)
    clean, disturbed = weights_of('vectors'), weights_of('vectors')
    adams = [GuardedAdam(weights, 1e-2, BETAS) for weights in (clean, disturbed)]
    for step in range(3):
        for weights, adam in zip((clean, disturbed), adams):
            adam.step(gradients_of(weights, step), [torch.tensor(1.0)])
        gradients, loss = gradients_of(disturbed, 9), torch.tensor(1.0)
        if place == 'loss':
            loss = torch.tensor(bad)
        else:
            gradients[1][2] = bad
        adams[1].step(gradients, [loss])
    assert all(map(torch.equal, clean, disturbed))
    assert (int(adams[0].skipped), int(adams[1].skipped)) == (0, 3)


def test_resumes_from_its_state_and_from_one_of_torch():
    weights, others = weights_of('vectors'), weights_of('vectors')
    reference = torch.optim.Adam(weights, lr=1e-2, betas=BETAS, fused=True)
    for step in range(2):
        for weight, gradient in zip(weights, gradients_of(weights, step)):
            weight.grad = gradient
        reference.step()
    with torch.no_grad():
        for other, weight in zip(others, weights):
            other.copy_(weight)
    resumed = GuardedAdam(others, 1.0, (0.9, 0.9))
    resumed.load_state_dict(copy.deepcopy(reference.state_dict()))
    gradients = gradients_of(weights, 2)
    for weight, gradient in zip(weights, gradients):
        weight.grad = gradient
    reference.step()
    resumed.step(gradients, [])
    assert all(map(torch.equal, weights, others))
    again = GuardedAdam(others, 1.0, (0.9, 0.9))
    again.load_state_dict(GuardedAdam(others, 1e-3, BETAS).state_dict())
    assert (again.lr, again.betas, again.state_dict()['state']) == (1e-3, BETAS, {})


def test_a_device_without_the_kernel_is_found_out():
    assert has_fused_adam('cpu')
    assert not has_fused_adam('meta') or torch.zeros(1, device='meta').is_meta


def test_no_compiler_is_imported():
    code = (
        'import sys, torch\n'
        'from hrtk.adapters.parts.guarded_adam import GuardedAdam\n'
        'weight = torch.zeros(3, requires_grad=True)\n'
        'GuardedAdam([weight], 0.1, (0.9, 0.999)).step([torch.ones(3)], [])\n'
        'assert weight[0] < 0\n'
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
