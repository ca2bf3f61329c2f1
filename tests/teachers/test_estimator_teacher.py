"""Labels by another estimator."""

from __future__ import annotations

import torch

from hrtk.models.estimators import predict_sequence
from hrtk.registry import ESTIMATORS, TEACHERS
from hrtk.testing import random_sequence

NETWORK = dict(type='HMR', backbone=dict(type='ResNet', depth=18, width=4), resolution=32)


def test_the_labels_are_the_predictions_of_the_other_estimator():
    teacher = TEACHERS.build(dict(type='EstimatorTeacher', estimator=NETWORK))
    student = ESTIMATORS.build(dict(NETWORK, resolution=64)).eval()
    sequence = random_sequence('noise', 3, 80)
    labels = teacher.label(sequence, student)
    expected = predict_sequence(teacher.estimator, sequence)
    for name in ('rotmat', 'betas', 'camera'):
        assert torch.equal(getattr(labels, name), getattr(expected, name))
        assert not getattr(labels, name).requires_grad
    assert labels.features is None
    assert not torch.equal(labels.rotmat, predict_sequence(student, sequence).rotmat)
    weights = teacher.estimator.fingerprint()['weights']
    assert teacher.fingerprint()['teacher_weights'] == weights
