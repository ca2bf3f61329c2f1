"""Predictions of a frozen estimator over a sequence."""

from __future__ import annotations

from typing import Iterator, Optional

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
    for prediction in predict_chunks(estimator, sequence, batch_size, first):
        for i in range(len(prediction)):
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
    return Prediction.cat(list(predict_chunks(estimator, sequence, batch_size)))


def predict_chunks(
    estimator: Estimator,
    sequence: Sequence,
    batch_size: int = BATCH_SIZE,
    first: int = 0,
    stop: Optional[int] = None,
) -> Iterator[Prediction]:
    """Yields the predictions of :func:`predict_sequence` in batches.

    Args:
        estimator: maps crops to predictions.
        sequence: F frames.
        batch_size: frames per forward pass.
        first: index of the first frame to predict, a multiple of ``batch_size``, or F.
        stop: index behind the last frame to predict; None is F.

    Raises:
        InputError: a frame cannot be read.
    """
    if stop is None:
        stop = len(sequence)
    for start in range(first, stop, batch_size):
        chunk = range(start, min(start + batch_size, stop))
        yield _predict_chunk(estimator, sequence, chunk)


@torch.no_grad()
def _predict_chunk(estimator: Estimator, sequence: Sequence, chunk: range) -> Prediction:
    return estimator(estimator.crops(sequence, chunk))
