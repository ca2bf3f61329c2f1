"""What hrtk relies on in an estimator, as checks that a plugin's own tests can run."""

from __future__ import annotations

import copy
import inspect
import json
import math
import tempfile
from pathlib import Path
from typing import Iterable, Iterator, Optional

import torch
from torch import Tensor
from torch.func import functional_call

from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.registry import ESTIMATORS
from hrtk.structures import Prediction
from hrtk.testing.adapter_contracts import wrong_numbers
from hrtk.testing.contracts import Contracts
from hrtk.testing.random_sequences import coloured_sequence
from hrtk.testing.trial import seed, through_a_file

BASE, DESIGN = 'hrtk/models/estimators/base.py', 'docs/en/design.md'
TUTORIAL = 'docs/en/tutorials/add_a_backbone.md, "Check it"'
FRAMES = 3
SHAPES = dict(rotmat=(24, 3, 3), betas=(10,), camera=(3,))
CLOSE = 1e-4  # what float32 leaves where sums are taken in another order
STEP = 1e-6  # of finite differences in float64
FIELDS = ('rotmat', 'betas', 'camera')

ESTIMATOR_CONTRACTS = Contracts()


class Subject:
    """An estimator under examination.

    Attributes:
        model: built from the config, in evaluation mode.
        images: what its ``crops`` gives for three frames.
        takes: arguments of its class.
        second: whether it is differentiated twice.
    """

    def __init__(self, config: dict, second: bool) -> None:
        self.config, self.second = config, second
        self.model = self.build()
        self.sequence = coloured_sequence('frames', FRAMES, 2 * self.model.resolution)
        self.images = self.model.crops(self.sequence, range(FRAMES))
        self.takes = inspect.signature(type(self.model)).parameters

    def build(self, name: str = 'estimator', **options: object) -> Estimator:
        """The estimator with other options and a seed's random weights, in evaluation mode."""
        seed(name)
        return ESTIMATORS.build({**copy.deepcopy(self.config), **options}).eval()

    def parameters(self) -> dict[str, Tensor]:
        """Copies of its parameters that ask for gradients."""
        return {
            name: value.detach().clone().requires_grad_()
            for name, value in self.model.named_parameters()
        }


def check_estimator(estimator: dict, second_order: bool = True, skip: Iterable[str] = ()) -> None:
    """Checks that an estimator keeps every contract that adapters and runs rely on; for the tests of plugins.

    Args:
        estimator: config, small for speed, e.g. ``dict(type='HMR', backbone=dict(type='MyNet'), resolution=64)``.
        second_order: whether it can be differentiated twice, which adapters with ``order='second'`` do.
        skip: names of :data:`ESTIMATOR_CONTRACTS` to leave out.

    Raises:
        BrokenContract: an ``AssertionError`` that names the contract, what was found, and where it is documented.
    """
    ESTIMATOR_CONTRACTS.examine(Subject(estimator, second_order), str(estimator.get('type')), skip)


@ESTIMATOR_CONTRACTS.add(
    'building it leaves its config as it is', f'{DESIGN}, "Registries and plugins"'
)
def config(subject: Subject) -> Iterator[str]:
    given = copy.deepcopy(subject.config)
    ESTIMATORS.build(given)
    if given != subject.config:
        yield f'the config is {given} after building, {subject.config} before'


@ESTIMATOR_CONTRACTS.add(
    '`crops` reads, crops and normalises frames in the order asked for', f'{BASE}, Estimator.crops'
)
def crops(subject: Subject) -> Iterator[str]:
    model, side = subject.model, subject.model.resolution
    images = subject.images
    if (
        not images.is_floating_point()
        or images.shape[-3:] != (3, side, side)
        or images.device != model.device
    ):
        yield (
            f'{images.dtype} {tuple(images.shape)} on {images.device}, expected floats (..., 3, {side}, {side}) on '
            f'{model.device}'
        )
    flat = images.reshape(-1, 3, side, side)
    if len(flat) != FRAMES:
        yield f'{len(flat)} pictures for {FRAMES} frames'
    for t in range(FRAMES):
        apart = (
            (model.crops(subject.sequence, [t]).reshape(-1, 3, side, side)[0] - flat[t]).abs().max()
        )
        if not apart < CLOSE:
            yield f'frame {t} alone differs by {apart:.2g} from the same frame among {FRAMES}'


@ESTIMATOR_CONTRACTS.add(
    '`forward` gives one Prediction per crop', 'hrtk/structures.py, Prediction'
)
@torch.no_grad()
def shapes(subject: Subject) -> Iterator[str]:
    for images in (subject.images, subject.model.crops(subject.sequence, [0])):
        count, prediction = _count(images), subject.model(images)
        for name, shape in SHAPES.items():
            found = tuple(getattr(prediction, name).shape)
            if found != (count, *shape):
                yield f'{name} is {found}, expected {(count, *shape)}'
        features = prediction.features
        if features is not None and (features.ndim != 2 or len(features) != count):
            yield f'features are {tuple(features.shape)}, expected ({count}, F) or None'
        if features is not None and not torch.isfinite(features).all():
            yield 'features are not finite'


@ESTIMATOR_CONTRACTS.add(
    'predictions are finite and their rotmat are rotations', 'hrtk/structures.py, Prediction'
)
@torch.no_grad()
def rotations(subject: Subject) -> Iterator[str]:
    yield from wrong_numbers(_fields(subject.model(subject.images)))


@ESTIMATOR_CONTRACTS.add(
    'in evaluation mode it draws nothing, changes nothing and repeats itself',
    f'{DESIGN}, "Gradients through a step"',
)
@torch.no_grad()
def evaluation(subject: Subject) -> Iterator[str]:
    before, random = copy.deepcopy(subject.model.state_dict()), torch.get_rng_state()
    first, second = (_fields(subject.model(subject.images)) for _ in range(2))
    for name in FIELDS:
        if not torch.equal(first[name], second[name]):
            yield f'{name} differs between two passes over the same crops'
    if not torch.equal(random, torch.get_rng_state()):
        yield 'random numbers were drawn'
    for name, value in subject.model.state_dict().items():
        if not torch.equal(value, before[name]):
            yield f'{name} changed'


@ESTIMATOR_CONTRACTS.add(
    'in evaluation mode a crop is predicted alike in every batch',
    f'{DESIGN}, "Gradients through a step"',
)
@torch.no_grad()
def independence(subject: Subject) -> Iterator[str]:
    images = (
        subject.images
        if subject.images.ndim == 4
        else torch.cat([subject.images, subject.images.flip(1)])
    )
    joint, apart = (
        subject.model(images),
        Prediction.cat([subject.model(part) for part in images.split(1)]),
    )
    for name in FIELDS:
        worst = (getattr(joint, name) - getattr(apart, name)).abs().max()
        if not worst < CLOSE:
            yield f'{name} differs by {worst:.2g} between one batch and crops one by one'


@ESTIMATOR_CONTRACTS.add(
    'forward(x) is from_trunk(trunk(x)), and `behind_trunk` names weights that trunk does not see',
    f'{BASE}, Estimator',
)
def trunk(subject: Subject) -> Iterator[str]:
    model = subject.model
    whole, maps = _fields(model(subject.images)), model.trunk(subject.images)
    for name, value in _fields(model.from_trunk(maps)).items():
        if not (value - whole[name]).abs().max() < CLOSE:
            yield f'{name} is another after the cut'
    behind = {name: value for name, value in model.named_parameters() if model.behind_trunk(name)}
    if maps.requires_grad:
        gradients = (
            torch.autograd.grad(maps.sum(), list(behind.values()), allow_unused=True)
            if behind
            else ()
        )
        seen = [name for name, gradient in zip(behind, gradients) if gradient is not None]
        if seen:
            yield f'trunk sees {seen[0]}, which behind_trunk says it does not'


@ESTIMATOR_CONTRACTS.add(
    'functional_call evaluates it at other weights, with gradients to all that take part',
    f'{DESIGN}, "Gradients through a step"',
)
def functional(subject: Subject) -> Iterator[str]:
    weights = subject.parameters()
    same, own = (
        _fields(functional_call(subject.model, weights, (subject.images,))),
        _fields(subject.model(subject.images)),
    )
    gradients = torch.autograd.grad(_scalar(same), list(weights.values()), allow_unused=True)
    for name in FIELDS:
        if not (same[name] - own[name]).abs().max() < CLOSE:
            yield f'{name} is another at copies of its own weights'
    found = [gradient for gradient in gradients if gradient is not None]
    if not found or not any(gradient.abs().max() > 0 for gradient in found):
        yield 'no weight gets a gradient'
    if not all(torch.isfinite(gradient).all() for gradient in found):
        yield 'a gradient is not finite'
    halves = {name: value.detach() / 2 for name, value in weights.items()}
    moved = _fields(functional_call(subject.model, halves, (subject.images,)))
    if all(torch.equal(moved[name], own[name]) for name in FIELDS):
        yield 'other weights give the same predictions: it does not look at those it is given'


@ESTIMATOR_CONTRACTS.add('it can be differentiated twice', f'{DESIGN}, "Gradients through a step"')
def second_order(subject: Subject) -> Iterator[str]:
    if not subject.second:
        return
    model, images = copy.deepcopy(subject.model).double(), subject.images.double()
    generator = torch.Generator().manual_seed(0)

    def noise(value: Tensor) -> Tensor:
        return torch.randn(value.shape, generator=generator, dtype=value.dtype).to(value.device)

    # Not at the weights themselves: layers that start at zero put units on the kink of a ReLU.
    weights = {
        name: (value.detach() + 1e-3 * noise(value)).requires_grad_()
        for name, value in model.named_parameters()
    }
    way = {name: noise(value) for name, value in weights.items()}
    length = sum(value.square().sum() for value in way.values()).sqrt()
    way = {name: value / length for name, value in way.items()}

    def slopes(step: float, graph: bool = False) -> list[Tensor]:
        moved = (
            {name: value + step * way[name] for name, value in weights.items()} if step else weights
        )
        loss = _scalar(_fields(functional_call(model, moved, (images,))))
        return torch.autograd.grad(
            loss,
            list(weights.values()),
            create_graph=graph,
            materialize_grads=True,
            allow_unused=True,
        )

    along = sum(
        (gradient * way[name]).sum() for name, gradient in zip(weights, slopes(0, graph=True))
    )
    found = torch.autograd.grad(
        along, list(weights.values()), allow_unused=True, materialize_grads=True
    )
    pairs = list(zip(slopes(STEP), slopes(-STEP)))
    wanted = [(up - down) / (2 * STEP) for up, down in pairs]
    apart = sum((a - b).square().sum() for a, b in zip(found, wanted)).sqrt()
    size = sum(b.square().sum() for b in wanted).sqrt()
    if not apart <= 0.01 * size:
        yield f'a Hessian-vector product is {apart / size:.1%} from the difference of two gradients'


@ESTIMATOR_CONTRACTS.add(
    'state_dict() is all that predictions depend on, and files hold it',
    f'{DESIGN}, "What resets, and what carries over"',
)
@torch.no_grad()
def state(subject: Subject) -> Iterator[str]:
    other = subject.build('another seed')
    other.load_state_dict(through_a_file(subject.model.state_dict()))
    found, wanted = _fields(other(subject.images)), _fields(subject.model(subject.images))
    for name in FIELDS:
        if not torch.equal(found[name], wanted[name]):
            yield f'{name} is another after the weights were loaded into a second one'


@ESTIMATOR_CONTRACTS.add(
    'fingerprint() holds strings that change with the weights and with nothing else',
    f'{BASE}, Estimator.fingerprint',
)
def fingerprint(subject: Subject) -> Iterator[str]:
    own = subject.model.fingerprint()
    if not isinstance(own, dict) or any(
        not isinstance(text, str) for pair in own.items() for text in pair
    ):
        yield f'not a dict of strings: {own!r}'
    if json.dumps(own) != json.dumps(subject.build().fingerprint()):
        yield 'two that were built alike differ'
    moved = subject.build()
    with torch.no_grad():
        next(moved.parameters()).add_(1)
    if moved.fingerprint() == own:
        yield 'it stays when weights change'


@ESTIMATOR_CONTRACTS.add(
    '`weights` loads a file whole; a missing, broken or foreign one is an InputError',
    'hrtk/models/checkpoints.py, load_weights',
)
@torch.no_grad()
def weights(subject: Subject) -> Iterator[str]:
    if 'weights' not in subject.takes:
        return
    with tempfile.TemporaryDirectory() as folder:
        good, broken, foreign = (
            Path(folder) / f'{name}.pt' for name in ('good', 'broken', 'foreign')
        )
        torch.save(subject.model.state_dict(), good)
        broken.write_bytes(good.read_bytes()[:100])
        torch.save({'of.another': torch.zeros(3)}, foreign)
        for path in (Path(folder) / 'missing.pt', broken, foreign):
            error = _error_of(lambda: subject.build(weights=str(path)))
            if not isinstance(error, InputError):
                yield f'a {path.stem} file gives {error!r}'
        found = _fields(subject.build('another seed', weights=str(good))(subject.images))
        for name, value in _fields(subject.model(subject.images)).items():
            if not torch.equal(found[name], value):
                yield f'{name} is another after its own weights were loaded from a file'


@ESTIMATOR_CONTRACTS.add(
    'body=None leaves the body out and changes no prediction', f'{BASE}, Estimator'
)
@torch.no_grad()
def body(subject: Subject) -> Iterator[str]:
    if 'body' not in subject.takes:
        return
    bare = subject.build(body=None)
    if bare.body is not None:
        yield 'body=None, and it has one'
    bare.load_state_dict(subject.model.state_dict())
    for name, value in _fields(bare(subject.images)).items():
        if not torch.equal(value, _fields(subject.model(subject.images))[name]):
            yield f'{name} is another without a body'


def _fields(prediction: Prediction) -> dict[str, Tensor]:
    return {name: getattr(prediction, name) for name in FIELDS}


def _scalar(fields: dict[str, Tensor]) -> Tensor:
    return sum((value - 0.1).square().sum() for value in fields.values())


def _count(images: Tensor) -> int:
    return math.prod(images.shape[:-3])


def _error_of(call) -> Optional[Exception]:
    try:
        call()
    except Exception as error:
        return error
    return None
