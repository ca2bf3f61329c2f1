"""The judge of DoNoHarm: its evidence against numpy, and what it decides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hrtk.adapters.gate.judge import Judge, Limits
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.structures import Prediction


def posed(joints, joints2d, scale):
    camera = torch.tensor([[scale, 0.0, 0.0]], dtype=torch.float64)
    prediction = Prediction(torch.zeros(1, 24, 3, 3), torch.zeros(1, 10), camera)
    return PosedPrediction(
        prediction, torch.from_numpy(joints)[None], torch.from_numpy(joints2d)[None]
    )


def limits(**changes):
    values = dict(
        keep_above=1.0,
        roll_back_below=0.0,
        memory=0.6,
        acceleration=3.0,
        bones=0.15,
        step=0.5,
        noise=0.0,
    )
    return Limits(**{**values, **changes})


@pytest.mark.parametrize('noise', [0.0, 150.0])
def test_the_support_is_the_gain_of_the_image_per_change_of_depth(noise):
    """Against numpy: the seen error of the frame, plus by how much the held-out ones of all frames were larger.

    Both are normal numbers, so that some of them lie below a noise of 150 px and some above it.
    """
    rng = np.random.default_rng(0)
    judge = Judge(limits(noise=noise))
    sums, weights = [], []
    below = []
    for number in range(6):
        before, after = rng.normal(size=(2, 24, 3))
        image_before, image_after, target = rng.normal(size=(3, 24, 2))
        confidence = rng.uniform(0, 1, 24) * (number != 4)  # one frame without any keypoint,
        # and one of which all are hidden
        held = confidence * ((rng.random(24) < 0.3) | (number == 3))
        seen = np.where(held > 0, 0, confidence)
        keypoints, held_out = (
            CropKeypoints(torch.from_numpy(target)[None], torch.from_numpy(each)[None])
            for each in (confidence, held)
        )
        frozen, adapted = posed(before, image_before, 0.7), posed(after, image_after, 0.7)
        frame = judge.see(frozen, adapted, held_out, keypoints)
        old = ((image_before - target) ** 2).sum(1) / 0.7**2
        new = ((image_after - target) ** 2).sum(1) / 0.7**2
        sums.append(np.array([held @ new, seen @ new, confidence @ old]))
        weights.append(np.array([held.sum(), seen.sum(), confidence.sum()]))
        hips = [each[[2, 3], 2].mean() for each in (before, after)]
        depth = (((after[:, 2] - hips[1]) - (before[:, 2] - hips[0])) ** 2).mean()
        decay = 0.6 ** np.arange(number, -1, -1)
        past = decay @ np.array(sums) / (decay @ np.array(weights))
        frozen_error, adapted_error = past[2], past[0]
        if number != 4:
            frozen_error = sums[-1][2] / weights[-1][2]
            adapted_error = sums[-1][0] / weights[-1][0]
        if number not in (3, 4):
            count = decay @ np.array(weights)[:, 0]
            gap = max(past[0] - past[1], 0) * count / (count + 5)
            adapted_error = sums[-1][1] / weights[-1][1] + gap
        # The mean square of x and y; half the crop of 224 px is one crop coordinate, and 0.7 of those are a metre.
        of_noise = 2 * (noise / 112 / 0.7) ** 2
        below.append(bool(adapted_error < of_noise))
        expected = (frozen_error - max(adapted_error, of_noise)) / depth
        assert judge.support(frame).item() == pytest.approx(expected)
    assert set(below) == ({True, False} if noise else {False})


def test_an_adapter_that_fits_the_keypoints_it_sees_and_no_others_is_rolled_back():
    """Seen keypoints are met exactly, hidden ones are as far from the adapted joints as from the frozen ones."""
    rng = np.random.default_rng(4)
    joints = rng.normal(size=(24, 3))
    for true_gain, expected in ((False, 0.0), (True, 1.0)):
        judge = Judge(limits(memory=0.9))
        for _ in range(4):
            noise = rng.normal(size=(24, 2)) * 0.1
            image = joints[:, :2]
            held = np.arange(24) % 8 == 0
            fitted = image.copy()
            fitted[~held | true_gain] += noise[~held | true_gain]
            keypoints, held_out = (
                CropKeypoints(torch.from_numpy(image + noise)[None], torch.from_numpy(each)[None])
                for each in (np.ones(24), held.astype(float))
            )
            frozen, adapted = posed(joints, image, 1.0), posed(joints, fitted, 1.0)
            frame = judge.see(frozen, adapted, held_out, keypoints)
            share = judge.decide(frame).item()
        assert share == expected


def test_where_the_frozen_prediction_is_as_good_as_the_keypoints_nothing_is_gained():
    """A frozen prediction 4 px away, an adapted one on all keypoints: kept without noise, rolled back at 4.5."""
    rng = np.random.default_rng(5)
    joints = rng.normal(size=(24, 3))
    keypoints = CropKeypoints(
        torch.from_numpy(joints[:, :2])[None], torch.ones(1, 24, dtype=torch.float64)
    )
    for pixels, noise, expected in ((4.0, 0.0, 1.0), (4.0, 4.5, 0.0), (40.0, 4.5, 1.0)):
        judge = Judge(limits(noise=noise))
        frozen = posed(joints, joints[:, :2] + pixels / 112, 1.0)
        frame = judge.see(frozen, posed(joints, joints[:, :2], 1.0), keypoints, keypoints)
        assert judge.decide(frame).item() == expected


def steady(rng, frames):
    """Joints, their image, and keypoints that show a large gain."""
    joints = rng.normal(size=(24, 3))
    image = joints[:, :2]
    keypoints = CropKeypoints(torch.from_numpy(image)[None], torch.ones(1, 24, dtype=torch.float64))
    return [(joints, image, keypoints) for _ in range(frames)]


def test_the_share_grows_by_steps_and_falls_at_once():
    judge, rng = Judge(limits(memory=0.0, step=0.3)), np.random.default_rng(1)
    shares = []
    for number, (joints, image, keypoints) in enumerate(steady(rng, 7)):
        # Of the frozen, or if negative the adapted, joints in the image.
        offset = {0: 0.0, 4: -0.5}.get(number, 0.5)
        frozen = posed(joints, image + max(offset, 0), 1.0)
        frame = judge.see(frozen, posed(joints, image + min(offset, 0), 1.0), keypoints, keypoints)
        shares.append(judge.decide(frame).item())
    assert shares == pytest.approx([0, 0.3, 0.6, 0.9, 0, 0.3, 0.6])


def test_jerks_and_growing_bones_count_against_the_adapted_prediction():
    """At 1.5 times a limit half of the adapted prediction is left, at twice the limit nothing."""
    rng = np.random.default_rng(2)
    for factor, expected in ((1.0, 1.0), (1.5, 0.5), (2.5, 0.0)):
        judge = Judge(limits())
        for number, (joints, image, keypoints) in enumerate(steady(rng, 3)):
            joints = joints.copy()
            still = dataclasses.replace(keypoints, confidence=keypoints.confidence * (number < 2))
            moved = joints.copy()
            if number == 2:  # all joints but the hips, so that their mean is the acceleration
                others = [index for index in range(24) if index not in (2, 3)]
                moved[others, 0] += factor * 3 * 0.01 * 24 / 22
                limbs = judge._lengths
                judge._lengths = None
            frame = judge.see(posed(joints, image, 1.0), posed(moved, image, 1.0), still, still)
            if number == 2:
                assert limbs is not None and frame.plausible.item() == pytest.approx(expected)
        judge = Judge(limits(acceleration=1e9))
        for number, (joints, image, keypoints) in enumerate(steady(rng, 2)):
            grown = joints * (1 + number * factor * 0.15)
            frame = judge.see(
                posed(joints, image, 1.0), posed(grown, image, 1.0), keypoints, keypoints
            )
        assert frame.plausible.item() == pytest.approx(expected)
