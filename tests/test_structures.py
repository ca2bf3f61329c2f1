"""Predictions, keypoints and sequences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hrtk.errors import InputError
from hrtk.structures import GroundTruth, Keypoints2D, Prediction, Sequence


def prediction(count: int, features: bool = True) -> Prediction:
    torch.manual_seed(count)
    result = Prediction(
        rotmat=torch.randn(count, 24, 3, 3),
        betas=torch.randn(count, 10),
        camera=torch.randn(count, 3),
        features=torch.randn(count, 7),
        hidden=torch.randn(count, 5),
        joint_spread=torch.rand(count, 24),
        latent=torch.rand(count, 32),
        adapted_share=torch.rand(count),
    )
    if features:
        return result
    return dataclasses.replace(result, features=None)


def test_slices_and_cat_are_inverse():
    whole = prediction(5)
    joined = Prediction.cat([whole[:2], whole[2:3], whole[torch.tensor([3, 4])]])
    assert len(joined) == 5
    for field in dataclasses.fields(Prediction):
        assert torch.equal(getattr(joined, field.name), getattr(whole, field.name))


def test_features_are_kept_only_if_all_have_them():
    joined = Prediction.cat([prediction(2), prediction(3, features=False)])
    assert joined.features is None and len(joined) == 5
    assert prediction(3, features=False)[1:].features is None


def test_detach_and_cpu_keep_values():
    weight = torch.ones(1, requires_grad=True)
    tracked = Prediction(*(weight * x for x in dataclasses.astuple(prediction(2))))
    free = tracked.detach().cpu()
    assert not free.rotmat.requires_grad and torch.equal(free.betas, tracked.betas)


def test_predictions_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        prediction(1).betas = torch.zeros(1, 10)


def test_sequence_labels_its_frames():
    keypoints = Keypoints2D(torch.zeros(3, 17, 2), torch.ones(3, 17), 'coco17', 'gt')
    sequence = Sequence('clip', np.zeros((3, 4, 4, 3), np.uint8), torch.ones(3, 3), keypoints)
    assert len(sequence) == 3 and sequence.frame_ids == ('000000', '000001', '000002')
    named = dataclasses.replace(sequence, frame_ids=('a', 'b', 'c'))
    assert named.frame_ids == ('a', 'b', 'c') and named.truth is None and named.masks is None


def test_a_part_has_the_frames_of_the_sequence_and_reads_them_lazily():
    class Frames(list):
        read = []

        def __getitem__(self, index):
            self.read.append(index)
            return super().__getitem__(index)

    keypoints = Keypoints2D(
        torch.arange(5.0)[:, None, None].expand(5, 17, 2), torch.ones(5, 17), 'coco17', 'gt'
    )
    truth = GroundTruth(betas=torch.arange(5.0)[:, None].expand(5, 10), gender='male')
    frames = Frames(np.full((4, 4, 3), t, np.uint8) for t in range(5))
    sequence = Sequence(
        'clip', frames, torch.arange(15.0).reshape(5, 3), keypoints, truth, masks=frames
    )
    part = sequence.part(1, 4)
    assert len(part) == 3 and part.frame_ids == ('000001', '000002', '000003') and not Frames.read
    assert (
        [int(part.frames[t].max()) for t in range(3)]
        == [1, 2, 3]
        == [int(part.masks[t].max()) for t in range(3)]
    )
    assert torch.equal(part.boxes, sequence.boxes[1:4]) and part.name == 'clip'
    assert part.keypoints2d.xy[:, 0, 0].tolist() == [1, 2, 3] == part.truth.betas[:, 0].tolist()
    assert part.truth.gender == 'male' and part.truth.rotmat is None


def test_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)
