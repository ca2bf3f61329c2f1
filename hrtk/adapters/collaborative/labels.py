"""A teacher's labels of a whole target, stored while they are computed."""

from __future__ import annotations

import time
from typing import Sequence as SequenceOf

from torch import Tensor

from hrtk.adapters.base import Preparation, PreparationStep
from hrtk.models.estimators import Estimator
from hrtk.structures import Prediction, Sequence
from hrtk.teachers import Teacher

LABELS = 'labels'
SECONDS_BETWEEN_STATES = 60.0  # an interruption loses at most the labels of this time
PARAMETERS = ('rotmat', 'betas', 'camera')


def label_sequences(
    teacher: Teacher,
    sequences: SequenceOf[Sequence],
    estimator: Estimator,
    preparation: Preparation,
) -> list[Prediction]:
    """Labels every sequence once.

    Args:
        teacher: computes the labels.
        sequences: the whole target.
        estimator: the student, with the start weights.
        preparation: stores the labels, so that a resumed run computes only the missing ones.

    Returns:
        The labels of every sequence, F predictions each, on the estimator's device.
    """
    stored: dict[str, dict[str, Tensor]] = preparation.load(LABELS) or {}
    last_saved = time.monotonic()
    for number, sequence in enumerate(sequences, 1):
        if sequence.name in stored:
            continue
        label = teacher.label(sequence, estimator)
        stored[sequence.name] = {name: getattr(label, name).detach().cpu() for name in PARAMETERS}
        step = PreparationStep('labels', number, len(sequences), {'labelled': number})
        preparation.report(step)
        if time.monotonic() - last_saved > SECONDS_BETWEEN_STATES:
            preparation.save(LABELS, stored)
            last_saved = time.monotonic()
    preparation.save(LABELS, stored)
    return [_prediction(stored[sequence.name], estimator) for sequence in sequences]


def _prediction(parameters: dict[str, Tensor], estimator: Estimator) -> Prediction:
    return Prediction(*[parameters[name].to(estimator.device) for name in PARAMETERS])
