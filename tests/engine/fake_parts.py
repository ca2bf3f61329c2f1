"""Small substitutes for an estimator, a data set and an adapter; configs import them by ``custom_imports``."""

from __future__ import annotations

import dataclasses
import os
import signal
from typing import Iterator

import numpy as np
import torch
from torch import nn

from hrtk.adapters import Adapter, PreparationStep, Session
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.registry import ADAPTERS, DATASETS, ESTIMATORS
from hrtk.structures import GroundTruth, Keypoints2D, Prediction, Sequence

REST = [1.0, 0, 0, 0, 1, 0]


@ESTIMATORS.register_module()
class FakeEstimator(nn.Module):
    """A linear map from an 8 x 8 image to body parameters."""

    resolution = 8

    def __init__(self, scale: float = 0.02) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.body = BodyModel('open')
        self.weight = nn.Parameter(scale * torch.randn(157, 192, generator=generator))

    def crops(self, sequence: Sequence, indices) -> torch.Tensor:
        return torch.stack(
            [torch.as_tensor(sequence.frames[t]).permute(2, 0, 1) / 255.0 for t in indices]
        )

    def forward(self, images: torch.Tensor) -> Prediction:
        out = images.flatten(1) @ self.weight.T
        six = out[:, :144].unflatten(1, (24, 6)) + torch.tensor(REST)
        return Prediction(
            rot6d_to_rotmat(six), out[:, 144:154], out[:, 154:] + torch.tensor([0.9, 0, 0])
        )

    def fingerprint(self) -> dict:
        return {'weights': self.weight.double().sum().item()}


class FakeFrames:
    def __init__(self, seed: int, count: int, broken: bool) -> None:
        rng = np.random.default_rng(seed)
        self.images = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        self.broken = broken

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        if self.broken and index == len(self) - 1:
            raise InputError('clip/000002.jpg: cannot be decoded; copy it again')
        return self.images[index]


@DATASETS.register_module()
class FakeDataset(torch.utils.data.Dataset):
    """Sequences of random images, poses and keypoints."""

    def __init__(
        self, lengths: tuple = (3, 5, 2, 4, 3), bad: int = -1, truth: bool = True, shift: float = 0
    ) -> None:
        self.lengths = lengths
        self.bad = bad
        self.truth = truth
        self.shift = shift

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Sequence:
        count = self.lengths[index]
        rng = torch.Generator().manual_seed(100 + index)
        shift = float(os.environ.get('FAKE_SHIFT', self.shift))
        xy = 64 + 20 * torch.randn(count, 17, 2, generator=rng) + shift
        keypoints = Keypoints2D(xy, torch.ones(count, 17), 'coco17', 'gt')
        six = torch.tensor(REST) + 0.1 * torch.randn(count, 24, 6, generator=rng)
        truth = None
        if self.truth:
            truth = GroundTruth(rot6d_to_rotmat(six), torch.zeros(count, 10))
        frames = FakeFrames(index, count, broken=index == self.bad)
        boxes = torch.tensor([64.0, 64, 128]).repeat(count, 1)
        return Sequence(f'clip/{index}', frames, boxes, keypoints, truth)


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class Jiggle(Adapter):
    """Walks at random, with momentum: every digit depends on weights, the session's state and random numbers.

    ``FAKE_KILL=n`` in the environment kills the process at its n-th frame.
    """

    step: float = 1e-3
    prepared: bool = False

    def prepare(self, estimator, dataset, preparation):
        if self.prepared:
            return {**estimator.state_dict(), 'weight': torch.zeros(157, 192)}
        return None

    def start(self, estimator):
        return JiggleSession(estimator, self.step)


class JiggleSession(Session):
    frames = 0

    def __init__(self, estimator, step: float) -> None:
        self.estimator = estimator
        self.step = step
        self.momentum = torch.zeros(157, 192)

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        for t in range(len(sequence)):
            JiggleSession.frames += 1
            if JiggleSession.frames == int(os.environ.get('FAKE_KILL', 0)):
                os.kill(os.getpid(), signal.SIGKILL)
            noise = torch.rand(157, 1) + float(np.random.rand())
            self.momentum = 0.9 * self.momentum + self.step * noise
            with torch.no_grad():
                self.estimator.weight += self.momentum
            yield self.estimator(self.estimator.crops(sequence, [t]))

    @property
    def counts(self) -> dict:
        return {'skipped_updates': 1, 'loss': 0.5}

    def state_dict(self) -> dict:
        return {'momentum': self.momentum}

    def load_state_dict(self, state: dict) -> None:
        self.momentum = state['momentum']


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class Walk(Jiggle):
    """Like its base class, and resumes inside a sequence."""

    def start(self, estimator):
        return WalkSession(estimator, self.step)


class WalkSession(JiggleSession):
    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        return self.run_from(sequence, 0, self.state_dict())

    def midway_state(self, done: int) -> dict:
        return self.state_dict()

    def run_from(self, sequence: Sequence, done: int, state: dict) -> Iterator[Prediction]:
        self.load_state_dict(state)
        yield from super().run(sequence.part(done, len(sequence)))


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class Careless(Jiggle):
    """Breaks the ``rule`` of generators: ``'no_grad'``, or one prediction per frame."""

    rule: str

    def start(self, estimator):
        return CarelessSession(estimator, self.step, self.rule)


class CarelessSession(JiggleSession):
    def __init__(self, estimator, step: float, rule: str) -> None:
        super().__init__(estimator, step)
        self.rule = rule

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        if self.rule == 'no_grad':
            with torch.no_grad():
                yield from super().run(sequence)
        else:
            yield next(iter(super().run(sequence)))


@ADAPTERS.register_module()
class Diligent(Jiggle):
    """Prepares in ten random steps and stores a state after each; ``FAKE_KILL_PREPARE=n`` kills it after the n-th."""

    states = ('progress',)

    def prepare(self, estimator, dataset, preparation):
        if preparation.result() is not None:
            return preparation.result()
        state = preparation.load('progress') or {
            'done': 0,
            'weight': estimator.weight.detach().clone(),
        }
        seed = torch.initial_seed()
        for step in range(state['done'], 10):
            torch.manual_seed(seed + step)
            state = {
                'done': step + 1,
                'weight': 0.9 * state['weight'] + 1e-3 * torch.rand(157, 192),
            }
            preparation.save('progress', state)
            numbers = {'loss': float(state['weight'].mean())}
            preparation.report(PreparationStep('adapt', step + 1, 10, numbers))
            with open(os.environ.get('FAKE_DIARY', os.devnull), 'a') as diary:
                diary.write('x')
            if step + 1 == int(os.environ.get('FAKE_KILL_PREPARE', 0)):
                os.kill(os.getpid(), signal.SIGKILL)
        return {**estimator.state_dict(), 'weight': state['weight']}
