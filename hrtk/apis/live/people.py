"""The people of a stream: what is found of them, what is predicted, and what is remembered of each."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.adapters import Adapter, Effort
from hrtk.adapters.run import changed_weights
from hrtk.detectors import Findings
from hrtk.engine.computing import seed_generators
from hrtk.engine.midway import random_state, set_random_state
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.one_euro import OneEuro, OneEuroRotation
from hrtk.models.estimators import Estimator
from hrtk.structures import Keypoints2D, Landmarks, Prediction, Sequence

REACH = 0.4  # seconds of landmarks that are kept; LandmarkHMR sees 0.27 s and the moment before
LEAST_CONFIDENCE = 0.3  # VIBE's, as in VideoDataset
# Casiez et al. tune both by eye. Crop boxes hardly jump and may lag; the speed is in sides of the box per second.
BOX_CUTOFF = 1.0
BOX_SLOPE = 2.0


@dataclasses.dataclass(frozen=True)
class FoundPerson:
    """A person in the newest frame.

    Attributes:
        track: identity.
        keypoints: (K, 3) float32 x and y in px, confidence.
        box: (3,) ``[cx, cy, side]`` px of the crop; None takes it from the keypoints and filters it over time.
        landmarks: of the same person, F = 1, or None.
    """

    track: int
    keypoints: np.ndarray
    box: Optional[Tensor] = None
    landmarks: Optional[Landmarks] = None


@dataclasses.dataclass(frozen=True)
class LivePerson:
    """A person of a frame with the predicted body.

    Attributes:
        track: identity, which a person keeps from frame to frame.
        prediction: B = 1, as the network gave it.
        shown: B = 1, filtered by One-Euro filters for display.
        box: (3,) crop box ``[cx, cy, side]``, px.
        keypoints: (K, 3) x and y in px, confidence.
        effort: steps and order that the frame took.
        seconds: that adaptation and prediction took.
    """

    track: int
    prediction: Prediction
    shown: Prediction
    box: Tensor
    keypoints: np.ndarray
    effort: Effort
    seconds: float


class OneFrame:
    """Images of a stream, of which only the last one is kept."""

    def __init__(self, image: np.ndarray, count: int) -> None:
        self.image = image
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        if index not in (-1, self.count - 1):
            raise IndexError('earlier images of a stream are gone')
        return self.image


class DisplayFilter:
    """One-Euro filters of a body: rotations on SO(3), shape and camera as numbers."""

    def __init__(self) -> None:
        self.filters = dict(
            rotmat=OneEuroRotation(), betas=OneEuro(0.2, 0.0), camera=OneEuro(1.0, 0.5)
        )

    def push(self, prediction: Prediction, time: float) -> Prediction:
        """Filters the body of the next frame, at a time in seconds."""
        rotmat = self.filters['rotmat'].push(prediction.rotmat, time)
        betas = self.filters['betas'].push(prediction.betas[..., None], time)
        camera = self.filters['camera'].push(prediction.camera[..., None], time)
        return Prediction(rotmat, betas[..., 0], camera[..., 0])

    def state(self) -> dict[str, Any]:
        """What is remembered."""
        return {name: each.state() for name, each in self.filters.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a :meth:`state`."""
        for name, each in self.filters.items():
            each.restore(state[name])


class Follower:
    """One person of a stream: an estimator and a session of their own, and filters.

    Args:
        track: identity.
        name: of the sequence; with the seed it determines the random numbers, as in a run over files.
        adapter: options of the adaptation.
        estimator: the start model, which is copied; it must not change while this object is in use.
        seed: of the run.
    """

    def __init__(
        self, track: int, name: str, adapter: Adapter, estimator: Estimator, seed: int
    ) -> None:
        self.track = track
        self.name = name
        memo = {id(estimator.body): estimator.body}  # shared instead of copied
        self.estimator = copy.deepcopy(estimator, memo).eval()
        self.start = estimator.state_dict()
        self.session = adapter.start(self.estimator)
        self.box_filter = OneEuro(BOX_CUTOFF, BOX_SLOPE)
        self.display = DisplayFilter()
        self.past: list[tuple[float, Tensor, Optional[Landmarks]]] = []  # time, box, landmarks
        self.missed = 0
        outer = random_state()
        seed_generators(seed, name)
        self.random = random_state()
        set_random_state(outer)

    def observe(
        self, image: np.ndarray, person: FoundPerson, time: float, skeleton: str, source: str
    ) -> Sequence:
        """The sequence whose last frame is the newest one; remembers its box and landmarks."""
        points = torch.from_numpy(np.array(person.keypoints, np.float32))
        points[points[:, 2] < LEAST_CONFIDENCE, 2] = 0
        box = person.box
        if box is None:
            box = self._filtered_box(points, time)
        keep = [entry for entry in self.past if entry[0] > time - REACH]
        if person.landmarks is None:
            keep = []
        self.past = [*keep, (time, box, person.landmarks)]
        count = len(self.past)
        landmarks = None
        if person.landmarks is not None:
            landmarks = _joined([entry[2] for entry in self.past if entry[2] is not None])
        fps = 25.0
        if count > 1:
            fps = (count - 1) / (time - self.past[0][0])
        blank = torch.zeros(count, *points.shape)
        blank[-1] = points
        return Sequence(
            self.name,
            OneFrame(image, count),
            torch.stack([entry[1] for entry in self.past]),
            Keypoints2D(blank[..., :2].contiguous(), blank[..., 2].contiguous(), skeleton, source),
            landmarks=landmarks,
            fps=fps,
        )

    def predict(self, sequence: Sequence, effort: Optional[Effort]) -> Prediction:
        """Adapts and predicts with the random numbers of this person."""
        outer = random_state()
        set_random_state(self.random)
        try:
            return self.session.push(sequence, effort).detach()
        finally:
            self.random = random_state()
            set_random_state(outer)

    def restart_clock(self) -> None:
        """Forgets what has times; the weights and the session go on."""
        self.past = []
        self.box_filter.reset()
        for each in self.display.filters.values():
            each.reset()

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the next frame depends on, tensors and plain types."""
        changed = changed_weights(self.estimator, self.start)
        past = []
        for time, box, landmarks in self.past:
            fields = None
            if landmarks is not None:
                fields = dict(vars(landmarks))
            past.append((time, box, fields))
        return dict(
            track=self.track,
            name=self.name,
            missed=self.missed,
            weights={name: value.clone() for name, value in changed.items()},
            session=copy.deepcopy(self.session.stream_state()),
            box=self.box_filter.state(),
            display=self.display.state(),
            past=past,
            random=self.random,
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a :meth:`state_dict`; this object is new."""
        self.estimator.load_state_dict({**self.start, **state['weights']})
        # a copy: the session changes its tensors in place
        self.session.load_stream(copy.deepcopy(state['session']))
        self.missed = state['missed']
        self.box_filter.restore(state['box'])
        self.display.restore(state['display'])
        self.random = state['random']
        self.past = []
        for time, box, fields in state['past']:
            landmarks = None
            if fields is not None:
                landmarks = Landmarks(**fields)
            self.past.append((time, box, landmarks))

    def _filtered_box(self, points: Tensor, time: float) -> Tensor:
        """The crop box of the visible points; the last one where none is visible."""
        box = boxes_from_keypoints(points[None, :, :2], points[None, :, 2])[0]
        known = bool(box.isfinite().all()) and float(box[2]) > 0
        if not known and self.past:
            return self.past[-1][1]
        if not known:
            box = boxes_from_keypoints(points[None, :, :2], torch.ones(1, len(points)))[0]
        side = float(box[2])
        if self.box_filter.value is not None:
            side = float(self.box_filter.value[2])
        # The slope in sides per second, so that it does not depend on the size of the image.
        self.box_filter.slope = BOX_SLOPE / side
        return self.box_filter.push(box, time)


def found_people(findings: Findings) -> list[FoundPerson]:
    """The people of a frame; those of a detector that does not track are numbered from 1."""
    people = []
    for index, keypoints in enumerate(findings.keypoints):
        track = index + 1
        if findings.persons is not None:
            track = int(findings.persons[index])
        landmarks = None
        if findings.landmarks is not None:
            row = findings.landmarks.row(index)
            landmarks = Landmarks(
                torch.from_numpy(row.xyz),
                torch.from_numpy(row.world),
                torch.from_numpy(row.visibility),
                torch.ones(1, dtype=torch.bool),
            )
        people.append(FoundPerson(track, keypoints, landmarks=landmarks))
    return people


def _joined(parts: list[Landmarks]) -> Landmarks:
    fields = {}
    for field in dataclasses.fields(Landmarks):
        fields[field.name] = torch.cat([getattr(part, field.name) for part in parts])
    return Landmarks(**fields)
