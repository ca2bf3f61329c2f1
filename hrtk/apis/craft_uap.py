"""Universal adversarial perturbations without data (Mopuri et al., GD-UAP, TPAMI 2018)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Iterator, Optional

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.apis.adaptation import load_config
from hrtk.apis.zoo.building import build_model
from hrtk.apis.zoo.metafiles import list_models
from hrtk.engine.versions import versions
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise
from hrtk.models.estimators import Estimator
from hrtk.registry import ESTIMATORS

GREY = 127.5  # of the picture that is perturbed
SATURATED, STILL = (
    0.5,
    1e-4,
)  # shares of the pattern: at its bound, and changed there by the last step


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """A crafted pattern and how it came about.

    Attributes:
        pattern: (R, R, 3) float32 grey levels within [-eps, eps].
        objective: the sum over the layers of log of the activations' L2 norms that it reaches.
        start: that of the random pattern it began with.
        steps: how many were taken.
        rescalings: how often it was halved.
        saturation: share of its values that are at -eps or eps.
    """

    pattern: np.ndarray
    objective: float
    start: float
    steps: int
    rescalings: int
    saturation: float


def load_estimator(network: str, weights: Optional[str] = None) -> Estimator:
    """The network of a config (a path, its ``estimator``) or of a name that :func:`~hrtk.apis.build_model` knows.

    Args:
        network: path or name.
        weights: replace the config's; a named network needs them.

    Raises:
        InputError: the network has no weights, or cannot be built.
    """
    if network in list_models():
        if weights is None:
            raise InputError(
                f'{network}: a perturbation of random weights is worth nothing; give weights, e.g. '
                f'open:r18_studio for hmr_r18'
            )
        estimator = build_model(network, weights=weights)
    else:
        options = {} if weights is None else {'estimator.weights': weights}
        estimator = ESTIMATORS.build(load_config(network, options).get('estimator'))
    if not isinstance(estimator, Estimator):
        raise InputError(
            f'{network}: names no estimator; give an adapt config, or one of the image networks of '
            f'{", ".join(list_models())}'
        )
    return estimator.eval()


def craft(
    estimator: Estimator, eps: float, steps: int = 1000, rescalings: int = 5, seed: int = 0
) -> Perturbation:
    """Looks for the pattern that excites all convolutions of a network most, on a grey picture and without data.

    Maximises ``sum_l log ||activation_l||_2`` by Adam with steps of eps / 50 grey levels, cut to [-eps, eps] after
    each. Once more than half of the pattern is at its bound and the last step changed less than 1e-4 of that share, it
    can learn no more there and is halved (saturation re-scaling); after ``rescalings`` of these it ends. The pattern of
    the largest objective is kept. The official program chooses by a validation on pictures, which this does without.

    Args:
        estimator: the attacked network, in evaluation mode, wherever it is.
        eps: bound, grey levels in (0, 255]; 4, 8 and 16 in Rakesh et al., 2021.
        steps: the most.
        rescalings: see above.
        seed: of the random pattern it begins with.

    Raises:
        InputError: a number out of range, or the network has no convolutions.
    """
    if not 0 < eps <= 255 or min(steps, rescalings) < 1:
        raise InputError(
            f'craft: eps is in grey levels, above 0 and up to 255, steps and rescalings count '
            f'from 1; not {eps}, {steps}, {rescalings}'
        )
    random = torch.Generator().manual_seed(seed)
    size = (1, 3, estimator.resolution, estimator.resolution)
    pattern = (
        ((2 * torch.rand(size, generator=random) - 1) * eps).to(estimator.device).requires_grad_()
    )
    optimiser = torch.optim.Adam([pattern], lr=eps / 50)
    best, start, before, halved, step = (-np.inf, pattern.detach().clone()), 0.0, 0.0, 0, 0
    with _norms(estimator) as norms:
        for step in range(1, steps + 1):
            objective = _objective(estimator, pattern, norms)
            value = float(objective.detach())
            start = value if step == 1 else start
            best = max(best, (value, pattern.detach().clone()), key=lambda pair: pair[0])
            (pattern.grad,) = torch.autograd.grad(-objective, pattern)
            optimiser.step()
            with torch.no_grad():
                pattern.clamp_(-eps, eps)
                saturation = _saturation(pattern, eps)
                still = abs(saturation - before) < STILL
                before = saturation
                if saturation > SATURATED and still:
                    halved += 1
                    if halved == rescalings:
                        break
                    pattern /= 2
        with torch.no_grad():
            best = max(
                best,
                (float(_objective(estimator, pattern, norms)), pattern.detach()),
                key=lambda pair: pair[0],
            )
    found = best[1][0].permute(1, 2, 0).cpu().numpy().astype(np.float32)
    return Perturbation(found, best[0], start, step, halved, _saturation(best[1], eps))


def save_perturbation(
    file: str | Path, found: Perturbation, eps: float, estimator: Estimator
) -> None:
    """Writes what :class:`~hrtk.datasets.transforms.AddPerturbation` reads, and what made it.

    The npz holds ``perturbation`` (R, R, 3) float32, ``eps``, ``resolution``, ``objective``, ``start``, ``steps``,
    ``rescalings``, ``saturation``, ``weights`` (the network's hash) and ``versions`` (json).
    """
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {key: value for key, value in dataclasses.asdict(found).items() if key != 'pattern'}
    with open(path, 'wb') as stream:
        np.savez_compressed(
            stream,
            perturbation=found.pattern,
            eps=eps,
            resolution=estimator.resolution,
            weights=estimator.fingerprint()['weights'],
            versions=json.dumps(versions()),
            **record,
        )


@contextlib.contextmanager
def _norms(estimator: Estimator) -> Iterator[list[Tensor]]:
    """Log norms of what every convolution gives, gathered anew by whoever clears the list."""
    found: list[Tensor] = []
    layers = [module for module in estimator.modules() if isinstance(module, nn.Conv2d)]
    if not layers:
        raise InputError(f'craft: {type(estimator).__name__} has no convolution to excite')
    hooks = [
        layer.register_forward_hook(
            lambda _, __, output: found.append(output.norm().clamp_min(1e-12).log())
        )
        for layer in layers
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _objective(estimator: Estimator, pattern: Tensor, norms: list[Tensor]) -> Tensor:
    norms.clear()
    estimator(normalise(GREY + pattern))
    return torch.stack(norms).sum()


def _saturation(pattern: Tensor, eps: float) -> float:
    return float((pattern.abs() >= eps * (1 - 1e-6)).float().mean())
