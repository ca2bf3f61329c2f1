"""Image features of whole sequences, computed once."""

from __future__ import annotations

import collections
import hashlib

import numpy as np
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.estimators import Estimator, predict_sequence
from hrtk.structures import Sequence


class FeatureMemory:
    """Features of the sequences that were asked for last, within a number of bytes.

    A sequence is known by its name, length, boxes and first picture, a network by the hash of its weights: an adapted
    network gets features of its own.

    Args:
        limit: bytes; the 35 thousand frames of 3DPW's test set take 290 MB with a ResNet-50, and a smaller limit would
            help nothing: data sets are walked through in one order, so the oldest is what is asked for next.
    """

    def __init__(self, limit: int = 2**29) -> None:
        self.limit = limit
        self._known: collections.OrderedDict[tuple, Tensor] = collections.OrderedDict()

    def get(self, sequence: Sequence, extractor: Estimator) -> Tensor:
        """(F, C) features of a sequence's crops, on the extractor's device.

        Raises:
            InputError: a frame cannot be read, or the network has no features.
        """
        picture = hashlib.sha256(np.ascontiguousarray(sequence.frames[0])).hexdigest()
        boxes = hashlib.sha256(sequence.boxes.numpy().tobytes()).hexdigest()
        key = (
            sequence.name,
            len(sequence),
            boxes,
            picture,
            extractor.resolution,
            extractor.fingerprint()['weights'],
        )
        if key not in self._known:
            self._known[key] = compute_features(sequence, extractor).cpu()
        self._known.move_to_end(key)
        while (
            sum(features.nbytes for features in self._known.values()) > self.limit
            and len(self._known) > 1
        ):
            self._known.popitem(last=False)
        return self._known[key].to(extractor.device)


def compute_features(sequence: Sequence, extractor: Estimator) -> Tensor:
    """Computes the features of a sequence's crops, in evaluation mode.

    Args:
        sequence: F frames.
        extractor: an estimator whose predictions have features; it is returned to the mode that it was in.

    Returns:
        (F, C) features on the extractor's device.

    Raises:
        InputError: a frame cannot be read, or the network has no features.
    """
    training = extractor.training
    extractor.eval()
    try:
        features = predict_sequence(extractor, sequence).features
    finally:
        extractor.train(training)
    if features is None:
        raise InputError(
            f'{type(extractor).__name__} gives no features, which a temporal network needs; name another '
            f'network as the `features` of the teacher'
        )
    return features
