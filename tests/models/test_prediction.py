"""Predictions of a frozen estimator over a sequence: their order, their chunks and their gradients."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hrtk.models.estimators import HMR, predict_frames, predict_sequence
from hrtk.structures import Prediction
from hrtk.testing import random_sequence


class CountingHMR(HMR):
    """A small image network that stores the size of every batch."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            dict(type='ResNet', depth=18, width=4),
            dict(type='IterativeRegressor', hidden=8),
            16,
            None,
        )
        self.batches = []
        self.eval()

    def forward(self, images):
        self.batches.append(len(images))
        return super().forward(images)


def assert_equal(prediction, expected):
    for field in dataclasses.fields(Prediction):
        value = getattr(prediction, field.name)
        torch.testing.assert_close(value, getattr(expected, field.name), rtol=0, atol=0)


@pytest.mark.parametrize('batch_size, batches', [(3, [3, 3, 1]), (7, [7]), (32, [7])])
def test_chunks_cover_the_sequence_in_order(batch_size, batches):
    estimator = CountingHMR()
    sequence = random_sequence('noise', 7, 20)
    joined = predict_sequence(estimator, sequence, batch_size)
    assert estimator.batches == batches
    assert len(joined) == 7
    assert not joined.rotmat.requires_grad
    with torch.no_grad():
        explicit = [
            estimator(estimator.crops(sequence, range(start, min(start + batch_size, 7))))
            for start in range(0, 7, batch_size)
        ]
    assert_equal(joined, Prediction.cat(explicit))
    frames = list(predict_frames(estimator, sequence, batch_size))
    assert [len(frame) for frame in frames] == 7 * [1]
    assert_equal(Prediction.cat(frames), joined)


def test_gradients_stay_enabled_at_every_yield():
    for prediction in predict_frames(CountingHMR(), random_sequence('noise', 5, 20), 2):
        assert torch.is_grad_enabled()
        assert not prediction.rotmat.requires_grad


def test_frames_are_predicted_when_their_chunk_is_due():
    estimator = CountingHMR()
    frames = predict_frames(estimator, random_sequence('noise', 5, 20), 2)
    next(frames)
    assert estimator.batches == [2]


@pytest.mark.parametrize('training', [True, False])
def test_mode_of_the_estimator_stays(training):
    estimator = CountingHMR().train(training)
    predict_sequence(estimator, random_sequence('noise', 2, 20))
    assert estimator.training is training
