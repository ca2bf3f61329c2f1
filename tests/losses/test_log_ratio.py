"""The log-ratio loss against the triple loop of its equations, against counts by hand, and what it does to features."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from hrtk.errors import InputError
from hrtk.losses import (
    LogRatioLoss,
    log_distance,
    log_pose_distance,
    log_ratio_loss,
    ranked_triplets,
    video_triplets,
)
from hrtk.registry import LOSSES

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))
from literal.log_ratio import literal_log_ratio, ranked_samples, video_samples  # noqa: E402

VARIANTS = ('thesis', 'kim', 'abs')
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-10}


def scene(batch=3, length=8, channels=40, joints=14, dtype=torch.float64, seed=0):
    """Features and joints of sequences that move slowly, so that neighbours are near to each other."""
    random = torch.Generator().manual_seed(seed)
    features, poses = (
        torch.randn(batch, 1, size, generator=random, dtype=dtype)
        + 0.05 * torch.randn(batch, length, size, generator=random, dtype=dtype).cumsum(1)
        for size in (channels, 3 * joints)
    )
    return features.relu(), 0.3 * poses.unflatten(2, (joints, 3))


def slope(loss, features):
    """The gradient by features."""
    return torch.autograd.grad(loss, features)[0]


@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('nearby', ['exclude', 'include'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_a_batch_of_videos_is_the_triple_loop(variant, nearby, dtype):
    features, joints = scene(dtype=dtype)
    features.requires_grad_()
    for anchors in ([0, 4, 7], [3, 7, 1]):
        loss_value = LogRatioLoss(variant, nearby, skip=2)(features, joints, torch.tensor(anchors))
        expected = literal_log_ratio(
            features.flatten(0, 1),
            joints.flatten(0, 1),
            video_samples(anchors, 8, 2, nearby),
            variant,
        )
        assert loss_value.item() == pytest.approx(expected.item(), rel=TOLERANCE[dtype])
        a = slope(loss_value, features)
        b = slope(expected, features)
        assert (a - b).abs().max() <= 10 * TOLERANCE[dtype] * b.abs().max()


@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('variant', VARIANTS)
def test_between_domains_is_the_triple_loop(variant, dtype):
    features, joints = (x.flatten(0, 1) for x in scene(dtype=dtype))
    features.requires_grad_()
    loss_value = LogRatioLoss(variant, share=0.25).between(
        features[:7], joints[:7], features[7:], joints[7:]
    )
    samples = ranked_samples(joints[:7], joints[7:], (2, 3), 0.25)
    assert [len(near) for _, near, _ in samples] == [4] * 7
    expected = literal_log_ratio(features, joints, samples, variant)
    assert loss_value.item() == pytest.approx(expected.item(), rel=TOLERANCE[dtype])
    a = slope(loss_value, features)
    b = slope(expected, features)
    assert (a - b).abs().max() <= 10 * TOLERANCE[dtype] * b.abs().max()
    assert b[:7].abs().max() > 0 and b[7:].abs().max() > 0  # both domains learn


def test_wide_float32_features_of_neighbours_in_time():
    features, joints = scene(3, 6, 2048, dtype=torch.float32)
    features = features[:, :1] + 0.01 * (
        features - features[:, :1]
    )  # half a thousandth of their length apart
    plain = (features.flatten(0, 1).double(), joints.flatten(0, 1).double())
    loss_value = LogRatioLoss('kim', 'include', 1)(features, joints, torch.tensor([0, 2, 5]))
    expected = literal_log_ratio(*plain, video_samples([0, 2, 5], 6, 1, 'include'), 'kim')
    assert loss_value.item() == pytest.approx(expected.item(), rel=1e-6)


def test_counts_of_sixteen_frames():
    counts = {
        nearby: [
            int(video_triplets(torch.tensor([t, 0]), 16, 3, nearby).valid[0].sum())
            for t in range(16)
        ]
        for nearby in ('exclude', 'include')
    }
    assert counts['exclude'] == [12, 11, 10, *[9] * 10, 10, 11, 12]
    assert counts['include'] == [3, 4, 5, *[6] * 10, 5, 4, 3]
    assert np.mean(counts['exclude']) == 9.75 and np.mean(counts['include']) == 5.25
    middle = torch.full((32,), 8)
    end = torch.zeros(32, dtype=torch.int64)
    assert [video_triplets(at, 16, 3, rule).count() for rule in counts for at in (middle, end)] == [
        32 * n * 496 for n in (9, 12, 6, 3)
    ]


@pytest.mark.parametrize(
    'nearby, skip', [('exclude', 0), *itertools.product(['exclude', 'include'], [1, 3, 4])]
)
def test_places_are_those_of_the_loop(nearby, skip):
    for anchors in itertools.product(range(6), [0, 2, 5]):
        triplets = video_triplets(torch.tensor(anchors), 6, skip, nearby)
        for row, (_, positives, negatives) in enumerate(
            video_samples(list(anchors), 6, skip, nearby)
        ):
            assert sorted(triplets.positive[row][triplets.valid[row]].tolist()) == positives
            assert sorted(triplets.negative[row].tolist()) == negatives


def test_no_step_zero_takes_all_other_frames():
    assert video_triplets(torch.tensor([0, 9]), 16, 0).valid.sum(1).tolist() == [15, 15]


def test_top_and_bottom_share():
    distance = torch.rand(128, 128, generator=torch.Generator().manual_seed(0))
    triplets = ranked_triplets(distance)
    assert triplets.count() == 184832 and triplets.positive.shape == triplets.negative.shape == (
        128,
        38,
    )
    order = distance.numpy().argsort(1)
    assert (np.sort(triplets.positive.numpy()) == np.sort(order[:, :38])).all()
    assert (np.sort(triplets.negative.numpy()) == np.sort(order[:, 90:])).all()
    assert ranked_triplets(distance[:, :10]).positive.shape == (
        128,
        3,
    )  # 0.3 * 10 is not quite 3 in binary
    assert ranked_triplets(distance[:, :100], 0.29).positive.shape == (128, 29)


def test_distances():
    features, joints = scene()
    a = features[:, 0].numpy()
    b = features.flatten(0, 1).numpy()
    apart = ((a[:, None] - b) ** 2).sum(2)
    np.testing.assert_allclose(
        log_distance(features[:, 0], features.flatten(0, 1), 0.01),
        np.log(apart + 0.01) / 2,
        rtol=1e-11,
        atol=1e-12,
    )
    a, b = (
        (x - x[:, 2:4].mean(1, keepdims=True))
        for x in (joints[:, 0].numpy(), joints.flatten(0, 1).numpy())
    )
    apart = np.linalg.norm(a[:, None] - b, axis=3).mean(2)
    loss_value = log_pose_distance(
        joints[:, 0], joints.flatten(0, 1) + torch.tensor([1.0, -2.0, 3.0]), eps=1e-4
    )
    np.testing.assert_allclose(loss_value, np.log(apart**2 + 1e-4) / 2, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('channels', [5, 2048])
def test_what_coincides_has_distance_zero_and_no_gradient(channels, dtype):
    features = scene(2, 3, channels, dtype=dtype)[0].flatten(0, 1)
    features[4] = features[1]
    anchors = features[1:2].clone().requires_grad_()
    loss_value = log_distance(anchors, features)
    np.testing.assert_allclose(loss_value[0, [1, 4]].detach(), np.log(1e-8) / 2, rtol=1e-6)
    assert slope(loss_value[0, [1, 4]].sum(), anchors).abs().max() == 0


@pytest.mark.parametrize('variant', VARIANTS)
def test_gradients_stay_finite(variant):
    features, joints = scene(4, 8, 16, dtype=torch.float32)
    for same in (
        features,
        torch.zeros_like(features),
        features[:1].expand(4, -1, -1),
        features[:, :1].expand(-1, 8, -1),
    ):
        for poses in (joints, torch.zeros_like(joints)):
            leaf = same.clone().requires_grad_()
            loss = LogRatioLoss(variant)(leaf, poses, torch.tensor([0, 3, 5, 7]))
            loss = loss + LogRatioLoss(variant).between(leaf[0], poses[0], leaf[1], poses[1])
            assert torch.isfinite(loss) and torch.isfinite(slope(loss, leaf)).all()


@pytest.mark.parametrize('variant', VARIANTS)
def test_gradcheck(variant):
    features, joints = scene(3, 5, 4)
    features.requires_grad_()
    assert gradcheck(
        lambda f: LogRatioLoss(variant, skip=1, eps=1e-3)(f, joints, torch.tensor([0, 2, 4])),
        features,
    )


def test_where_each_variant_is_least():
    triplets = video_triplets(torch.tensor([0, 0]), 2, 0)
    ratios = torch.logspace(-4, 4, 17, dtype=torch.float64)
    labels = torch.zeros(2, 4, dtype=torch.float64)
    losses = {}
    for variant in VARIANTS:
        losses[variant] = []
        for ratio in ratios.log():
            features = torch.tensor(
                [[0, ratio, 0, 0], [0, 0, 0, ratio]], dtype=torch.float64
            )  # positives at 1 and 3
            losses[variant].append(
                log_ratio_loss(features, labels, triplets, variant, 'mean').item()
            )
    ratios = ratios.numpy()
    np.testing.assert_allclose(losses['kim'], np.log(ratios) ** 2, atol=1e-12)
    np.testing.assert_allclose(losses['abs'], np.abs(np.log(ratios)), atol=1e-12)
    np.testing.assert_allclose(losses['thesis'], np.log1p(ratios), rtol=1e-12)
    assert (
        np.argmin(losses['kim']) == np.argmin(losses['abs']) == 8
        and np.argmin(losses['thesis']) == 0
    )


def embed(variant, steps=800):
    """Free features for 8 sequences of 8 frames whose labels are places on a line, and how far apart they end."""
    random = torch.Generator().manual_seed(0)
    labels = torch.linspace(0, 1, 64)[torch.randperm(64, generator=random)].view(8, 8, 1)
    features = (0.3 * torch.randn(8, 8, 2, generator=random)).requires_grad_()
    adam = torch.optim.Adam([features], lr=0.02)
    for _ in range(steps):
        anchors = torch.randint(8, (8,), generator=random)
        label_distance = log_distance(labels[range(8), anchors], labels.flatten(0, 1), 1e-6)
        loss_value = log_distance(features[range(8), anchors], features.flatten(0, 1), 1e-6)
        loss = log_ratio_loss(loss_value, label_distance, video_triplets(anchors, 8, 0), variant)
        adam.zero_grad()
        loss.backward()
        adam.step()
    apart, true = (
        torch.cdist(x.flatten(0, 1), x.flatten(0, 1)) for x in (features.detach(), labels)
    )
    pairs = ~torch.eye(64, dtype=torch.bool)
    same = torch.eye(8, dtype=torch.bool).repeat_interleave(8, 0).repeat_interleave(8, 1) & pairs
    correlation = np.corrcoef(apart[pairs].log(), true[pairs].log())[0, 1]
    return correlation, (apart[same].mean() / apart[~same & pairs].mean()).item()


def test_kim_keeps_distances_and_the_thesis_variant_collapses_sequences():
    loss_value = {variant: embed(variant) for variant in VARIANTS}
    assert (
        loss_value['kim'][0] > 0.95
        and loss_value['abs'][0] > 0.95
        and abs(loss_value['thesis'][0]) < 0.3
    )
    assert loss_value['thesis'][1] < 0.1 and min(loss_value['kim'][1], loss_value['abs'][1]) > 0.7


def test_reduction_and_anchors_that_are_drawn():
    features, joints = scene()
    anchors = torch.tensor([1, 2, 3])
    total, mean = (
        LogRatioLoss(reduction=name)(features, joints, anchors).item() for name in ('sum', 'mean')
    )
    assert total == pytest.approx(3 * mean, rel=1e-12)
    loss = LogRatioLoss('kim')
    torch.manual_seed(5)
    drawn = torch.randint(8, (3,))
    torch.manual_seed(5)
    assert torch.equal(loss(features, joints), loss(features, joints, drawn))


def test_a_single_sequence_has_no_negatives():
    features, joints = scene(1)
    features.requires_grad_()
    loss = LogRatioLoss()(features, joints)
    assert loss.item() == 0 and slope(loss, features).abs().max() == 0


def test_anchors_without_positives_add_nothing():
    features, joints = scene(2, 8)
    skip = 5  # frames 3 and 4 of eight have no frame farther than that
    both = LogRatioLoss('kim', skip=skip)(features, joints, torch.tensor([0, 3]))
    expected = literal_log_ratio(
        features.flatten(0, 1),
        joints.flatten(0, 1),
        video_samples([0, 3], 8, skip, 'exclude')[:1],
        'kim',
    )
    assert both.item() == pytest.approx(expected.item(), rel=1e-10)


def test_nothing_is_larger_than_a_number_per_pair_and_joint_or_per_triplet():
    sizes = []

    class Sizes(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            sizes.extend(
                x.numel()
                for x in (result if isinstance(result, tuple) else (result,))
                if isinstance(x, torch.Tensor)
            )
            return result

    features, joints = scene(6, 16, 64)
    with Sizes():
        LogRatioLoss()(features, joints, torch.arange(6))
    assert max(sizes) == 6 * 96 * 14  # a number per pair and joint; triplets are 6 * 80 * 12


def test_registered_and_wrong_settings():
    assert LOSSES.build(dict(type='LogRatioLoss', variant='abs')).variant == 'abs'
    features, joints = scene()
    for options, message in (
        (dict(variant='eq2'), "variant is one of .* not 'eq2'"),
        (dict(nearby='near'), "nearby is one of .* not 'near'"),
        (dict(reduction='none'), "reduction is one of .* not 'none'"),
    ):
        with pytest.raises(InputError, match=message):
            LogRatioLoss(**options)
    for nearby, skip in (('exclude', 7), ('include', 0), ('exclude', -1)):
        with pytest.raises(InputError, match='leaves no positives in sequences of 8 frames'):
            LogRatioLoss(nearby=nearby, skip=skip)(features, joints)
    with pytest.raises(InputError, match=r'not \(3, 8, 40\) and \(3, 7, 14, 3\)'):
        LogRatioLoss()(features, joints[:, 1:])
    for share in (0.0, 0.6, 0.1):
        with pytest.raises(InputError, match='at least one on either side'):
            ranked_triplets(torch.rand(2, 8), share)
    with pytest.raises(InputError, match='variant is one of'):
        log_ratio_loss(
            torch.zeros(2, 4), torch.zeros(2, 4), video_triplets(torch.tensor([0, 1]), 2, 0), 'eq1'
        )
