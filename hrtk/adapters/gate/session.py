"""The session of DoNoHarm: the wrapped session, the frozen network and the judge."""

from __future__ import annotations

import collections
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Session, predict
from hrtk.adapters.gate.blending import blend
from hrtk.adapters.gate.held_out import (
    HeldOut,
    only_held_out,
    usable_keypoints,
    without_held_out,
)
from hrtk.adapters.gate.judge import FrameEvidence, Judge
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.parts.targets import WITHOUT_EVIDENCE, crop_targets
from hrtk.adapters.run import AdapterRun
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction, Sequence

if TYPE_CHECKING:
    from hrtk.adapters.gate.adapter import DoNoHarm

# Of the predictions that wait for their decision.
FIELDS = ('rotmat', 'betas', 'camera', 'joint_spread')


class GateSession(Session):
    """A wrapped session whose predictions are kept, blended with the frozen ones, or replaced by them.

    Args:
        options: the adapter.
        estimator: network whose weights the wrapped adapter changes.
        seed: of the draw of the held-out keypoints; None: that of torch's generator when a sequence begins.
        source: weights of the frozen network; None: the present ones of the estimator.
    """

    def __init__(
        self,
        options: DoNoHarm,
        estimator: Estimator,
        seed: Optional[int] = None,
        source: Optional[Mapping[str, Tensor]] = None,
    ) -> None:
        memo = {id(estimator.body): estimator.body}  # shared, not copied
        self.options = options
        self.estimator = estimator
        self.frozen = copy.deepcopy(estimator, memo).eval().requires_grad_(False)
        if source is not None:
            self.frozen.load_state_dict(source)
        self.wrapped: Session | AdapterRun = options.wrapped.start(estimator)
        if options.wrapped.reset == 'frame' and options.reset == 'sequence':
            # The judge goes on from frame to frame, and the wrapped adapter starts anew at every one of them.
            self.wrapped = AdapterRun(options.wrapped, estimator)
        self.seed = seed
        self._seed = seed or 0  # of the present sequence
        self._judge = Judge(options.limits)
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._shares: list[Tensor] = []
        self._hidden_frames = 0

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields a prediction of every frame, ``look_ahead`` frames after the wrapped session predicted it."""
        seed = self.seed
        if seed is None:
            seed = torch.initial_seed()
        self._judge = Judge(self.options.limits)
        self._waiting.clear()
        self._shares = []
        task = self._task(sequence, seed)
        yield from self._run_frames(task, self.wrapped.run(task.hidden), 0)

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """Returns the wrapped session's state behind the frames that it has predicted, and that of the judge.

        Not the frozen weights: a session that continues starts from the same ones.
        """
        predicted = done + len(self._waiting)
        wrapped = self.wrapped.midway_state(predicted)
        if wrapped is None:
            return None
        return {
            'wrapped': wrapped,
            'predicted': predicted,
            'seed': self._seed,
            'judge': self._judge.state_dict(),
            'waiting': [frame.state_dict() for frame in self._waiting],
            'shares': [share.cpu() for share in self._shares],
        }

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Continues behind the first ``done`` frames."""
        device = self.estimator.device
        self._judge = Judge(self.options.limits)
        self._judge.load_state_dict(state['judge'], device)
        self._shares = [share.to(device) for share in state['shares']]
        self._waiting = collections.deque(
            _Waiting.from_state(frame, device) for frame in state['waiting']
        )
        task = self._task(sequence, state['seed'])
        first = state['predicted']
        adapted = self.wrapped.run_from(task.hidden, first, state['wrapped'])
        yield from self._run_frames(task, adapted, first)

    @property
    def counts(self) -> Mapping[str, int | float]:
        """The counts of the wrapped session, and the shares of frames ``kept``, ``blended`` and ``rolled_back``.

        ``frames_without_evidence`` does not count frames that only the gate hid. ``adapted_share`` is the mean share of
        the adapted prediction.
        """
        counts = dict(self.wrapped.counts)
        if WITHOUT_EVIDENCE in counts:
            counts[WITHOUT_EVIDENCE] -= self._hidden_frames
            if counts[WITHOUT_EVIDENCE] <= 0:
                del counts[WITHOUT_EVIDENCE]
        if not self._shares:
            return counts
        shares = torch.cat(self._shares).cpu()
        kept = float((shares >= 1).double().mean())
        rolled_back = float((shares <= 0).double().mean())
        counts.update(
            kept=kept,
            blended=max(1.0 - kept - rolled_back, 0.0),
            rolled_back=rolled_back,
            adapted_share=float(shares.double().mean()),
        )
        return counts

    @property
    def state_bytes(self) -> int:
        """Those of the wrapped session; all sequences share the frozen weights."""
        return self.wrapped.state_bytes

    def state_dict(self) -> dict[str, Any]:
        """Returns the wrapped session's state and the frozen weights."""
        return {'wrapped': self.wrapped.state_dict(), 'frozen': self.frozen.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        assert isinstance(self.wrapped, Session)  # reset='never' does not reset at every frame
        self.wrapped.load_state_dict(state['wrapped'])
        self.frozen.load_state_dict(state['frozen'])

    def _task(self, sequence: Sequence, seed: int) -> _Task:
        """Hides the held-out keypoints of a sequence, and notes how many frames lose all of theirs."""
        self._seed = seed
        options = self.options
        held = HeldOut(options.keypoint_share, options.frame_share, seed).draw(sequence)
        device = self.estimator.device
        hidden = without_held_out(sequence, held)
        usable = usable_keypoints(sequence)
        self._hidden_frames = int((usable.any(1) & ~(usable & ~held).any(1)).sum())
        held_out = crop_targets(only_held_out(sequence, held), device=device)
        return _Task(sequence, hidden, held_out, crop_targets(sequence, device=device))

    def _run_frames(
        self, task: _Task, adapted: Iterator[Prediction], first: int
    ) -> Iterator[Prediction]:
        for t, prediction in enumerate(adapted, first):
            self._waiting.append(self._examine(task, t, prediction.detach()))
            if len(self._waiting) > self.options.look_ahead:
                yield self._decided()
        while self._waiting:
            yield self._decided()

    @torch.no_grad()
    def _examine(self, task: _Task, t: int, adapted: Prediction) -> _Waiting:
        """Predicts a frame with the frozen network, and shows both predictions to the judge."""
        frozen = predict(self.frozen, self.frozen.crops(task.sequence, [t]))
        body = self.estimator.required_body
        frame = slice(t, t + 1)
        evidence = self._judge.see(
            PosedPrediction.of(frozen, body),
            PosedPrediction.of(adapted, body),
            task.held_out[frame],
            task.keypoints[frame],
        )
        return _Waiting(frozen, adapted, evidence)

    @torch.no_grad()
    def _decided(self) -> Prediction:
        frame = self._waiting.popleft()
        share = self._judge.decide(frame.evidence)
        self._shares.append(share)
        return blend(frame.frozen, frame.adapted, share)


@dataclasses.dataclass(frozen=True)
class _Task:
    """A sequence, the same without its held-out keypoints, and (F, 24) held-out and all keypoints in crops."""

    sequence: Sequence
    hidden: Sequence
    held_out: CropKeypoints
    keypoints: CropKeypoints


@dataclasses.dataclass(frozen=True)
class _Waiting:
    """Both predictions of a frame that is not decided yet, and its evidence."""

    frozen: Prediction
    adapted: Prediction
    evidence: FrameEvidence

    def state_dict(self) -> dict[str, Any]:
        return {
            'frozen': _tensors(self.frozen),
            'adapted': _tensors(self.adapted),
            'evidence': {name: value.cpu() for name, value in vars(self.evidence).items()},
        }

    @staticmethod
    def from_state(state: Mapping[str, Any], device: torch.device) -> _Waiting:
        parts = {}
        for part in ('frozen', 'adapted', 'evidence'):
            parts[part] = {name: value.to(device) for name, value in state[part].items()}
        return _Waiting(
            Prediction(**parts['frozen']),
            Prediction(**parts['adapted']),
            FrameEvidence(**parts['evidence']),
        )


def _tensors(prediction: Prediction) -> dict[str, Tensor]:
    values = {name: getattr(prediction, name) for name in FIELDS}
    return {name: value.cpu() for name, value in values.items() if value is not None}
