"""The pose prior against scipy, in both file layouts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from hrtk.datasets.motion import load_motion
from hrtk.errors import InputError
from hrtk.models.priors.gmm import OPEN_GMM, GMMPosePrior, read_gmm
from hrtk.registry import LOSSES


def _mixture(seed: int = 0, spread: float = 1.0) -> dict[str, np.ndarray]:
    """Eight random components in SMPLify's layout; a spread above one makes their volumes differ by many powers."""
    rng = np.random.default_rng(seed)
    root = rng.normal(scale=0.05, size=(8, 69, 69)) * spread ** rng.uniform(-1, 1, size=(8, 1, 1))
    covars = root @ root.transpose(0, 2, 1) + 0.01 * np.eye(69)
    weights = rng.uniform(0.5, 1.5, size=8)
    return {
        'means': rng.normal(scale=0.5, size=(8, 69)),
        'covars': covars,
        'weights': weights / weights.sum(),
    }


def _write(folder, mixture: dict, name: str = 'gmm_08.pkl'):
    path = folder / name
    if name.endswith('.npz'):
        np.savez_compressed(path, **mixture)
    else:
        path.write_bytes(pickle.dumps(mixture, protocol=2))
    return path


def _reference(mixture: dict, poses: np.ndarray) -> np.ndarray:
    """scipy's log-densities; the energy is relative to the narrowest component, as in the released code."""
    logs = np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf(poses)
            for w, m, c in zip(mixture['weights'], mixture['means'], mixture['covars'])
        ]
    )
    narrowest = min(0.5 * np.linalg.slogdet(c)[1] for c in mixture['covars'])
    return (-logs - narrowest).min(0)


def _poses(mixture: dict, count: int, seed: int = 1) -> np.ndarray:
    """Some near a component, some far from all."""
    rng = np.random.default_rng(seed)
    near = np.stack(
        [
            rng.multivariate_normal(mixture['means'][i % 8], mixture['covars'][i % 8])
            for i in range(count)
        ]
    )
    return np.concatenate([near, rng.normal(scale=1.0, size=(count, 69))])


@pytest.mark.parametrize('name', ['gmm_08.pkl', 'gmm.npz'])
@pytest.mark.parametrize('spread', [1.0, 4.0])
def test_matches_scipy(tmp_path, name, spread):
    mixture = _mixture(spread=spread)
    poses = _poses(mixture, 40)
    path = _write(tmp_path, mixture, name)
    expected = _reference(mixture, poses)
    energy = GMMPosePrior(path, dtype=torch.float64)(torch.from_numpy(poses))
    assert energy.shape == (80,)
    np.testing.assert_allclose(energy.numpy(), expected, rtol=1e-9)
    single = GMMPosePrior(path)(torch.from_numpy(poses).float())
    np.testing.assert_allclose(single.numpy(), expected, rtol=2e-4)


def test_official_layout_round_trip(tmp_path):
    mixture = _mixture()
    for name in ('gmm_08.pkl', 'gmm.npz'):
        read = read_gmm(_write(tmp_path, mixture, name))
        for key in mixture:
            np.testing.assert_allclose(read[key], mixture[key], rtol=1e-12)


def test_gradients_first_and_second_order(tmp_path):
    mixture = _mixture()
    prior = GMMPosePrior(_write(tmp_path, mixture), dtype=torch.float64)
    poses = torch.from_numpy(_poses(mixture, 1)).requires_grad_()
    assert torch.autograd.gradcheck(prior, (poses,))
    assert torch.autograd.gradgradcheck(prior, (poses,))


def test_gradient_is_finite_at_rest_and_at_a_mean():
    prior = GMMPosePrior()
    poses = torch.stack(
        [torch.zeros(69), prior.means[3], torch.full((69,), 100.0)]
    ).requires_grad_()
    (gradient,) = torch.autograd.grad(prior(poses).sum(), poses, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), poses)
    assert gradient.isfinite().all() and second.isfinite().all()


def test_released_rounding_loses_a_component(tmp_path):
    """A component whose normalised weight is below the smallest float32 is gone in the released code."""
    mixture = _mixture()
    mixture['covars'] = np.stack([np.eye(69) * (0.2 if k == 5 else 0.02) for k in range(8)])
    path = _write(tmp_path, mixture)
    near = torch.from_numpy(mixture['means'][5:6] + 0.3)
    ours, released = (
        GMMPosePrior(path, released=flag, dtype=torch.float64) for flag in (False, True)
    )
    with np.errstate(divide='ignore'):
        const = (2 * np.pi) ** (69 / 2)
        root = np.array([np.sqrt(np.linalg.det(c)) for c in mixture['covars']])
        expected = np.log((mixture['weights'] / (const * root / root.min())).astype(np.float32))
    assert np.isneginf(expected[5]) and np.isfinite(np.delete(expected, 5)).all()
    np.testing.assert_allclose(released.log_weights.numpy(), expected, rtol=1e-6)
    assert ours.log_weights.isfinite().all()
    assert ours(near) < released(near)
    near.requires_grad_()
    assert torch.autograd.grad(released(near).sum(), near)[0].isfinite().all()


def test_open_prior_knows_people_and_their_mirror_images():
    assert OPEN_GMM.stat().st_size <= 200e3
    assert len(read_gmm(OPEN_GMM)['weights']) == 8
    prior = GMMPosePrior()
    clips = load_motion('test')
    poses, mirrored = (
        torch.from_numpy(np.concatenate([c.body_pose[::10].reshape(-1, 69) for c in part]))
        for part in (clips, [c.mirrored() for c in clips])
    )
    energy = prior(poses)
    torch.testing.assert_close(prior(mirrored), energy, rtol=1e-3, atol=1e-2)
    # Each pose against the same angles shuffled over the joints: as large, and not human.
    shuffled = poses.reshape(-1, 23, 3)[
        :, torch.randperm(23, generator=torch.Generator().manual_seed(0))
    ].flatten(1)
    assert (energy < prior(shuffled)).float().mean() > 0.99
    bent = torch.zeros(2, 69)
    bent[1, 3 * 19 : 3 * 20] = torch.tensor([0.0, 1.0, 0.0])
    assert (
        prior(bent)[1] > prior(bent)[0] + 5
    )  # a wrist at 60 degrees: unseen joints are held near rest


def test_registered_and_moved_like_any_module():
    prior = LOSSES.build(dict(type='GMMPosePrior'))
    assert not prior.state_dict() and not list(prior.parameters())
    assert prior.double()(torch.zeros(1, 69, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(
    'damage, message',
    [
        (lambda m: m.pop('covars'), 'lacks covars'),
        (lambda m: m.update(means=m['means'][:, :66]), 'means'),
        (lambda m: m.update(covars=m['covars'][:7]), 'covars'),
        (lambda m: m.update(weights=-m['weights']), 'weights'),
        (lambda m: m['means'].__setitem__((0, 0), np.nan), 'not finite'),
        (lambda m: m['covars'].__setitem__(2, -np.eye(69)), 'component 2 is not positive definite'),
    ],
)
def test_bad_files_are_named(tmp_path, damage, message):
    mixture = _mixture()
    damage(mixture)
    path = _write(tmp_path, mixture)
    with pytest.raises(InputError, match=message) as caught:
        GMMPosePrior(path)
    assert str(path) in str(caught.value)


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match='none.pkl: there is no such file'):
        GMMPosePrior(tmp_path / 'none.pkl')
    with pytest.raises(InputError, match=r'\(2, 72\)'):
        GMMPosePrior()(torch.zeros(2, 72))
