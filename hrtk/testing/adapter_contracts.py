"""The contracts that hrtk relies on in an adapter, as checks that a plugin's own tests can run."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Iterable, Iterator
from typing import Any, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch
from torch import Tensor

from hrtk.adapters import RESETS
from hrtk.adapters.run import copied_weights
from hrtk.errors import InputError
from hrtk.geometry.assignment import best_pairs
from hrtk.registry import ADAPTERS
from hrtk.structures import Keypoints2D, Sequence
from hrtk.testing.contracts import Contracts
from hrtk.testing.trial import (
    Killed,
    MemoryPreparation,
    Outcome,
    Setting,
    Trial,
    difference,
    seed,
    through_a_file,
)

BASE = 'hrtk/adapters/base.py'
DESIGN = 'docs/en/design.md'
TUTORIAL = 'docs/en/tutorials/write_an_adapter.md'
SHAPES = dict(rotmat=(1, 24, 3, 3), betas=(1, 10), camera=(1, 3))
ORTHONORMAL = 1e-3  # the error that float32 and a network's Gram-Schmidt leave

ADAPTER_CONTRACTS = Contracts()


def check_adapter(
    adapter: dict,
    estimator: Optional[dict] = None,
    sequences: Optional[SequenceOf[Sequence]] = None,
    skip: Iterable[str] = (),
) -> None:
    """Checks that an adapter keeps every contract that a run relies on; for the tests of plugins.

    Every check makes runs of its own on the processor, about ten in all, so the config should be tiny: few iterations,
    no large files, and rates at which frames still look different from each other.

    Args:
        adapter: config, e.g. ``dict(type='MyAdapter', steps=1)``.
        estimator: config; default a ResNet of width 4 on 32 px with random weights, BatchNorm and dropout.
        sequences: two or more, of at least three frames; default noise in changing colours, with keypoints of which a
            tenth is missing, masks and ground truth.
        skip: names of :data:`ADAPTER_CONTRACTS` that the adapter does not keep on purpose, e.g. ``('buffers',)`` of one
            that updates BatchNorm's statistics.

    Raises:
        BrokenContract: an ``AssertionError`` that names the contract, what was observed, and where it is documented.
    """
    examined = None
    if sequences is not None:
        examined = list(sequences)
    setting = Setting(adapter, estimator, examined)
    ADAPTER_CONTRACTS.examine(setting, str(adapter.get('type')), skip)


@ADAPTER_CONTRACTS.add(
    'building it does not change its config, and `reset` is one of a few words',
    f'{DESIGN}, "What resets, and what carries over"',
)
def config(setting: Setting) -> Iterator[str]:
    given = copy.deepcopy(setting.config)
    adapter = ADAPTERS.build(given)
    if given != setting.config:
        yield f'the config is {given} after building, {setting.config} before'
    if adapter.reset not in RESETS:
        yield f'reset is {adapter.reset!r}, not one of {RESETS}'


@ADAPTER_CONTRACTS.add(
    '`prepare` returns None or a whole, finite state dict of the estimator',
    f'{BASE}, Adapter.prepare',
)
def prepare(setting: Setting) -> Iterator[str]:
    adapter = setting.build()
    prepared = adapter.prepare(setting.estimator(), setting.sequences, MemoryPreparation())
    if prepared is None:
        return
    shapes = {name: value.shape for name, value in prepared.items()}
    expected = {name: value.shape for name, value in setting.network.state_dict().items()}
    if shapes != expected:
        different = sorted(set(shapes) ^ set(expected))[:3]
        yield f"other names or shapes than the estimator's, e.g. {different}"
    for name, value in prepared.items():
        if not torch.isfinite(value.float()).all():
            yield f'{name} is not finite'


@ADAPTER_CONTRACTS.add(
    'a session yields one Prediction of batch size one per frame', f'{BASE}, Session.run'
)
def frames(setting: Setting) -> Iterator[str]:
    predictions = setting.baseline.outcome.predictions
    expected = len(setting.sequences[1])
    if len(predictions) != expected:
        yield f'{len(predictions)} predictions for {expected} frames'
    for number, prediction in enumerate(predictions):
        for name, shape in SHAPES.items():
            actual = tuple(getattr(prediction, name).shape)
            if actual != shape:
                yield f'prediction {number}: {name} is {actual}, expected {shape}'


@ADAPTER_CONTRACTS.add(
    'predictions are finite and their rotmat are rotations', 'hrtk/structures.py, Prediction'
)
def rotations(setting: Setting) -> Iterator[str]:
    yield from wrong_numbers(setting.baseline.outcome.tensors())


@ADAPTER_CONTRACTS.add(
    "the estimator's buffers (BatchNorm's statistics) stay those of training",
    'docs/en/estimators.md, "What the networks have in common"',
)
def buffers(setting: Setting) -> Iterator[str]:
    before = dict(setting.network.named_buffers())
    for name, value in setting.baseline.estimator.named_buffers():
        if not torch.equal(value, before[name]):
            yield f'{name} changed'


@ADAPTER_CONTRACTS.add('predictions come in the order of the frames', f'{BASE}, Session.run')
def order(setting: Setting) -> Iterator[str]:
    trial = setting.baseline
    sequence = setting.sequences[1]
    estimator = setting.estimator()
    estimator.load_state_dict(trial.start_weights)
    with torch.no_grad():
        crops = estimator.crops(sequence, range(len(sequence)))
        before = estimator(crops).rotmat.flatten(1)
    after = trial.outcome.tensors()['rotmat'].to(before).flatten(1)
    # A change that adaptation makes to all frames alike does not depend on their order.
    distance = torch.cdist(after - after.mean(0), before - before.mean(0))
    best = [frame for _, frame in best_pairs(-distance.numpy())]
    if best != list(range(len(sequence))):
        yield f"compared with the start model's predictions, they are nearest to the frames {best}"


@ADAPTER_CONTRACTS.add(
    'a session never yields inside torch.no_grad(): its caller would inherit that',
    f'{BASE}, Session.run',
)
def grad_mode(setting: Setting) -> Iterator[str]:
    grad_enabled = setting.baseline.outcome.grad_enabled
    if not all(grad_enabled):
        yield f'gradients are off after the yield of frame {grad_enabled.index(False)}'


@ADAPTER_CONTRACTS.add('the same seed gives the same digits', f'{DESIGN}, "Randomness"')
def seeds(setting: Setting) -> Iterator[str]:
    again = Trial(setting).adapt(setting.sequences[1])
    problem = difference(again, setting.baseline.outcome.tensors())
    if problem:
        yield f'in a second run with the same seeds, {problem}'


@ADAPTER_CONTRACTS.add(
    "with reset='sequence' or 'frame' a result does not depend on the sequences before it",
    f'{DESIGN}, "What resets, and what carries over"',
)
def isolation(setting: Setting) -> Iterator[str]:
    trial = Trial(setting)
    if trial.adapter.reset == 'never':
        return
    trial.adapt(setting.sequences[0])
    after_another = trial.adapt(setting.sequences[1])
    problem = difference(after_another, setting.baseline.outcome.tensors())
    if problem:
        yield f'after another sequence, {problem}'


@ADAPTER_CONTRACTS.add(
    "with reset='never', the session's state_dict() and the estimator's weights are all that carries over",
    f'{BASE}, Session.state_dict',
)
def state(setting: Setting) -> Iterator[str]:
    first, second = setting.sequences[:2]
    trial = Trial(setting)
    if trial.adapter.reset != 'never':
        return
    trial.adapt(first)
    weights = through_a_file(copied_weights(trial.estimator))
    session_state = through_a_file(trial.run.state_dict())
    resumed = Trial(setting)
    resumed.run.resume(weights, session_state)
    problem = difference(resumed.adapt(second), trial.adapt(second))
    if problem:
        yield f'in a run that was interrupted between two sequences, {problem}'


@ADAPTER_CONTRACTS.add(
    'a session with a `midway_state` continues inside a sequence with the same digits',
    f'{BASE}, Session.midway_state',
)
def midway(setting: Setting) -> Iterator[str]:
    sequence = setting.sequences[1]
    whole = setting.baseline.outcome.tensors()
    for done in range(1, len(sequence)):
        trial = Trial(setting)
        seed(sequence.name)
        predictions: Any = trial.run.run(sequence)  # a generator
        first = [next(predictions) for _ in range(done)]
        state = trial.run.midway_state(done)
        if state is None:
            continue
        state = through_a_file(state)
        generators = random.getstate(), np.random.get_state(), torch.get_rng_state()
        predictions.close()
        resumed = Trial(setting)
        random.setstate(generators[0])
        np.random.set_state(generators[1])
        torch.set_rng_state(generators[2])
        rest = list(resumed.run.run_from(sequence, done, state))
        problem = difference(Outcome([*first, *rest], []).tensors(), whole)
        if problem:
            yield f'in a run that was interrupted behind frame {done}, {problem}'


@ADAPTER_CONTRACTS.add(
    'a `prepare` that was killed resumes from its last state, with the same digits',
    f'{DESIGN}, "What resets, and what carries over"',
)
def resumed(setting: Setting) -> Iterator[str]:
    preparation = MemoryPreparation()
    expected = Trial(setting, preparation).prepared
    yield from preparation.problems
    if expected is None:
        return
    middle = (preparation.reports + 1) // 2
    for kill in sorted({1, middle} - {0}):
        killed = MemoryPreparation(kill=kill)
        try:
            Trial(setting, killed)
        except Killed:
            pass
        again = Trial(setting, MemoryPreparation(killed.states)).prepared
        problem = difference(again or {}, expected)
        if problem:
            yield f'killed at report {kill} of {preparation.reports} and started again, {problem}'
    finished = {name: value + 1 for name, value in expected.items()}
    returned = Trial(setting, MemoryPreparation({'result': finished})).prepared
    if difference(returned or {}, finished):
        yield 'preparation.result() has finished weights, and other weights are returned'


@ADAPTER_CONTRACTS.add('a sequence may have one frame', f'{TUTORIAL}, "What it will meet"')
def one_frame(setting: Setting) -> Iterator[str]:
    sequence = dataclasses.replace(setting.sequences[1].part(0, 1), truth=None)
    yield from wrong_numbers(Trial(setting).adapt(sequence), 1)


@ADAPTER_CONTRACTS.add(
    'frames may have no keypoints; a sequence without any is adapted or refused by an InputError',
    f'{TUTORIAL}, "What it will meet"',
)
def no_keypoints(setting: Setting) -> Iterator[str]:
    sequence = setting.sequences[1]
    every_second = torch.arange(len(sequence)) % 2 == 0
    predicted = Trial(setting).adapt(_without_keypoints(sequence, every_second))
    yield from wrong_numbers(predicted, len(sequence))
    try:
        predicted = Trial(setting).adapt(
            _without_keypoints(sequence, torch.ones_like(every_second))
        )
    except InputError:
        return
    yield from wrong_numbers(predicted, len(sequence))


@ADAPTER_CONTRACTS.add('ground truth changes no prediction', f'{TUTORIAL}, "What it will meet"')
def no_truth(setting: Setting) -> Iterator[str]:
    blind = copy.copy(setting)
    blind.sequences = [dataclasses.replace(sequence, truth=None) for sequence in setting.sequences]
    predicted = Trial(blind).adapt(blind.sequences[1])
    problem = difference(predicted, setting.baseline.outcome.tensors())
    if problem:
        yield f'without ground truth, {problem}'


@ADAPTER_CONTRACTS.add(
    'fingerprint() holds strings that depend on files and nothing else',
    f'{BASE}, Adapter.fingerprint',
)
def fingerprint(setting: Setting) -> Iterator[str]:
    new = setting.build().fingerprint()
    used = setting.baseline.adapter.fingerprint()
    if not isinstance(new, dict) or not all(map(_is_text_pair, new.items())):
        yield f'not a dict of strings: {new!r}'
    if new != used or new != setting.build().fingerprint():
        yield f'it changes: {new} when built, {used} after a sequence'


@ADAPTER_CONTRACTS.add('counts holds numbers', f'{BASE}, Session.counts')
def counts(setting: Setting) -> Iterator[str]:
    for name, value in setting.baseline.run.counts.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f'{name} is {value!r}'


@ADAPTER_CONTRACTS.add(
    'sequences and the data set are read, not changed', f'{TUTORIAL}, "What must not change"'
)
def inputs(setting: Setting) -> Iterator[str]:
    setting.baseline  # this check is one of the last, so it covers the runs of the others as well
    for sequence, before in zip(setting.sequences, setting.pristine_sequences):
        old = _tensors(before)
        changed = [
            name for name, value in _tensors(sequence).items() if not _equal(value, old[name])
        ]
        if changed:
            yield f'{", ".join(changed)} of {sequence.name!r} changed'


@ADAPTER_CONTRACTS.add(
    'the body, which the frozen model shares, never changes and never requires gradients',
    f'{TUTORIAL}, "What must not change"',
)
def body(setting: Setting) -> Iterator[str]:
    setting.baseline
    shared = setting.network.body
    if shared is None or setting.pristine_body is None:
        return
    for name, old in setting.pristine_body.named_buffers():
        value = shared.get_buffer(name)
        if not torch.equal(value, old):
            yield f'{name} of the body changed'
        if value.requires_grad:
            yield f'{name} of the body requires a gradient'


def wrong_numbers(predicted: dict[str, Tensor], frames: Optional[int] = None) -> Iterator[str]:
    """Complaints about predictions: not finite, not rotations, not as many as frames."""
    for name, value in predicted.items():
        if frames is not None and len(value) != frames:
            yield f'{len(value)} predictions for {frames} frames'
        if not torch.isfinite(value).all():
            yield f'{name} is not finite'
    rotmat = predicted['rotmat'].double()
    identity = torch.eye(3, dtype=torch.float64, device=rotmat.device)
    error = (rotmat @ rotmat.mT - identity).abs().max()
    if not error < ORTHONORMAL:
        yield f'rotmat times its transpose is {error:.2g} from the identity'
    if not (torch.linalg.det(rotmat) > 0).all():
        yield 'rotmat holds a reflection'


def _without_keypoints(sequence: Sequence, frames: Tensor) -> Sequence:
    """The sequence with the keypoints of some frames taken away, (F,) bool."""
    keypoints = sequence.keypoints2d
    xy = keypoints.xy.clone()
    confidence = keypoints.confidence.clone()
    xy[frames] = torch.nan
    confidence[frames] = 0
    emptied = Keypoints2D(xy, confidence, keypoints.skeleton, keypoints.source)
    return dataclasses.replace(sequence, keypoints2d=emptied)


def _is_text_pair(pair: tuple[Any, Any]) -> bool:
    return all(isinstance(text, str) for text in pair)


def _tensors(sequence: Sequence) -> dict[str, Any]:
    """Copies of everything in a sequence that a run could change."""
    values: dict[str, Any] = dict(
        boxes=sequence.boxes,
        xy=sequence.keypoints2d.xy,
        confidence=sequence.keypoints2d.confidence,
        frames=torch.as_tensor(sequence.frames[0]),
    )
    if sequence.truth is not None:
        values.update(vars(sequence.truth))
    return {name: value.clone() for name, value in values.items() if isinstance(value, Tensor)}


def _equal(ours: Tensor, others: Tensor) -> bool:
    return torch.equal(ours.nan_to_num(-1), others.nan_to_num(-1))
