"""What hrtk relies on in an adapter, as checks that a plugin's own tests can run."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any, Iterable, Iterator, Optional
from typing import Sequence as SequenceOf

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hrtk.adapters import RESETS
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS
from hrtk.structures import Keypoints2D, Sequence
from hrtk.testing.contracts import Contracts
from hrtk.testing.trial import (
    Killed,
    MemoryPreparation,
    Setting,
    Trial,
    difference,
    stored,
    weights_of,
)

BASE, DESIGN = 'hrtk/adapters/base.py', 'docs/en/design.md'
TUTORIAL = 'docs/en/tutorials/write_an_adapter.md'
SHAPES = dict(rotmat=(1, 24, 3, 3), betas=(1, 10), camera=(1, 3))
ORTHONORMAL = 1e-3  # what float32 and a Gram-Schmidt of networks leave

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
        skip: names of :data:`ADAPTER_CONTRACTS` that the adapter does not want to keep, e.g. ``('buffers',)`` of one
            that updates BatchNorm's statistics.

    Raises:
        BrokenContract: an ``AssertionError`` that names the contract, what was found, and where it is documented.
    """
    setting = Setting(adapter, estimator, list(sequences) if sequences is not None else None)
    ADAPTER_CONTRACTS.examine(setting, str(adapter.get('type')), skip)


@ADAPTER_CONTRACTS.add(
    'building it leaves its config as it is, and `reset` is one of a few words',
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
    adapter, own = setting.build(), setting.network.state_dict()
    prepared = adapter.prepare(setting.estimator(), setting.sequences, MemoryPreparation())
    if prepared is None:
        return
    if {name: value.shape for name, value in prepared.items()} != {
        name: value.shape for name, value in own.items()
    }:
        yield f"other names or shapes than the estimator's, e.g. {sorted(set(prepared) ^ set(own))[:3]}"
    for name, value in prepared.items():
        if not torch.isfinite(value.float()).all():
            yield f'{name} is not finite'


@ADAPTER_CONTRACTS.add(
    '`adapt` yields one Prediction of batch size one per frame', f'{BASE}, Adapter'
)
def frames(setting: Setting) -> Iterator[str]:
    parts, wanted = setting.baseline.outcome.parts, len(setting.sequences[1])
    if len(parts) != wanted:
        yield f'{len(parts)} predictions for {wanted} frames'
    for number, part in enumerate(parts):
        for name, shape in SHAPES.items():
            if getattr(part, name).shape != shape:
                yield f'prediction {number}: {name} is {tuple(getattr(part, name).shape)}, expected {shape}'


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
    run = setting.baseline
    for name, value in run.estimator.named_buffers():
        if not torch.equal(value, dict(setting.network.named_buffers())[name]):
            yield f'{name} changed'


@ADAPTER_CONTRACTS.add('predictions come in the order of the frames', f'{BASE}, Adapter')
def order(setting: Setting) -> Iterator[str]:
    run, sequence = setting.baseline, setting.sequences[1]
    estimator = setting.estimator()
    estimator.load_state_dict(run.start)
    with torch.no_grad():
        before = estimator(estimator.crops(sequence, range(len(sequence)))).rotmat.flatten(1)
    after = run.outcome.tensors()['rotmat'].to(before).flatten(1)
    # What adaptation does to all frames alike says nothing about their order.
    distance = torch.cdist(after - after.mean(0), before - before.mean(0))
    best = linear_sum_assignment(distance.numpy())[1].tolist()
    if best != list(range(len(sequence))):
        yield f'beside the start model, they look like the frames {best}'


@ADAPTER_CONTRACTS.add(
    '`adapt` never yields inside torch.no_grad(): its caller would inherit that', f'{BASE}, Adapter'
)
def grad_mode(setting: Setting) -> Iterator[str]:
    if not all(setting.baseline.outcome.grad):
        yield f'gradients are off after the yield of frame {setting.baseline.outcome.grad.index(False)}'


@ADAPTER_CONTRACTS.add('the same seed gives the same digits', f'{DESIGN}, "Randomness"')
def seeds(setting: Setting) -> Iterator[str]:
    apart = difference(
        Trial(setting).adapt(setting.sequences[1]), setting.baseline.outcome.tensors()
    )
    if apart:
        yield f'in a second run with the same seeds, {apart}'


@ADAPTER_CONTRACTS.add(
    "with reset='sequence' or 'frame' a result does not depend on the sequences before it",
    f'{DESIGN}, "What resets, and what carries over"',
)
def isolation(setting: Setting) -> Iterator[str]:
    run = Trial(setting)
    if run.adapter.reset == 'never':
        return
    run.adapt(setting.sequences[0])
    apart = difference(run.adapt(setting.sequences[1]), setting.baseline.outcome.tensors())
    if apart:
        yield f'after another sequence, {apart}'


@ADAPTER_CONTRACTS.add(
    "with reset='never', state_dict() and the estimator's weights are all that carries over",
    f'{BASE}, Adapter.state_dict',
)
def state(setting: Setting) -> Iterator[str]:
    first, second = setting.sequences[:2]
    run = Trial(setting)
    if run.adapter.reset != 'never':
        return
    run.adapt(first)
    resumed = Trial(setting)
    resumed.estimator.load_state_dict(stored(weights_of(run.estimator)))
    resumed.adapter.load_state_dict(stored(run.adapter.state_dict()))
    apart = difference(resumed.adapt(second), run.adapt(second))
    if apart:
        yield f'in a run that was interrupted between two sequences, {apart}'


@ADAPTER_CONTRACTS.add(
    'a `prepare` that was killed goes on from its last state, with the same digits',
    f'{DESIGN}, "What resets, and what carries over"',
)
def resumed(setting: Setting) -> Iterator[str]:
    diary = MemoryPreparation()
    whole = Trial(setting, diary).prepared
    yield from diary.problems
    if whole is None:
        return
    for kill in sorted({1, (diary.steps + 1) // 2} - {0}):
        dying = MemoryPreparation(kill=kill)
        try:
            Trial(setting, dying)
        except Killed:
            pass
        apart = difference(Trial(setting, MemoryPreparation(dying.states)).prepared, whole)
        if apart:
            yield f'killed at its step {kill} of {diary.steps} and started again, {apart}'
    finished = MemoryPreparation({'result': {name: value + 1 for name, value in whole.items()}})
    if difference(Trial(setting, finished).prepared, finished.states['result']):
        yield 'preparation.result() has finished weights, and others are returned'


@ADAPTER_CONTRACTS.add('a sequence may have one frame', f'{TUTORIAL}, "What it will meet"')
def one_frame(setting: Setting) -> Iterator[str]:
    yield from wrong_numbers(Trial(setting).adapt(_part(setting.sequences[1], 1)), 1)


@ADAPTER_CONTRACTS.add(
    'frames may have no keypoints; a sequence without any is adapted or refused by an InputError',
    f'{TUTORIAL}, "What it will meet"',
)
def no_keypoints(setting: Setting) -> Iterator[str]:
    sequence = setting.sequences[1]
    some = torch.arange(len(sequence)) % 2 == 0
    yield from wrong_numbers(Trial(setting).adapt(_without_points(sequence, some)), len(sequence))
    try:
        predicted = Trial(setting).adapt(_without_points(sequence, torch.ones_like(some)))
    except InputError:
        return
    yield from wrong_numbers(predicted, len(sequence))


@ADAPTER_CONTRACTS.add('ground truth changes no prediction', f'{TUTORIAL}, "What it will meet"')
def no_truth(setting: Setting) -> Iterator[str]:
    blind = copy.copy(setting)
    blind.sequences = [dataclasses.replace(sequence, truth=None) for sequence in setting.sequences]
    apart = difference(Trial(blind).adapt(blind.sequences[1]), setting.baseline.outcome.tensors())
    if apart:
        yield f'without ground truth, {apart}'


@ADAPTER_CONTRACTS.add(
    'fingerprint() holds strings that depend on files and nothing else',
    f'{BASE}, Adapter.fingerprint',
)
def fingerprint(setting: Setting) -> Iterator[str]:
    new, used = setting.build().fingerprint(), setting.baseline.adapter.fingerprint()
    if not isinstance(new, dict) or any(
        not isinstance(text, str) for pair in new.items() for text in pair
    ):
        yield f'not a dict of strings: {new!r}'
    if new != used or new != setting.build().fingerprint():
        yield f'it changes: {new} when built, {used} after a sequence'


@ADAPTER_CONTRACTS.add('report() holds numbers', f'{BASE}, Adapter.report')
def report(setting: Setting) -> Iterator[str]:
    numbers = setting.baseline.adapter.report()
    try:
        plain = json.loads(
            json.dumps(
                {
                    name: value.item() if hasattr(value, 'item') else value
                    for name, value in numbers.items()
                }
            )
        )
    except (TypeError, ValueError) as error:
        yield f'json cannot hold it: {error}'
        return
    for name, value in plain.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f'{name} is {value!r}'


@ADAPTER_CONTRACTS.add(
    'sequences and the data set are looked at, not changed', f'{TUTORIAL}, "What must not change"'
)
def inputs(setting: Setting) -> Iterator[str]:
    setting.baseline  # and, as this comes last, all that the other checks have done
    for sequence, before in zip(setting.sequences, setting.pristine[0]):
        old = _tensors(before)
        changed = [
            name for name, value in _tensors(sequence).items() if not _same(value, old[name])
        ]
        if changed:
            yield f'{", ".join(changed)} of {sequence.name!r} changed'


@ADAPTER_CONTRACTS.add(
    'the body, which the frozen model shares, never changes and never asks for gradients',
    f'{TUTORIAL}, "What must not change"',
)
def body(setting: Setting) -> Iterator[str]:
    setting.baseline
    shared = setting.network.body
    before = {} if shared is None else dict(setting.pristine[1].named_buffers())
    for name, old in before.items():
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
    apart = (
        (rotmat @ rotmat.mT - torch.eye(3, dtype=torch.float64, device=rotmat.device)).abs().max()
    )
    if not apart < ORTHONORMAL:
        yield f'rotmat times its transpose is {apart:.2g} from the identity'
    if not (torch.linalg.det(rotmat) > 0).all():
        yield 'rotmat holds a reflection'


def _part(sequence: Sequence, count: int) -> Sequence:
    keypoints = sequence.keypoints2d
    return dataclasses.replace(
        sequence,
        boxes=sequence.boxes[:count],
        frame_ids=sequence.frame_ids[:count],
        frames=[sequence.frames[t] for t in range(count)],
        keypoints2d=dataclasses.replace(
            keypoints, xy=keypoints.xy[:count], confidence=keypoints.confidence[:count]
        ),
        truth=None,
        masks=None if sequence.masks is None else [sequence.masks[t] for t in range(count)],
    )


def _without_points(sequence: Sequence, which: Tensor) -> Sequence:
    xy, confidence = sequence.keypoints2d.xy.clone(), sequence.keypoints2d.confidence.clone()
    xy[which], confidence[which] = torch.nan, 0
    points = Keypoints2D(xy, confidence, sequence.keypoints2d.skeleton, sequence.keypoints2d.source)
    return dataclasses.replace(sequence, keypoints2d=points)


def _tensors(sequence: Sequence) -> dict[str, Any]:
    truth = sequence.truth
    found = dict(
        boxes=sequence.boxes,
        xy=sequence.keypoints2d.xy,
        confidence=sequence.keypoints2d.confidence,
        frames=torch.as_tensor(sequence.frames[0]),
        **({} if truth is None else vars(truth)),
    )
    return {name: value.clone() for name, value in found.items() if isinstance(value, Tensor)}


def _same(ours: Tensor, other: Tensor) -> bool:
    return torch.equal(ours.nan_to_num(-1), other.nan_to_num(-1))
