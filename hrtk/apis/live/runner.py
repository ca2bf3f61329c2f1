"""``StreamingRunner``: frames in, one at a time; bodies out, within a budget of time."""

from __future__ import annotations

import dataclasses
import time as clocks
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

from hrtk.adapters import FROZEN, Adapter, Effort, Session
from hrtk.apis.live.budget import CostModel, check_budget
from hrtk.apis.live.people import Follower, FoundPerson, LivePerson, found_people
from hrtk.detectors import ClipSession, Detector
from hrtk.errors import InputError
from hrtk.files import write_atomically
from hrtk.models.estimators import Estimator, LandmarkHMR
from hrtk.models.estimators.base import ClipEstimator
from hrtk.reading.tensors import read_tensors
from hrtk.structures import Landmarks

FORMAT = 1  # of stored states
MEASURED = 5  # frames per effort before the stream; the expected cost is then near the mean
LOST_SECONDS = 1.0  # a person who is not seen for so long is forgotten, with the adapted weights


@dataclasses.dataclass(frozen=True)
class FrameReport:
    """What a frame cost.

    Attributes:
        latency: seconds from the call of ``push`` to its return.
        detection: seconds of these that the detector took.
        late: whether the latency was above the budget; False without one.
    """

    latency: float
    detection: float
    late: bool


class StreamingRunner:
    """Predicts the people of a stream, frame by frame, and adapts a network to each of them.

    Each person has a copy of the start model and a session of the adapter. With a budget, the steps and the order of a
    frame are the greatest of :attr:`Session.efforts <hrtk.adapters.Session.efforts>` whose expected cost fits into the
    time that is left; 0 steps where nothing else fits. Costs are estimated from the frames before. Without a budget
    every frame gets the steps of the adapter's options; then the boxes and keypoints of a file give the digits of
    a run over the file.

    Args:
        estimator: start model, which stays unchanged; an image estimator.
        adapter: ``Source`` or a method that adapts frame by frame (``Bilevel``, ``DynamicBilevel``).
        detector: finds people; None where only :meth:`push_people` is used.
        fps: frames per second of the camera, for the tracker, and for frames without a time.
        budget: milliseconds from a frame to its bodies; None for no limit.
        max_people: people beyond this number are left out, the last to come first.
        name: of the stream; person n is the sequence ``<name>_person<n>``.
        seed: of random numbers.
        clock: returns seconds; tests give their own.

    Attributes:
        costs: the estimates.
        report: of the last frame.
        reserve: seconds of the budget that are left for the caller, e.g. to draw.

    Raises:
        InputError: the adapter or the estimator needs more than the frames so far, or an option is out of range.
    """

    def __init__(
        self,
        estimator: Estimator,
        adapter: Adapter,
        detector: Optional[Detector] = None,
        *,
        fps: float = 30.0,
        budget: Optional[float] = None,
        max_people: int = 1,
        name: str = 'live',
        seed: int = 0,
        clock: Callable[[], float] = clocks.perf_counter,
    ) -> None:
        _check(estimator, adapter, fps, max_people)
        self.estimator = estimator.eval()
        self.adapter = adapter
        self.detector = detector
        self.fps = fps
        self.budget = check_budget(budget)
        self.max_people = max_people
        self.name = name
        self.seed = seed
        self.clock = clock
        self.costs = CostModel()
        self.reserve = 0.0
        self.report: Optional[FrameReport] = None
        self._time: Optional[float] = None
        self._people: dict[int, Follower] = {}
        self._tracker: Optional[ClipSession] = None
        if detector is not None:
            self._tracker = detector.session(fps)
        # The first session reads source data, which takes longer than a frame.
        spare = self._follower(0)
        if type(spare.session).push is Session.push:
            raise _needs_footage(adapter)
        if self.budget is not None:
            self._measure(spare)

    def push(self, frame: np.ndarray, time: Optional[float] = None) -> list[LivePerson]:
        """Finds the people of the next frame, adapts to them and predicts their bodies.

        Args:
            frame: (H, W, 3) uint8 RGB.
            time: seconds, above that of the frame before; None is a frame's length later.

        Returns:
            The people of this frame, in the order of their identities.

        Raises:
            InputError: there is no detector, the frame is no image, or the time does not rise.
        """
        start = self.clock()
        if self.detector is None:
            raise InputError(
                'StreamingRunner: push needs a detector; give one, or call push_people with keypoints'
            )
        _check_image(frame)
        if self._tracker is not None:
            findings = self._tracker(frame)
            people = found_people(findings)
        else:
            people = []
            for index, keypoints in enumerate(self.detector([frame])[0]):
                people.append(FoundPerson(index + 1, keypoints))
        found = self.clock()
        skeleton = self.detector.skeleton
        return self._push(frame, people, time, skeleton, self.detector.source, start, found - start)

    def push_people(
        self,
        frame: np.ndarray,
        people: Sequence[FoundPerson],
        time: Optional[float] = None,
        skeleton: str = 'coco17',
        source: str = 'given',
    ) -> list[LivePerson]:
        """As :meth:`push`, for people whose keypoints are known.

        Args:
            frame: (H, W, 3) uint8 RGB.
            people: those of this frame.
            time: as in :meth:`push`.
            skeleton: joint list of the keypoints.
            source: their origin.
        """
        _check_image(frame)
        return self._push(frame, people, time, skeleton, source, self.clock(), 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the next frame depends on, tensors and plain types."""
        tracker = None
        if self._tracker is not None:
            tracker = self._tracker.state()
        return dict(
            format=FORMAT,
            adapter=repr(self.adapter),
            time=self._time,
            tracker=tracker,
            costs=self.costs.state_dict(),
            people=[person.state_dict() for person in self._people.values()],
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues a stream from a :meth:`state_dict`.

        Raises:
            InputError: the state is of another version or of other options of the adapter.
        """
        if not isinstance(state, dict) or state.get('format') != FORMAT:
            raise InputError('the state of a stream is of another version of hrtk; start anew')
        if state['adapter'] != repr(self.adapter):
            raise InputError(
                'the state of a stream is of another adapter; use the options with which it was stored'
            )
        if self.detector is not None and state['tracker'] is not None:
            self._tracker = self.detector.session(self.fps, state['tracker'])
        self._time = state['time']
        self.costs.load_state_dict(state['costs'])
        self._people = {}
        for each in state['people']:
            person = self._follower(each['track'])
            person.load_state_dict(each)
            self._people[each['track']] = person

    def save(self, path: str | Path) -> None:
        """Stores the :meth:`state_dict` atomically."""
        state = self.state_dict()
        write_atomically(Path(path), lambda file: torch.save(state, file))

    def load(self, path: str | Path) -> None:
        """Continues from a file of :meth:`save`.

        Raises:
            InputError: the file is missing or damaged, or of another version or adapter.
        """
        state = read_tensors(path, 'it is written by --state at the end of a live run')
        try:
            self.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise InputError(f'{path}: {error}') from error
            raise InputError(
                f'{path}: is no state of a stream with this network ({error})'
            ) from error

    def restart_clock(self) -> None:
        """Times may begin anew, as after a restart of the camera; filters and landmarks of the past are forgotten."""
        self._time = None
        for person in self._people.values():
            person.restart_clock()

    def _push(
        self,
        frame: np.ndarray,
        people: Sequence[FoundPerson],
        time: Optional[float],
        skeleton: str,
        source: str,
        start: float,
        detection: float,
    ) -> list[LivePerson]:
        time = self._next_time(time)
        chosen = self._chosen(people)
        result = []
        for index, person in enumerate(chosen):
            follower = self._people[person.track]
            begin = self.clock()
            sequence = follower.observe(frame, person, time, skeleton, source)
            effort = follower.session.efforts[0]
            if self.budget is not None:
                left = self.budget - self.reserve - (begin - start)
                share = left / (len(chosen) - index)
                effort = self.costs.choose(follower.session.efforts, share)
            prediction = follower.predict(sequence, effort)
            seconds = self.clock() - begin
            effort = self._learn(follower, effort, seconds)
            shown = follower.display.push(prediction, time)
            box = sequence.boxes[-1]
            result.append(
                LivePerson(person.track, prediction, shown, box, person.keypoints, effort, seconds)
            )
        latency = self.clock() - start
        late = self.budget is not None and latency + self.reserve > self.budget
        self.report = FrameReport(latency, detection, late)
        return result

    def _learn(self, follower: Follower, effort: Effort, seconds: float) -> Effort:
        """Adds what a frame took to the costs; returns the effort that was made.

        A method that may take steps and needs none has looked at more than a prediction, and at less than a step: such
        a frame measures neither.
        """
        made = FROZEN
        if follower.session.last_steps > 0:
            made = Effort(follower.session.last_steps, effort.order)
        if made != FROZEN or effort == FROZEN:
            self.costs.add(made, seconds)
        return made

    def _next_time(self, time: Optional[float]) -> float:
        if time is None:
            time = 0.0
            if self._time is not None:
                time = self._time + 1 / self.fps
        if self._time is not None and not time > self._time:
            raise InputError(f'a frame at {time} s follows one at {self._time} s; times must rise')
        self._time = time
        return time

    def _chosen(self, people: Sequence[FoundPerson]) -> list[FoundPerson]:
        """The people who are followed, newcomers included as far as there is room; forgets who is lost."""
        present = {person.track for person in people}
        for track, follower in list(self._people.items()):
            follower.missed += 1
            if track in present:
                follower.missed = 0
            if follower.missed > LOST_SECONDS * self.fps:
                del self._people[track]
        chosen = []
        for person in sorted(people, key=lambda person: person.track):
            if person.track not in self._people and len(self._people) < self.max_people:
                self._people[person.track] = self._follower(person.track)
            if person.track in self._people:
                chosen.append(person)
        return chosen

    def _measure(self, spare: Follower) -> None:
        """First estimates of the costs, on a made-up person; the first time is slow and does not count."""
        rng = np.random.default_rng(0)
        frame = np.full((720, 1280, 3), 128, np.uint8)
        efforts = [FROZEN]
        for effort in spare.session.efforts:
            if effort.steps == 1:
                efforts.append(effort)
        time = 0.0
        for effort in efforts:
            for number in range(MEASURED + 1):
                points = rng.uniform(100, 400, (17, 3)).astype(np.float32)
                points[:, 2] = 1
                landmarks = Landmarks(
                    torch.from_numpy(rng.uniform(100, 400, (1, 33, 3)).astype(np.float32)),
                    torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 33, 3)).astype(np.float32)),
                    torch.ones(1, 33),
                    torch.ones(1, dtype=torch.bool),
                )
                person = FoundPerson(0, points, landmarks=landmarks)
                time += 1 / self.fps
                start = self.clock()
                sequence = spare.observe(frame, person, time, 'coco17', 'made up')
                spare.predict(sequence, effort)
                if number > 0:
                    self._learn(spare, effort, self.clock() - start)

    def _follower(self, track: int) -> Follower:
        name = f'{self.name}_person{track}'
        return Follower(track, name, self.adapter, self.estimator, self.seed)


def _check(estimator: Estimator, adapter: Adapter, fps: float, max_people: int) -> None:
    if type(adapter).prepare is not Adapter.prepare or adapter.reset == 'frame':
        raise _needs_footage(adapter)
    if isinstance(estimator, ClipEstimator):
        raise InputError(
            f'{type(estimator).__name__} needs the frames after a frame; use an image estimator'
        )
    if not fps > 0 or max_people < 1:
        raise InputError(
            f'fps is above 0 and max_people at least 1, not {fps!r} and {max_people!r}'
        )


def _needs_footage(adapter: Adapter) -> InputError:
    return InputError(
        f'{type(adapter).__name__} adapts to finished footage, not to a stream; use --adapt boa/r18_until, '
        f'boa/lifter_wild or none'
    )


def _check_image(frame: np.ndarray) -> None:
    is_image = isinstance(frame, np.ndarray) and frame.dtype == np.uint8
    if not is_image or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(
            f'a frame is (H, W, 3) uint8 RGB, not {getattr(frame, "dtype", type(frame))} '
            f'{getattr(frame, "shape", "")}'
        )


def check_detector(estimator: Estimator, detector: Detector) -> None:
    """Raises InputError where the estimator needs landmarks that the detector does not find."""
    if isinstance(estimator, LandmarkHMR) and detector.source != 'blazepose':
        raise InputError(
            f'LandmarkHMR sees the landmarks of BlazePose, which {detector.source!r} does not find; leave out '
            f'--pose2d, or adapt an image network, e.g. --adapt boa/r18_until'
        )
