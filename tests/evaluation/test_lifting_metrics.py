"""Errors of lifting against scipy, explicit loops and a literal reading of MPM's evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from hrtk.errors import InputError
from hrtk.evaluation import LiftingEvaluator, average_with_mirror, lifting_errors
from hrtk.registry import METRICS

ACTIONS = ['Walking', 'Walking', 'Sitting', 'Walking', 'Eating', 'Sitting', 'Walking']
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
ORDER = [dict(zip(LEFT + RIGHT, RIGHT + LEFT)).get(joint, joint) for joint in range(17)]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def batches(rng, joints=17, frames=5, root=0, error=0.08):
    """Two batches of 4 and 3 items: (data_batch, data_samples, predicted, truth)."""
    for actions in (ACTIONS[:4], ACTIONS[4:]):
        truth = rng.normal(size=(len(actions), frames, joints, 3)) * 0.3
        truth -= truth[:, :, root : root + 1]
        predicted = truth[:, frames // 2] + rng.normal(size=(len(actions), joints, 3)) * error
        samples = [dict(joints3d=torch.from_numpy(pose.copy())[None]) for pose in predicted]
        predicted[:, root] = 0  # the evaluator must see to that
        order = {(17, 0): 'h36m17', (17, 14): 'mpi17', (16, 0): 'h36m16'}[joints, root]
        yield (
            dict(
                joints3d=torch.from_numpy(truth),
                action=actions,
                joint_order=[order] * len(actions),
            ),
            samples,
            predicted,
            truth[:, frames // 2],
        )


def run(evaluator, parts):
    for data_batch, samples, _, _ in parts:
        evaluator.process(data_batch, samples)
    return evaluator.compute_metrics(evaluator.results)


def aligned(points, target):
    """scipy's rotation, reflection excluded by hand, and the scale of least squares."""
    centre, goal = points.mean(0), target.mean(0)
    points, target = points - centre, target - goal
    rotation, scale = orthogonal_procrustes(points, target)
    if np.linalg.det(rotation) < 0:
        u, s, vt = np.linalg.svd(points.T @ target)
        rotation, scale = u @ np.diag([1, 1, -1]) @ vt, s[0] + s[1] - s[2]
    return scale / (points**2).sum() * points @ rotation + goal


def test_p1_and_p2_are_means_of_actions(rng):
    parts = list(batches(rng))
    found = run(LiftingEvaluator(), parts)
    errors = {action: ([], []) for action in ACTIONS}
    for data_batch, _, predicted, truth in parts:
        for action, pose, target in zip(data_batch['action'], predicted, truth):
            errors[action][0].append(
                np.mean([np.sqrt(((a - b) ** 2).sum()) for a, b in zip(pose, target)])
            )
            errors[action][1].append(np.linalg.norm(aligned(pose, target) - target, axis=1).mean())
    for number, name in enumerate(('mpjpe_mm', 'pa_mpjpe_mm')):
        means = {action: 1000 * np.mean(values[number]) for action, values in errors.items()}
        for action, mean in means.items():
            assert found[f'{name}/{action}'] == pytest.approx(mean, rel=1e-9)
        assert found[name] == pytest.approx(np.mean(list(means.values())), rel=1e-9)
        everything = [value for values in errors.values() for value in values[number]]
        assert abs(found[name] - 1000 * np.mean(everything)) > 1e-3  # actions differ in length
    assert found['windows'] == 7


def test_mirrored_prediction_is_not_aligned_by_reflection(rng):
    truth = rng.normal(size=(1, 1, 17, 3))
    values, _ = lifting_errors(truth * [-1, 1, 1], truth)['pa_mpjpe_mm']
    wanted = np.linalg.norm(
        aligned(truth[0, 0] * [-1, 1, 1], truth[0, 0]) - truth[0, 0], axis=1
    ).mean()
    assert values[0] == pytest.approx(1000 * wanted, rel=1e-9) and values[0] > 100


def test_released_p2_credits_every_item_with_its_batch(rng):
    """MPM and P-STMO: for every item of a mixed batch, its action's sum grows by the mean of the whole batch."""
    parts = list(batches(rng))
    found, correct = (
        run(LiftingEvaluator(metric=metric), parts) for metric in ('released', 'correct')
    )
    sums = {action: [0.0, 0] for action in ACTIONS}
    for data_batch, _, predicted, truth in parts:
        distance = [
            np.linalg.norm(aligned(pose, target) - target, axis=1).mean()
            for pose, target in zip(predicted, truth)
        ]
        for action in data_batch['action']:
            sums[action][0] += np.mean(distance) * 1
            sums[action][1] += 1
    wanted = np.mean([1000 * total / count for total, count in sums.values()])
    assert found['pa_mpjpe_mm'] == pytest.approx(wanted, rel=1e-9)
    assert (
        found['mpjpe_mm'] == correct['mpjpe_mm']
        and abs(found['pa_mpjpe_mm'] - correct['pa_mpjpe_mm']) > 1e-3
    )


def pck_by_hand(predicted, truth, joints, thresholds):
    curve = []
    for threshold in thresholds:
        near = [
            np.linalg.norm(pose[joint] - target[joint]) * 1000 < threshold
            for pose, target in zip(predicted, truth)
            for joint in joints
        ]
        curve.append(100 * np.mean(near))
    return np.mean(curve)


def test_3dhp_scores_fourteen_joints_and_all_frames_alike(rng):
    parts = list(batches(rng, root=14))
    found = run(LiftingEvaluator('3dhp'), parts)
    predicted, truth = (np.concatenate([part[side] for part in parts]) for side in (2, 3))
    assert found['pck'] == pytest.approx(pck_by_hand(predicted, truth, range(14), [150]))
    assert found['auc'] == pytest.approx(pck_by_hand(predicted, truth, range(14), range(0, 151, 5)))
    assert found['mpjpe_mm'] == pytest.approx(
        1000 * np.linalg.norm(predicted - truth, axis=-1).mean()
    )
    some = [index for index, action in enumerate(ACTIONS) if action == 'Sitting']
    assert found['pck/Sitting'] == pytest.approx(
        pck_by_hand(predicted[some], truth[some], range(14), [150])
    )
    assert 10 < found['auc'] < found['pck'] < 95


def test_3dhp_as_released(rng):
    """All joints, the root among them, and batches averaged whatever their size."""
    parts = list(batches(rng, joints=16))
    found = run(LiftingEvaluator('3dhp', 'released'), parts)
    for name, thresholds in (('pck', [150]), ('auc', range(0, 151, 5))):
        wanted = np.mean(
            [
                pck_by_hand(predicted, truth, range(16), thresholds)
                for _, _, predicted, truth in parts
            ]
        )
        assert found[name] == pytest.approx(wanted)
    with pytest.raises(
        InputError, match="scores the official 17 joints, .* 'h36m16'; .*joints='mpi17'"
    ):
        run(LiftingEvaluator('3dhp'), parts)


def completion(rng, frames=4):
    truth = rng.normal(size=(5, frames, 17, 3)) * 0.3
    predicted = truth + rng.normal(size=truth.shape) * 0.05
    masked = np.zeros((5, 17), bool)
    for row, count in zip(masked, (3, 3, 5, 1, 0)):
        row[rng.permutation(17)[:count]] = True
    return predicted, truth, masked


@pytest.mark.parametrize('kind', ['completion2d', 'completion3d'])
def test_completion_counts_masked_joints_only(rng, kind):
    predicted, truth, masked = completion(rng)
    hidden, every, replaced = [], [], []
    for item in range(5):
        for frame in range(4):
            for joint in range(17):
                error = 1000 * np.linalg.norm(
                    predicted[item, frame, joint] - truth[item, frame, joint]
                )
                every.append(error)
                replaced.append(error if masked[item, joint] else 0)
                hidden += [error] * int(masked[item, joint])
    data_batch = dict(joints3d=list(torch.from_numpy(truth)), action=['a', 'b', 'c', 'd', 'e'])
    for per_frame in (False, True):
        samples = [
            dict(
                joints3d=torch.from_numpy(pose),
                masked=torch.from_numpy(np.tile(mask, (4, 1)))
                if per_frame
                else torch.from_numpy(mask),
            )
            for pose, mask in zip(predicted, masked)
        ]
        found, released = (
            run(LiftingEvaluator(kind, metric), [(data_batch, samples, None, None)])
            for metric in ('correct', 'released')
        )
        assert found['mpjpe_mm'] == pytest.approx(np.mean(hidden))
        assert found['all_joints_mm'] == released['all_joints_mm'] == pytest.approx(np.mean(every))
        assert released['mpjpe_mm'] == pytest.approx(
            np.mean(every if kind == 'completion2d' else replaced)
        )
        assert not any('/' in key for key in found)


def test_released_completion_flatters(rng):
    """Table 4's kind of number: three masked joints of 17 weigh 3 / 17."""
    predicted, truth, _ = completion(rng)
    masked = np.zeros((5, 17), bool)
    masked[:, :3] = True
    correct, released = (
        lifting_errors(predicted, truth, 'completion3d', metric, masked)['mpjpe_mm'][0].mean()
        for metric in ('correct', 'released')
    )
    assert correct / released == pytest.approx(17 / 3)


def test_flip_at_test_time_mirrors_the_mask():
    poses, weight = torch.randn(3, 4, 17, 2), torch.randn(17 * 2, 17 * 3)
    masked = torch.zeros(3, 17, dtype=torch.bool)
    masked[:, 4:7] = True  # the left leg
    looks = []

    def predict(poses, masked):
        looks.append(masked)
        seen = (
            poses
            if masked is None
            else torch.where(masked[:, None, :, None], torch.zeros(()), poses)
        )
        return (seen.flatten(2) @ weight).unflatten(2, (17, 3))

    def flip(pose):
        pose = pose.clone()
        pose[..., LEFT + RIGHT, :] = pose[..., RIGHT + LEFT, :]
        return pose * torch.tensor([-1.0, 1, 1][: pose.shape[-1]])

    kept = poses.clone()
    found = average_with_mirror(predict, poses, ORDER, masked)
    assert torch.equal(poses, kept)
    assert looks[0][:3, 4:7].all() and looks[0][3:, 1:4].all() and looks[0].sum() == 6 * 3
    hidden = poses.clone()
    hidden[:, :, 4:7] = 0
    wanted = (predict(hidden, None) + flip(predict(flip(hidden), None))) / 2
    torch.testing.assert_close(found, wanted)
    # As released, the mask stays where it was, so the left leg is seen as the mirrored right one.
    wrong = flip(poses)
    wrong[:, :, 4:7] = 0
    wanted = (predict(hidden, None) + flip(predict(wrong, None))) / 2
    torch.testing.assert_close(
        average_with_mirror(predict, poses, ORDER, masked, 'released'), wanted
    )
    unmasked = average_with_mirror(predict, poses, ORDER)
    torch.testing.assert_close(unmasked, flip(average_with_mirror(predict, flip(poses), ORDER)))


def test_sequences_are_scored_over_all_frames(rng):
    truth = rng.normal(size=(2, 3, 17, 3)) * 0.3
    truth -= truth[:, :, :1]
    predicted = truth + rng.normal(size=truth.shape) * 0.1
    predicted[:, :, 0] = 0
    batch = dict(
        joints3d=torch.from_numpy(truth), action=['a', 'a'], joint_order=['h36m17', 'h36m17']
    )
    found = run(
        LiftingEvaluator(),
        [(batch, [dict(joints3d=torch.from_numpy(pose)) for pose in predicted], 0, 0)],
    )
    assert found['mpjpe_mm'] == pytest.approx(
        1000 * np.linalg.norm(predicted - truth, axis=-1).mean()
    )


def test_it_runs_as_mmengine_runs_it(rng):
    evaluator = METRICS.build(dict(type='LiftingEvaluator'))
    for data_batch, samples, _, _ in batches(rng):
        evaluator.process(data_batch, samples)
    metrics = evaluator.evaluate(7)
    assert (
        metrics['lifting/windows'] == 7
        and metrics['lifting/mpjpe_mm'] > 0
        and not evaluator.results
    )


def test_refusals(rng):
    with pytest.raises(InputError, match="protocol is one of 'h36m', .* not 'P1'"):
        LiftingEvaluator('P1')
    with pytest.raises(InputError, match="metric is one of 'correct', 'released', not 'wrong'"):
        LiftingEvaluator(metric='wrong')
    data_batch, samples, _, _ = next(batches(rng))
    with pytest.raises(
        InputError, match=r'predictions are \(2, 17, 3\) for 4 items and the truth is \(5, 17, 3\)'
    ):
        LiftingEvaluator().process(data_batch, [dict(joints3d=torch.zeros(2, 17, 3))] * 4)
    with pytest.raises(InputError, match=r'completion2d needs `masked`, bool \(17,\) or \(1, 17\)'):
        LiftingEvaluator('completion2d').process(data_batch, samples)
    evaluator = LiftingEvaluator('completion3d')
    evaluator.process(
        data_batch, [dict(sample, masked=torch.zeros(17, dtype=torch.bool)) for sample in samples]
    )
    with pytest.raises(InputError, match='none was masked'):
        evaluator.compute_metrics(evaluator.results)
