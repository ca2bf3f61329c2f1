"""Predictions of a frozen estimator over a sequence."""

from __future__ import annotations

from typing import Iterator

import torch

from hrtk.models.estimators.base import Estimator
from hrtk.structures import Prediction, Sequence

BATCH_SIZE = 32


def predict_frames(
    estimator: Estimator, sequence: Sequence, batch_size: int = BATCH_SIZE, first: int = 0
) -> Iterator[Prediction]:
    """Yields the prediction of every frame of a sequence, in order.

    The frames are predicted in chunks of ``batch_size``, without gradients, in the estimator's current mode (training
    or evaluation). Gradients are never disabled at a ``yield``, so the generator's consumer does not inherit
    ``torch.no_grad()``.

    Args:
        estimator: maps crops to predictions.
        sequence: F frames.
        batch_size: frames per forward pass.
        first: index of the first frame to predict, a multiple of ``batch_size``: a network rounds differently in
            another batch.

    Yields:
        Predictions of batch size one, on the estimator's device.

    Raises:
        InputError: a frame cannot be read.
    """
    for chunk in _chunks(len(sequence), batch_size, first):
        prediction = _predict_chunk(estimator, sequence, chunk)
        for i in range(len(chunk)):
            yield prediction[i : i + 1]


def predict_sequence(
    estimator: Estimator, sequence: Sequence, batch_size: int = BATCH_SIZE
) -> Prediction:
    """Predicts all frames of a sequence, without gradients, in the estimator's current mode.

    Args:
        estimator: maps crops to predictions.
        sequence: F frames.
        batch_size: frames per forward pass.

    Returns:
        One prediction of batch size F, on the estimator's device.

    Raises:
        InputError: a frame cannot be read.
    """
    chunks = _chunks(len(sequence), batch_size)
    return Prediction.cat([_predict_chunk(estimator, sequence, chunk) for chunk in chunks])


def predict_chunks(
    estimator: Estimator, sequence: Sequence, first: int = 0
) -> Iterator[Prediction]:
    """Yields the predictions of :func:`predict_sequence` in batches of ``BATCH_SIZE`` frames.

    Args:
        estimator: maps crops to predictions.
        sequence: F frames.
        first: index of the first frame to predict, a multiple of ``BATCH_SIZE``, or F.

    Raises:
        InputError: a frame cannot be read.
    """
    for chunk in _chunks(len(sequence), BATCH_SIZE, first):
        yield _predict_chunk(estimator, sequence, chunk)


def _chunks(length: int, batch_size: int, first: int = 0) -> Iterator[range]:
    for start in range(first, length, batch_size):
        yield range(start, min(start + batch_size, length))


@torch.no_grad()
def _predict_chunk(estimator: Estimator, sequence: Sequence, chunk: range) -> Prediction:
    return estimator(estimator.crops(sequence, chunk))
