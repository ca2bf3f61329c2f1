"""The number of steps of few-shot adaptation, chosen on labelled videos that are left out one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.base import Preparation, PreparationStep
from hrtk.adapters.few_shot.labels import Labels
from hrtk.adapters.few_shot.process import FewShotProcess, centred, centred_joints
from hrtk.adapters.few_shot.shots import Shot
from hrtk.adapters.parts.posed import PosedPrediction
from hrtk.adapters.run import copied_weights
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator

VALIDATION: Final = 'validation'  # name of the stored state and of the stage in reports

# Shots to learn from, as indices -> the process that learns from them, with a new optimiser.
Begin = Callable[[list[int]], FewShotProcess]


class LeftOut:
    """Shots of one video, which are predicted but not learnt from, all in one batch: the crops are copied once.

    Args:
        crops: (N, 3, R, R) crops, or (N, T, 3, R, R) clips.
        labels: labels of each.
    """

    def __init__(self, crops: Tensor, labels: SequenceOf[Labels]) -> None:
        self.crops = crops
        self.truth = torch.cat([centred(label.joints3d) for label in labels])

    @torch.no_grad()
    def error(self, estimator: Estimator) -> float:
        """Returns the sum over all frames of the mean error of the 14 common joints relative to the hips, metres."""
        posed = PosedPrediction.of(estimator(self.crops), estimator.required_body)
        difference = centred_joints(posed) - self.truth
        return float(difference.unflatten(1, (-1, 3)).norm(dim=-1).mean(-1).sum())


def choose_steps(
    begin: Begin,
    shots: SequenceOf[Shot],
    crops: Tensor,
    labels: SequenceOf[Labels],
    preparation: Preparation,
) -> int:
    """Leaves videos out one after another, and returns the number of steps with the least error on them.

    Args:
        begin: starts the learning process on shots of the given indices. Its options tell how many videos are left
            out, and after how many steps the error is taken.
        shots: all N shots. The videos are left out in the order in which shots were drawn from them.
        crops: of the shots.
        labels: of the shots.
        preparation: stores the errors after every video, so that an interrupted run resumes with the next one.

    Returns:
        A multiple of ``check_every``, or all steps. 0 if the start weights are best. Of equal errors the fewest steps.
        The estimator has its start weights afterwards.

    Raises:
        InputError: fewer videos have shots than are left out, or only one has.
    """
    process = begin(list(range(len(shots))))
    options = process.options
    videos = list(dict.fromkeys(shot.sequence for shot in shots))
    if len(videos) < max(2, options.leave_out):
        raise InputError(
            f'FewShotMetric: leave_out={options.leave_out} videos are left out, and {len(videos)} have shots; at '
            f'least two are needed. Take more shots, or leave_out=0 and a fixed number of steps'
        )
    estimator = process.estimator
    start = copied_weights(estimator)
    checks = [*range(0, options.steps, options.check_every), options.steps]
    state = preparation.load(VALIDATION) or dict(errors=[])
    errors = list(state['errors'])
    for number in range(len(errors), options.leave_out):
        kept = [i for i, shot in enumerate(shots) if shot.sequence != videos[number]]
        out = [i for i, shot in enumerate(shots) if shot.sequence == videos[number]]
        left_out = LeftOut(crops[torch.tensor(out, device=crops.device)], [labels[i] for i in out])
        errors.append(_errors_of(begin(kept), left_out, checks))
        estimator.load_state_dict(start)
        preparation.save(VALIDATION, dict(errors=errors))
        numbers = dict(start=errors[-1][0] / len(out), end=errors[-1][-1] / len(out))
        preparation.report(PreparationStep(VALIDATION, number + 1, options.leave_out, numbers))
    totals = torch.tensor(errors, dtype=torch.float64).sum(0)
    totals = torch.nan_to_num(totals, nan=torch.inf)
    return checks[int(totals.argmin())]


def _errors_of(process: FewShotProcess, left_out: LeftOut, checks: list[int]) -> list[float]:
    """Returns the error on the video that is left out after each number of steps in ``checks``, which ascend from 0."""
    errors = [left_out.error(process.estimator)]
    for begin, end in zip(checks, checks[1:]):
        for _ in process.run(range(begin, end)):
            pass
        errors.append(left_out.error(process.estimator))
    return errors
