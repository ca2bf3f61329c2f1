"""The contracts of data sets of sequences, as checks for the tests of plugins."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.base import SequenceDataset
from hrtk.errors import InputError
from hrtk.files import escaped_name
from hrtk.registry import DATASETS
from hrtk.structures import Frames, GroundTruth, Keypoints2D, Sequence
from hrtk.testing.contracts import Contracts

BASE = 'hrtk/datasets/base.py'
STRUCTURES = 'hrtk/structures.py'
CONVENTIONS = 'docs/en/conventions.md'
# Of every frame; J is the number of joints of the skeleton.
TRUTH_SHAPES = dict(rotmat=(24, 3, 3), betas=(10,), translation=(3,), intrinsics=(3,), valid=())
GENDERS = ('neutral', 'male', 'female')
ORTHONORMAL = 1e-3  # deviation of rotation matrices in float32

DATASET_CONTRACTS = Contracts()


class DatasetSubject:
    """A data set under test.

    Args:
        dataset: a config, or the data set itself.

    Attributes:
        config: the config; None for a data set that was built by the caller.
    """

    def __init__(self, dataset: dict | SequenceDataset) -> None:
        self.config: Optional[dict] = None
        if isinstance(dataset, dict):
            self.config = dataset
            self.dataset = self.build()
        else:
            self.dataset = dataset

    def build(self) -> SequenceDataset:
        """A new data set of the config."""
        return DATASETS.build(copy.deepcopy(self.config))

    @functools.cached_property
    def sequences(self) -> list[Sequence]:
        """All items."""
        return [self.dataset[index] for index in range(len(self.dataset))]


def check_dataset(dataset: dict | SequenceDataset, skip: Iterable[str] = ()) -> None:
    """Checks a data set of sequences against every contract that runs and adapters rely on; for the tests of plugins.

    The first, middle and last frame of every sequence are read, so a few short sequences are enough.

    Args:
        dataset: config, e.g. ``dict(type='MyDataset', root=str(tmp_path))``, or the data set; two contracts, ``config``
            and ``rebuilt``, are tested only for a config.
        skip: names of :data:`DATASET_CONTRACTS` to leave out.

    Raises:
        BrokenContract: an ``AssertionError`` that names the contract, the deviation, and where it is documented.
        InputError: the data set cannot be built.
    """
    subject = DatasetSubject(dataset)
    if subject.config is None:
        title = type(dataset).__name__
    else:
        title = str(subject.config.get('type'))
    DATASET_CONTRACTS.examine(subject, title, skip)


@DATASET_CONTRACTS.add(
    'a data set of sequences derives from SequenceDataset', f'{BASE}, SequenceDataset'
)
def base_class(subject: DatasetSubject) -> Iterator[str]:
    if not isinstance(subject.dataset, SequenceDataset):
        yield f'{type(subject.dataset).__name__} does not derive from hrtk.datasets.SequenceDataset'


@DATASET_CONTRACTS.add(
    'building it leaves its config as it is', 'docs/en/design.md, "Registries and plugins"'
)
def config(subject: DatasetSubject) -> Iterator[str]:
    if subject.config is None:
        return
    passed = copy.deepcopy(subject.config)
    DATASETS.build(passed)
    if passed != subject.config:
        yield f'the config is {passed} after building, {subject.config} before'


@DATASET_CONTRACTS.add(
    'it has one or more items, all of them Sequences of one or more frames, and ends with an IndexError',
    f'{BASE}, SequenceDataset.__getitem__',
)
def items(subject: DatasetSubject) -> Iterator[str]:
    length = len(subject.dataset)
    if length == 0:
        yield 'its length is 0'
    for index, sequence in enumerate(subject.sequences):
        if not isinstance(sequence, Sequence):
            yield f'item {index} is a {type(sequence).__name__}'
        elif len(sequence) == 0:
            yield f'item {index}, {sequence.name!r}, has no frames'
    try:
        subject.dataset[length]
    except IndexError:
        return
    yield f'dataset[{length}] raises no IndexError, though its length is {length}'


@DATASET_CONTRACTS.add(
    'names are unique and can be file names, and names() returns them in order',
    f'{BASE}, SequenceDataset.names',
)
def names(subject: DatasetSubject) -> Iterator[str]:
    of_items = [sequence.name for sequence in subject.sequences]
    for name in of_items:
        if not isinstance(name, str) or not name:
            yield f'the name {name!r} is not a non-empty string'
        if of_items.count(name) > 1:
            yield f'{of_items.count(name)} sequences have the name {name!r}'
        try:
            escaped_name(name)
        except InputError as error:
            yield str(error)
    if list(subject.dataset.names()) != of_items:
        yield f'names() is {subject.dataset.names()[:5]}, the names of the items are {of_items[:5]}'


@DATASET_CONTRACTS.add(
    'boxes, keypoints, frame_ids, masks and ground truth have one entry per frame',
    f'{STRUCTURES}, Sequence',
)
def lengths(subject: DatasetSubject) -> Iterator[str]:
    for sequence in subject.sequences:
        count = len(sequence)
        sized: dict[str, Any] = {
            'boxes': sequence.boxes,
            'keypoints2d.xy': sequence.keypoints2d.xy,
            'keypoints2d.confidence': sequence.keypoints2d.confidence,
            'frame_ids': sequence.frame_ids,
        }
        if sequence.masks is not None:
            sized['masks'] = sequence.masks
        for name, value in _tensors_of(sequence.truth).items():
            sized[f'truth.{name}'] = value
        for name, value in sized.items():
            if len(value) != count:
                yield f'{sequence.name}: {name} has {len(value)} entries for {count} frames'


@DATASET_CONTRACTS.add(
    'boxes are finite (F, 3) float32 [cx, cy, side] with sides above 0', f'{STRUCTURES}, Sequence'
)
def boxes(subject: DatasetSubject) -> Iterator[str]:
    for sequence in subject.sequences:
        value = sequence.boxes
        shape = (len(sequence), 3)
        if value.shape != shape or value.dtype != torch.float32:
            yield f'{sequence.name}: boxes are {_kind(value)}, expected {shape} torch.float32'
            continue
        usable = value.isfinite().all(1) & (value[:, 2] > 0)
        if not usable.all():
            frame = int(usable.int().argmin())
            yield f'{sequence.name}: the box of frame {frame} is {value[frame].tolist()}'


@DATASET_CONTRACTS.add(
    'keypoints are float32 of a known skeleton, with confidences in [0, 1] and finite positions where they are above 0',
    f'{STRUCTURES}, Keypoints2D; {CONVENTIONS}, "Joints"',
)
def keypoints(subject: DatasetSubject) -> Iterator[str]:
    for sequence in subject.sequences:
        for complaint in _keypoint_complaints(sequence.keypoints2d, len(sequence)):
            yield f'{sequence.name}: {complaint}'


@DATASET_CONTRACTS.add(
    'frames are (H, W, 3) uint8 RGB, read when they are indexed', f'{STRUCTURES}, Frames'
)
def frames(subject: DatasetSubject) -> Iterator[str]:
    for sequence in subject.sequences:
        for t in _probes(sequence):
            image = sequence.frames[t]
            if not isinstance(image, np.ndarray):
                yield f'{sequence.name}: frame {t} is a {type(image).__name__}, expected an array'
            elif image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                yield f'{sequence.name}: frame {t} is {_kind(image)}, expected (H, W, 3) uint8'


@DATASET_CONTRACTS.add(
    'masks are (H, W) uint8 of 0 and 1, of the size of their frames', f'{STRUCTURES}, Sequence'
)
def masks(subject: DatasetSubject) -> Iterator[str]:
    for sequence in subject.sequences:
        if sequence.masks is None:
            continue
        for t in _probes(sequence):
            mask = np.asarray(sequence.masks[t])
            size = sequence.frames[t].shape[:2]
            if mask.shape != size or mask.dtype != np.uint8:
                yield f'{sequence.name}: mask {t} is {_kind(mask)}, expected {size} uint8'
            elif mask.max(initial=0) > 1:
                yield f'{sequence.name}: mask {t} has the value {mask.max()}, expected 0 and 1'


@DATASET_CONTRACTS.add(
    'ground truth has the documented shapes, rotations and genders', f'{STRUCTURES}, GroundTruth'
)
def truth(subject: DatasetSubject) -> Iterator[str]:
    for sequence in subject.sequences:
        if sequence.truth is not None:
            for complaint in _truth_complaints(sequence.truth, len(sequence)):
                yield f'{sequence.name}: {complaint}'


@DATASET_CONTRACTS.add('fps is above 0, times rise', f'{STRUCTURES}, Sequence')
def fps(subject: DatasetSubject) -> Iterator[str]:
    for sequence in subject.sequences:
        if not 0 < sequence.fps < float('inf'):
            yield f'{sequence.name}: fps is {sequence.fps!r}'
        times = sequence.times
        if times is None:
            continue
        if tuple(times.shape) != (len(sequence),) or not bool((times.diff() > 0).all()):
            yield f'{sequence.name}: times are not {len(sequence)} rising numbers'


@DATASET_CONTRACTS.add(
    'fingerprint() holds strings that stay the same while the files do',
    f'{BASE}, SequenceDataset.fingerprint',
)
def fingerprint(subject: DatasetSubject) -> Iterator[str]:
    hashes = subject.dataset.fingerprint()
    if not isinstance(hashes, dict):
        yield f'it is a {type(hashes).__name__}, expected a dict'
        return
    for name, value in hashes.items():
        if not isinstance(name, str) or not isinstance(value, str):
            yield f'not a pair of strings: {name!r}: {value!r}'
    for sequence in subject.sequences:
        sequence.frames[0]
    if subject.dataset.fingerprint() != hashes:
        yield f'it changes: {hashes} at first, {subject.dataset.fingerprint()} after reading items'


@DATASET_CONTRACTS.add(
    'metainfo is a mapping, which the evaluator receives', f'{BASE}, SequenceDataset.metainfo'
)
def metainfo(subject: DatasetSubject) -> Iterator[str]:
    if not isinstance(subject.dataset.metainfo, Mapping):
        yield f'it is {subject.dataset.metainfo!r}'


@DATASET_CONTRACTS.add(
    'repeated access returns equal items', f'{BASE}, SequenceDataset.__getitem__'
)
def repeated(subject: DatasetSubject) -> Iterator[str]:
    for index in reversed(range(len(subject.dataset))):
        first = subject.sequences[index]
        for name in _differences(first, subject.dataset[index]):
            yield f'{first.name}: {name} differs between two accesses to item {index}'


@DATASET_CONTRACTS.add(
    'a second data set of the same config has the same names, items and fingerprint',
    'docs/en/design.md, "Results are files"',
)
def rebuilt(subject: DatasetSubject) -> Iterator[str]:
    if subject.config is None:
        return
    other = subject.build()
    if len(other) != len(subject.dataset):
        yield f'it has {len(other)} items, the first has {len(subject.dataset)}'
        return
    if other.fingerprint() != subject.dataset.fingerprint():
        yield f'its fingerprint is {other.fingerprint()}, not {subject.dataset.fingerprint()}'
    for first, second in zip(subject.sequences, other):
        for name in _differences(first, second):
            yield f'{first.name}: {name} differs'


def _keypoint_complaints(value: Keypoints2D, count: int) -> Iterator[str]:
    try:
        joints = len(joint_names(value.skeleton))
    except InputError as error:
        yield str(error)
        return
    if not isinstance(value.source, str) or not value.source:
        yield f'the source of the keypoints is {value.source!r}, expected a non-empty string'
    expected = {'xy': (count, joints, 2), 'confidence': (count, joints)}
    for name, shape in expected.items():
        tensor = getattr(value, name)
        if tensor.shape != shape or tensor.dtype != torch.float32:
            yield (
                f'keypoints2d.{name} is {_kind(tensor)}, expected {shape} torch.float32 of '
                f'{value.skeleton}'
            )
            return
    if not ((value.confidence >= 0) & (value.confidence <= 1)).all():
        low = float(value.confidence.min())
        high = float(value.confidence.max())
        yield f'confidences are {low:g}..{high:g}, expected [0, 1]'
    if not value.xy[value.confidence > 0].isfinite().all():
        yield 'a point with a confidence above 0 has a position that is not finite'


def _truth_complaints(value: GroundTruth, count: int) -> Iterator[str]:
    shapes: dict[str, tuple[int, ...]] = dict(TRUTH_SHAPES)
    for name, axes in dict(joints3d=3, joints2d=2).items():
        if getattr(value, name) is None:
            continue
        if value.skeleton is None:
            yield f'truth has {name} without a skeleton'
            return
        shapes[name] = (len(joint_names(value.skeleton)), axes)
    if value.gender not in GENDERS:
        yield f'gender is {value.gender!r}, expected one of {GENDERS}'
    tensors = _tensors_of(value)
    for name, tensor in tensors.items():
        shape = (count, *shapes[name])
        if tensor.shape != shape:
            yield f'truth.{name} is {_kind(tensor)}, expected {shape}'
            return
    if value.valid is not None and value.valid.dtype != torch.bool:
        yield f'truth.valid is {value.valid.dtype}, expected torch.bool'
    if value.rotmat is not None:
        valid = slice(None) if value.valid is None else value.valid
        rotmat = value.rotmat[valid].double()
        deviation = (rotmat @ rotmat.mT - torch.eye(3, dtype=torch.float64)).abs()
        if not (deviation < ORTHONORMAL).all() or not (torch.linalg.det(rotmat) > 0).all():
            yield 'truth.rotmat holds matrices that are not rotations'


def _tensors_of(value: Optional[GroundTruth]) -> dict[str, Tensor]:
    """The tensors of ground truth by the names of their fields."""
    if value is None:
        return {}
    tensors = {}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if isinstance(content, Tensor):
            tensors[field.name] = content
    return tensors


def _probes(sequence: Sequence) -> list[int]:
    """The first, middle and last frame."""
    last = len(sequence) - 1
    return sorted({0, last // 2, last})


def _kind(array: Any) -> str:
    return f'{tuple(array.shape)} {array.dtype}'


def _differences(first: Sequence, second: Sequence) -> Iterator[str]:
    """The fields in which two sequences differ."""
    for name in ('name', 'frame_ids', 'fps', 'masks_source'):
        if getattr(first, name) != getattr(second, name):
            yield name
    if first.keypoints2d.skeleton != second.keypoints2d.skeleton:
        yield 'keypoints2d.skeleton'
    if first.keypoints2d.source != second.keypoints2d.source:
        yield 'keypoints2d.source'
    tensors = _all_tensors(first)
    others = _all_tensors(second)
    for name in sorted(tensors.keys() | others.keys()):
        if not _equal(tensors.get(name), others.get(name)):
            yield name
    if len(first) == len(second):
        yield from _frame_differences('frames', first.frames, second.frames, _probes(first))
        if first.masks is not None and second.masks is not None:
            yield from _frame_differences('masks', first.masks, second.masks, _probes(first))


def _all_tensors(sequence: Sequence) -> dict[str, Tensor]:
    tensors = {
        'boxes': sequence.boxes,
        'keypoints2d.xy': sequence.keypoints2d.xy,
        'keypoints2d.confidence': sequence.keypoints2d.confidence,
    }
    for name, value in _tensors_of(sequence.truth).items():
        tensors[f'truth.{name}'] = value
    return tensors


def _equal(first: Optional[Tensor], second: Optional[Tensor]) -> bool:
    """Whether two tensors have the same values; NaN equals NaN."""
    if first is None or second is None:
        return first is second
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return torch.equal(first.nan_to_num(), second.nan_to_num()) and torch.equal(
        first.isnan(), second.isnan()
    )


def _frame_differences(
    name: str, first: Frames, second: Frames, indices: Iterable[int]
) -> Iterator[str]:
    for t in indices:
        if not np.array_equal(first[t], second[t]):
            yield f'{name}[{t}]'
