"""The properties of an estimator that hrtk relies on, as checks that a plugin's own tests can run."""

from __future__ import annotations

import copy
import inspect
import json
import math
import tempfile
from pathlib import Path
from typing import Callable, Iterable, Iterator, Optional

import torch
from torch import Tensor
from torch.func import functional_call

from hrtk.adapters.parts.gradients import twice_differentiable
from hrtk.errors import InputError
from hrtk.models.estimators import ClipEstimator, Estimator
from hrtk.registry import ESTIMATORS
from hrtk.structures import Prediction
from hrtk.testing.adapter_contracts import wrong_numbers
from hrtk.testing.contracts import Contracts
from hrtk.testing.random_sequences import coloured_sequence
from hrtk.testing.trial import seed, through_a_file

BASE = 'hrtk/models/estimators/base.py'
DESIGN = 'docs/en/design.md'
FRAMES = 3
SHAPES = dict(rotmat=(24, 3, 3), betas=(10,), camera=(3,))
FIELDS = tuple(SHAPES)
TOLERANCE = 1e-4  # of float32 sums in another order
STEP = 1e-6  # of finite differences in float64

ESTIMATOR_CONTRACTS = Contracts()


class Subject:
    """An estimator under test.

    Args:
        config: of the estimator.
        second_order: whether it can be differentiated twice.

    Attributes:
        model: built from the config, in evaluation mode.
        images: its ``crops`` of three frames.
        options: the arguments of its class.
    """

    def __init__(self, config: dict, second_order: bool) -> None:
        self.config = config
        self.second_order = second_order
        self.model = self.build()
        self.sequence = coloured_sequence('frames', FRAMES, 2 * self.model.resolution)
        self.images = self.model.crops(self.sequence, range(FRAMES))
        self.options = inspect.signature(type(self.model)).parameters

    def build(self, name: str = 'estimator', **options: object) -> Estimator:
        """Builds the estimator with other options and random weights from a seed, in evaluation mode."""
        seed(name)
        return ESTIMATORS.build({**copy.deepcopy(self.config), **options}).eval()

    def predict(self, model: Optional[Estimator] = None) -> dict[str, Tensor]:
        """Predicts the crops with a model, default :attr:`model`."""
        if model is None:
            model = self.model
        return _fields(model(self.images))

    def parameters(self) -> dict[str, Tensor]:
        """Returns copies of its parameters that require gradients."""
        return {
            name: value.detach().clone().requires_grad_()
            for name, value in self.model.named_parameters()
        }


def check_estimator(estimator: dict, second_order: bool = True, skip: Iterable[str] = ()) -> None:
    """Checks that an estimator fulfils every contract that adapters and runs rely on; for the tests of plugins.

    Args:
        estimator: config, small for speed, e.g. ``dict(type='HMR', backbone=dict(type='MyNet'), resolution=64)``.
        second_order: whether it can be differentiated twice, as adapters with ``order='second'`` do.
        skip: names of :data:`ESTIMATOR_CONTRACTS` that are not checked.

    Raises:
        BrokenContract: an ``AssertionError`` with the contract, the defect, and the page that documents the contract.
    """
    ESTIMATOR_CONTRACTS.examine(Subject(estimator, second_order), str(estimator.get('type')), skip)


@ESTIMATOR_CONTRACTS.add(
    'building it leaves its config unchanged', f'{DESIGN}, "Registries and plugins"'
)
def config(subject: Subject) -> Iterator[str]:
    built = copy.deepcopy(subject.config)
    ESTIMATORS.build(built)
    if built != subject.config:
        yield f'the config is {built} after building, {subject.config} before'


@ESTIMATOR_CONTRACTS.add(
    '`crops` reads, crops and normalises frames in the order of their indices',
    f'{BASE}, Estimator.crops',
)
def crops(subject: Subject) -> Iterator[str]:
    model = subject.model
    images = subject.images
    shape = model.input_shape
    if (
        not images.is_floating_point()
        or images.shape[-3:] != shape
        or images.device != model.device
    ):
        yield (
            f'{images.dtype} {tuple(images.shape)} on {images.device}, expected floats '
            f'(..., {", ".join(map(str, shape))}) on {model.device}'
        )
    joint = images.reshape(-1, *shape)
    if len(joint) != FRAMES:
        yield f'{len(joint)} crops for {FRAMES} frames'
    for t in range(FRAMES):
        single = model.crops(subject.sequence, [t]).reshape(-1, *shape)[0]
        difference = (single - joint[t]).abs().max()
        if not difference < TOLERANCE:
            yield (
                f'the crop of frame {t} read by itself differs by {difference:.2g} from its crop among {FRAMES} frames'
            )


@ESTIMATOR_CONTRACTS.add(
    '`forward` returns one prediction per crop', 'hrtk/structures.py, Prediction'
)
@torch.no_grad()
def shapes(subject: Subject) -> Iterator[str]:
    for images in (subject.images, subject.model.crops(subject.sequence, [0])):
        count = math.prod(images.shape[:-3])
        prediction = subject.model(images)
        for name, shape in SHAPES.items():
            predicted = tuple(getattr(prediction, name).shape)
            if predicted != (count, *shape):
                yield f'{name} is {predicted}, expected {(count, *shape)}'
        features = prediction.features
        if features is None:
            continue
        if features.ndim != 2 or len(features) != count:
            yield f'features are {tuple(features.shape)}, expected ({count}, F) or None'
        if not torch.isfinite(features).all():
            yield 'features are not finite'


@ESTIMATOR_CONTRACTS.add(
    'predictions are finite and their rotmat are rotations', 'hrtk/structures.py, Prediction'
)
@torch.no_grad()
def rotations(subject: Subject) -> Iterator[str]:
    yield from wrong_numbers(subject.predict())


@ESTIMATOR_CONTRACTS.add(
    'in evaluation mode a pass draws no random numbers, changes no state and is repeatable',
    f'{DESIGN}, "Gradients through a step"',
)
@torch.no_grad()
def evaluation(subject: Subject) -> Iterator[str]:
    before = copy.deepcopy(subject.model.state_dict())
    random_state = torch.get_rng_state()
    first = subject.predict()
    second = subject.predict()
    for name in FIELDS:
        if not torch.equal(first[name], second[name]):
            yield f'{name} differs between two passes over the same crops'
    if not torch.equal(random_state, torch.get_rng_state()):
        yield 'random numbers were drawn'
    for name, value in subject.model.state_dict().items():
        if not torch.equal(value, before[name]):
            yield f'{name} changed'


@ESTIMATOR_CONTRACTS.add(
    'in evaluation mode the prediction of a crop does not depend on its batch',
    f'{DESIGN}, "Gradients through a step"',
)
@torch.no_grad()
def independence(subject: Subject) -> Iterator[str]:
    images = subject.images
    if isinstance(subject.model, ClipEstimator):
        images = torch.cat([images, images.flip(1)])  # crops are one clip, and a batch needs two
    joint = _fields(subject.model(images))
    single = _fields(Prediction.cat([subject.model(image) for image in images.split(1)]))
    for name in FIELDS:
        difference = (joint[name] - single[name]).abs().max()
        if not difference < TOLERANCE:
            yield f'{name} differs by {difference:.2g} between one batch and batches of one'


@ESTIMATOR_CONTRACTS.add(
    'forward(x) is from_trunk(trunk(x)), and `trunk` uses no parameter that is `behind_trunk`',
    f'{BASE}, Estimator',
)
def trunk(subject: Subject) -> Iterator[str]:
    model = subject.model
    expected = subject.predict()
    maps = model.trunk(subject.images)
    for name, value in _fields(model.from_trunk(maps)).items():
        if not (value - expected[name]).abs().max() < TOLERANCE:
            yield f'{name} differs between forward and from_trunk'
    behind = {name: value for name, value in model.named_parameters() if model.behind_trunk(name)}
    if not behind or not maps.requires_grad:
        return
    gradients = torch.autograd.grad(maps.sum(), list(behind.values()), allow_unused=True)
    for name, gradient in zip(behind, gradients):
        if gradient is not None:
            yield f'trunk uses {name}, for which behind_trunk returns True'


@ESTIMATOR_CONTRACTS.add(
    'functional_call evaluates it at other weights, with gradients to all weights that it uses',
    f'{DESIGN}, "Gradients through a step"',
)
def functional(subject: Subject) -> Iterator[str]:
    weights = subject.parameters()
    expected = subject.predict()
    copied = _fields(functional_call(subject.model, weights, (subject.images,)))
    for name in FIELDS:
        if not (copied[name] - expected[name]).abs().max() < TOLERANCE:
            yield f'{name} differs at copies of its own weights'
    all_gradients = torch.autograd.grad(_loss(copied), list(weights.values()), allow_unused=True)
    gradients = [gradient for gradient in all_gradients if gradient is not None]
    if not any(gradient.abs().max() > 0 for gradient in gradients):
        yield 'no weight gets a gradient'
    if not all(torch.isfinite(gradient).all() for gradient in gradients):
        yield 'a gradient is not finite'
    halves = {name: value.detach() / 2 for name, value in weights.items()}
    changed = _fields(functional_call(subject.model, halves, (subject.images,)))
    if all(torch.equal(changed[name], expected[name]) for name in FIELDS):
        yield 'other weights yield the same predictions: it does not use the weights of the call'


@ESTIMATOR_CONTRACTS.add('it can be differentiated twice', f'{DESIGN}, "Gradients through a step"')
def second_order(subject: Subject) -> Iterator[str]:
    if not subject.second_order:
        return
    model = copy.deepcopy(subject.model).double()
    images = subject.images.double()
    generator = torch.Generator().manual_seed(0)
    names = [name for name, _ in model.named_parameters()]
    # Not at the weights themselves: layers that start at zero put units on the kink of a ReLU.
    weights = [
        (value.detach() + 1e-3 * _noise(value, generator)).requires_grad_()
        for value in model.parameters()
    ]
    direction = [_noise(value, generator) for value in weights]
    length = _norm(direction)
    direction = [value / length for value in direction]

    def gradients(values: list[Tensor], create_graph: bool = False) -> tuple[Tensor, ...]:
        with twice_differentiable():
            fields = _fields(functional_call(model, dict(zip(names, values)), (images,)))
        return _gradients(_loss(fields), weights, create_graph)

    def gradients_at(step: float) -> tuple[Tensor, ...]:
        return gradients([value + step * way for value, way in zip(weights, direction)])

    first = gradients(weights, create_graph=True)
    slope = torch.stack([(gradient * way).sum() for gradient, way in zip(first, direction)]).sum()
    product = _gradients(slope, weights)
    expected = [
        (up - down) / (2 * STEP) for up, down in zip(gradients_at(STEP), gradients_at(-STEP))
    ]
    error = _norm([value - target for value, target in zip(product, expected)])
    size = _norm(expected)
    if not error <= 0.01 * size:
        yield f'a Hessian-vector product differs by {error / size:.1%} from the difference of two gradients'


@ESTIMATOR_CONTRACTS.add(
    'predictions depend on nothing besides state_dict() and the images, and a file can hold it',
    f'{DESIGN}, "What resets, and what carries over"',
)
@torch.no_grad()
def state(subject: Subject) -> Iterator[str]:
    other = subject.build('another seed')
    other.load_state_dict(through_a_file(subject.model.state_dict()))
    for name in _differing(subject.predict(other), subject.predict()):
        yield f'{name} differs after the weights were loaded into a second estimator'


@ESTIMATOR_CONTRACTS.add(
    'fingerprint() holds strings that change with the weights and with nothing else',
    f'{BASE}, Estimator.fingerprint',
)
def fingerprint(subject: Subject) -> Iterator[str]:
    hashes = subject.model.fingerprint()
    if not isinstance(hashes, dict) or not _all_strings(hashes):
        yield f'not a dict of strings: {hashes!r}'
    if json.dumps(hashes) != json.dumps(subject.build().fingerprint()):
        yield 'the fingerprints of two equal estimators differ'
    changed = subject.build()
    with torch.no_grad():
        next(changed.parameters()).add_(1)
    if changed.fingerprint() == hashes:
        yield 'it does not change with the weights'


@ESTIMATOR_CONTRACTS.add(
    '`weights` loads a complete file; a missing, damaged or foreign one raises an InputError',
    'hrtk/models/checkpoints.py, load_weights',
)
@torch.no_grad()
def weights(subject: Subject) -> Iterator[str]:
    if 'weights' not in subject.options:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        complete = folder / 'complete.pt'
        damaged = folder / 'damaged.pt'
        foreign = folder / 'foreign.pt'
        missing = folder / 'missing.pt'
        torch.save(subject.model.state_dict(), complete)
        damaged.write_bytes(complete.read_bytes()[:100])
        torch.save({'of.another': torch.zeros(3)}, foreign)
        for path in (missing, damaged, foreign):
            error = _error_of(lambda: subject.build(weights=str(path)))
            if not isinstance(error, InputError):
                yield f'a {path.stem} file raises {error!r}'
        loaded = subject.predict(subject.build('another seed', weights=str(complete)))
    for field in _differing(loaded, subject.predict()):
        yield f'{field} differs after its own weights were loaded from a file'


@ESTIMATOR_CONTRACTS.add('body=None builds no body and changes no prediction', f'{BASE}, Estimator')
@torch.no_grad()
def body(subject: Subject) -> Iterator[str]:
    if 'body' not in subject.options:
        return
    bodiless = subject.build(body=None)
    if bodiless.body is not None:
        yield 'it has a body despite body=None'
    bodiless.load_state_dict(subject.model.state_dict())
    for name in _differing(subject.predict(bodiless), subject.predict()):
        yield f'{name} differs without a body'


def _fields(prediction: Prediction) -> dict[str, Tensor]:
    return {name: getattr(prediction, name) for name in FIELDS}


def _differing(fields: dict[str, Tensor], expected: dict[str, Tensor]) -> Iterator[str]:
    """Yields the names of the fields that are not equal to the bit."""
    for name in FIELDS:
        if not torch.equal(fields[name], expected[name]):
            yield name


def _loss(fields: dict[str, Tensor]) -> Tensor:
    """Returns a scalar that depends on every predicted number."""
    return torch.stack([(value - 0.1).square().sum() for value in fields.values()]).sum()


def _gradients(
    scalar: Tensor, weights: list[Tensor], create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Returns the gradients with respect to weights, zero for those that were not used."""
    return torch.autograd.grad(
        scalar, weights, create_graph=create_graph, materialize_grads=True, allow_unused=True
    )


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def _norm(values: Iterable[Tensor]) -> Tensor:
    return torch.stack([value.square().sum() for value in values]).sum().sqrt()


def _all_strings(hashes: dict) -> bool:
    return all(isinstance(text, str) for text in (*hashes, *hashes.values()))


def _error_of(call: Callable[[], object]) -> Optional[Exception]:
    try:
        call()
    except Exception as error:
        return error
    return None
