"""Expectation maximisation for a mixture of Gaussians that is its own mirror image."""

from __future__ import annotations

from typing import Callable

import numpy as np
from motion_fit import skeleton as sk

from hrtk.body_models.skeletons import flip_map

# Radians that are added to a component's standard deviation, so that poses outside the clips (other people, other
# actions) are unlikely but not impossible, and joints that the clips never move stay near rest.
_FLOOR = 0.10
_FLOOR_UNSEEN = {
    **dict.fromkeys(sk.WRISTS, 0.20),
    **dict.fromkeys(sk.HANDS, 0.15),
    **dict.fromkeys(sk.FEET, 0.10),
    **dict.fromkeys(sk.COLLARS, 0.15),
    **dict.fromkeys(sk.ELBOWS, 0.15),
}


def standard_deviation_floor() -> np.ndarray:
    """(69,) radians per axis-angle value of joints 1..23."""
    return np.repeat([_FLOOR_UNSEEN.get(joint, _FLOOR) for joint in range(1, 24)], 3)


def mirrored(poses: np.ndarray) -> np.ndarray:
    """(N, 69) mirrored body poses."""
    swapped = poses.reshape(-1, 23, 3)[:, np.array(flip_map('smpl24')[1:]) - 1] * np.array(
        [1.0, -1.0, -1.0]
    )
    return swapped.reshape(len(poses), 69)


def fit_symmetric_mixture(
    poses: np.ndarray,
    importance: np.ndarray,
    pairs: int,
    floor: np.ndarray,
    report: Callable[[str], None],
    starts: int = 6,
) -> dict[str, np.ndarray]:
    """Fits pairs of mirrored components; of several initialisations the most likely fit is returned.

    Args:
        poses: (N, 69) radians.
        importance: (N,) relative weight of each pose.
        pairs: half the number of components.
        floor: (69,) radians, the standard deviation that is added to every component.
        report: takes lines of text.
        starts: number of random initialisations of the means.

    Returns:
        ``means`` (2 * pairs, 69), ``covars`` (2 * pairs, 69, 69), ``weights`` (2 * pairs,).
    """
    all_poses = np.concatenate([poses, mirrored(poses)])
    importance = np.concatenate([importance, importance]) / (2 * importance.sum())
    best = -np.inf
    for seed in range(starts):
        first = _spread_out(all_poses, importance, pairs, np.random.default_rng(seed))
        likelihood, *fit = _maximise(all_poses, importance, first, floor)
        report(
            f'start {seed}: mean log-likelihood {likelihood:.3f}, pairs weigh {(2 * fit[2]).round(3)}'
        )
        if likelihood > best:
            best, (means, covars, weights) = likelihood, fit
    twin = mirrored(np.eye(69))
    return {
        'means': np.concatenate([means, mirrored(means)]),
        'covars': np.concatenate([covars, twin.T @ covars @ twin]),
        'weights': np.concatenate([weights, weights]),
    }


def _maximise(
    all_poses: np.ndarray,
    importance: np.ndarray,
    means: np.ndarray,
    floor: np.ndarray,
    iterations: int = 100,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Expectation maximisation from initial means of the first component of each pair.

    Only the first of a pair is stored. The density of the second at a pose is that of the first at the mirrored pose,
    and as the data contains the mirror image of every pose, both have the same statistics.
    """
    pairs = len(means)
    half = len(all_poses) // 2
    centred = all_poses - importance @ all_poses
    covars = np.stack([np.diag(importance @ centred**2 / pairs + floor**2)] * pairs)
    weights = np.full(pairs, 0.5 / pairs)
    for _ in range(iterations):
        direct = (
            np.stack([_log_density(all_poses, m, c) for m, c in zip(means, covars)])
            + np.log(weights)[:, None]
        )
        both = np.concatenate([direct, np.roll(direct, half, axis=1)])
        top = both.max(0)
        total = top + np.log(np.exp(both - top).sum(0))
        share = np.exp(direct - total) * importance
        weights = share.sum(1)
        means = share @ all_poses / weights[:, None]
        for k in range(pairs):
            centred = all_poses - means[k]
            covars[k] = (share[k][:, None] * centred).T @ centred / weights[k] + np.diag(floor**2)
    return float(importance @ total), means, covars, weights


def _spread_out(
    poses: np.ndarray, importance: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Picks (count, 69) poses far from one another and from one another's mirror images (k-means++)."""
    chosen = [poses[rng.choice(len(poses), p=importance)]]
    while len(chosen) < count:
        known = np.concatenate([np.stack(chosen), mirrored(np.stack(chosen))])
        distance = ((poses[:, None] - known) ** 2).sum(-1).min(1) * importance
        chosen.append(poses[rng.choice(len(poses), p=distance / distance.sum())])
    return np.stack(chosen)


def _log_density(poses: np.ndarray, mean: np.ndarray, covar: np.ndarray) -> np.ndarray:
    factor = np.linalg.cholesky(covar)
    white = np.linalg.solve(factor, (poses - mean).T)
    return (
        -0.5 * (white**2).sum(0)
        - np.log(np.diag(factor)).sum()
        - 0.5 * len(mean) * np.log(2 * np.pi)
    )
