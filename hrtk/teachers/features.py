"""Image features of sequences, computed once."""

from __future__ import annotations

import collections
import hashlib

import numpy as np
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.estimators import Estimator, predict_sequence
from hrtk.structures import Sequence


class FeatureCache:
    """The features of the latest sequences, within a number of bytes.

    The key of a sequence is its name, length, boxes and first image, that of an estimator the hash of its weights: an
    adapted estimator has features of its own.

    Args:
        limit: bytes; the 35 thousand frames of 3DPW's test set take 290 MB with a ResNet-50. A smaller limit saves no
            computation: data sets are iterated in one order, so the oldest entry is the next to be requested.
    """

    def __init__(self, limit: int = 2**29) -> None:
        self.limit = limit
        self._entries: collections.OrderedDict[tuple, Tensor] = collections.OrderedDict()

    def get(self, sequence: Sequence, estimator: Estimator) -> Tensor:
        """Returns the (F, C) features of a sequence's crops, on the estimator's device.

        Raises:
            InputError: a frame cannot be read, or the estimator predicts no features.
        """
        key = _key(sequence, estimator)
        if key not in self._entries:
            self._entries[key] = compute_features(sequence, estimator).cpu()
        self._entries.move_to_end(key)
        while self._size() > self.limit and len(self._entries) > 1:
            self._entries.popitem(last=False)
        return self._entries[key].to(estimator.device)

    def _size(self) -> int:
        return sum(features.nbytes for features in self._entries.values())


def compute_features(sequence: Sequence, estimator: Estimator) -> Tensor:
    """Computes the features of a sequence's crops, in evaluation mode.

    Args:
        sequence: F frames.
        estimator: predicts features; its mode is restored afterwards.

    Returns:
        (F, C) features on the estimator's device.

    Raises:
        InputError: a frame cannot be read, or the estimator predicts no features.
    """
    training = estimator.training
    estimator.eval()
    try:
        features = predict_sequence(estimator, sequence).features
    finally:
        estimator.train(training)
    if features is None:
        raise InputError(
            f'{type(estimator).__name__} predicts no features, which a temporal network needs; name another '
            f'network as the `features` of the teacher'
        )
    return features


def _key(sequence: Sequence, estimator: Estimator) -> tuple:
    image = np.ascontiguousarray(sequence.frames[0])
    return (
        sequence.name,
        len(sequence),
        hashlib.sha256(sequence.boxes.numpy().tobytes()).hexdigest(),
        hashlib.sha256(image.data).hexdigest(),
        estimator.resolution,
        estimator.fingerprint()['weights'],
    )
