"""Universal adversarial perturbations without data (Mopuri et al., GD-UAP, TPAMI 2018)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.apis.adaptation import load_config
from hrtk.apis.zoo.building import build_model
from hrtk.apis.zoo.metafiles import list_models
from hrtk.engine.versions import versions
from hrtk.errors import InputError, named_config
from hrtk.files import write_atomically
from hrtk.geometry.boxes import normalise
from hrtk.models.estimators import Estimator
from hrtk.registry import ESTIMATORS

GREY = 127.5  # of the image that is perturbed
MIN_SATURATION = 0.5  # share of the pattern at its bound from which it can be halved
MAX_SATURATION_CHANGE = 1e-4  # change of that share by the last step up to which it is halved


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """A crafted pattern and the statistics of its optimisation.

    Attributes:
        pattern: (R, R, 3) float32 grey levels within [-eps, eps].
        objective: its sum over the layers of the log of the activations' L2 norms.
        start: objective of the random initial pattern.
        steps: number of steps taken.
        rescalings: number of times it was halved.
        saturation: share of its values that are at -eps or eps.
    """

    pattern: np.ndarray
    objective: float
    start: float
    steps: int
    rescalings: int
    saturation: float


def load_estimator(network: str, weights: Optional[str] = None) -> Estimator:
    """Builds the ``estimator`` of a config, or a network that :func:`~hrtk.apis.build_model` builds by name.

    Args:
        network: path of a config, or name of a network.
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
        config = load_config(network, options)
        with named_config(config.filename):
            estimator = ESTIMATORS.build(config.get('estimator'))
    if not isinstance(estimator, Estimator):
        raise InputError(
            f'{network}: names no estimator; give an adapt config, or one of the image networks of '
            f'{", ".join(list_models())}'
        )
    return estimator.eval()


def craft(
    estimator: Estimator, eps: float, steps: int = 1000, rescalings: int = 5, seed: int = 0
) -> Perturbation:
    """Finds the pattern that excites all convolutions of a network most, on a grey image and without data.

    Maximises ``sum_l log ||activation_l||_2`` by Adam with steps of eps / 50 grey levels, clamped to [-eps, eps] after
    each. Once more than half of the pattern is at its bound and the last step changed that share by less than 1e-4, the
    pattern is halved (saturation re-scaling); the search ends with the ``rescalings``-th time. The pattern with the
    largest objective is returned. The official program selects by a validation on images instead.

    Args:
        estimator: the attacked network, in evaluation mode, on any device.
        eps: bound, grey levels in (0, 255]; 4, 8 and 16 in Rakesh et al., 2021.
        steps: maximum number of steps.
        rescalings: maximum number of saturations.
        seed: of the random initial pattern.

    Raises:
        InputError: a number is out of range, or the network has no convolutions.
    """
    if not 0 < eps <= 255 or min(steps, rescalings) < 1:
        raise InputError(
            f'craft: eps is in grey levels, above 0 and up to 255, steps and rescalings count '
            f'from 1; not {eps}, {steps}, {rescalings}'
        )
    pattern = _random_pattern(estimator, eps, seed)
    optimizer = torch.optim.Adam([pattern], lr=eps / 50)
    best = _Best(pattern.detach())
    start = 0.0
    saturation = 0.0
    halvings = 0
    with _log_norms(estimator) as norms:
        for step in range(1, steps + 1):
            objective = _objective(estimator, pattern, norms)
            value = float(objective.detach())
            best.update(value, pattern)
            if step == 1:
                start = value
            (pattern.grad,) = torch.autograd.grad(-objective, pattern)
            optimizer.step()
            with torch.no_grad():
                pattern.clamp_(-eps, eps)
                previous_saturation = saturation
                saturation = _saturation(pattern, eps)
                change = abs(saturation - previous_saturation)
                if saturation > MIN_SATURATION and change < MAX_SATURATION_CHANGE:
                    halvings += 1
                    if halvings == rescalings:
                        break
                    pattern /= 2
        with torch.no_grad():
            best.update(float(_objective(estimator, pattern, norms)), pattern)
    return Perturbation(
        pattern=best.pattern[0].permute(1, 2, 0).cpu().numpy().astype(np.float32),
        objective=best.objective,
        start=start,
        steps=step,
        rescalings=halvings,
        saturation=_saturation(best.pattern, eps),
    )


def save_perturbation(
    file: str | Path, perturbation: Perturbation, eps: float, estimator: Estimator
) -> None:
    """Writes a file for :class:`~hrtk.datasets.transforms.AddPerturbation`, with the statistics of its optimisation.

    The npz holds ``perturbation`` (R, R, 3) float32, ``eps``, ``resolution``, ``objective``, ``start``, ``steps``,
    ``rescalings``, ``saturation``, ``weights`` (the network's hash) and ``versions`` (json).
    """
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    statistics = dataclasses.asdict(perturbation)
    pattern = statistics.pop('pattern')
    content = dict(
        perturbation=pattern,
        eps=eps,
        resolution=estimator.resolution,
        weights=estimator.fingerprint()['weights'],
        versions=json.dumps(versions()),
        **statistics,
    )
    write_atomically(path, lambda stream: np.savez_compressed(stream, **content))


class _Best:
    """The pattern with the largest objective.

    Args:
        pattern: (1, 3, R, R) initial pattern.
    """

    def __init__(self, pattern: Tensor) -> None:
        self.objective = -math.inf
        self.pattern = pattern.clone()

    def update(self, objective: float, pattern: Tensor) -> None:
        if objective > self.objective:
            self.objective = objective
            self.pattern = pattern.detach().clone()


def _random_pattern(estimator: Estimator, eps: float, seed: int) -> Tensor:
    """(1, 3, R, R) uniform in [-eps, eps], with gradients."""
    generator = torch.Generator().manual_seed(seed)
    shape = (1, 3, estimator.resolution, estimator.resolution)
    uniform = torch.rand(shape, generator=generator)
    return ((2 * uniform - 1) * eps).to(estimator.device).requires_grad_()


@contextlib.contextmanager
def _log_norms(estimator: Estimator) -> Iterator[list[Tensor]]:
    """A list to which every convolution appends the log norm of its output in a forward pass."""
    norms: list[Tensor] = []

    def append_norm(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        norms.append(output.norm().clamp_min(1e-12).log())

    layers = [module for module in estimator.modules() if isinstance(module, nn.Conv2d)]
    if not layers:
        raise InputError(f'craft: {type(estimator).__name__} has no convolution to excite')
    hooks = [layer.register_forward_hook(append_norm) for layer in layers]
    try:
        yield norms
    finally:
        for hook in hooks:
            hook.remove()


def _objective(estimator: Estimator, pattern: Tensor, norms: list[Tensor]) -> Tensor:
    norms.clear()
    estimator(normalise(GREY + pattern))
    return torch.stack(norms).sum()


def _saturation(pattern: Tensor, eps: float) -> float:
    return float((pattern.abs() >= eps * (1 - 1e-6)).float().mean())
