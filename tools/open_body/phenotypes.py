"""Draws adult bodies from MakeHuman's macro controls (sex, age, muscle, weight, height, proportions, ancestry, breast).

A morph target belongs to a combination of control values, ``female-old-maxmuscle-minweight`` say, and is applied with
the product of its controls' weights: each control is a piecewise linear partition of unity over its named anchors.
"""

from __future__ import annotations

import itertools

import numpy as np

from .makehuman import BaseMesh, MakeHumanFiles

ANCHORS = {
    'gender': ('male', 'female'),
    'age': ('young', 'old'),  # 25 and 90 years: children's targets are left out
    'muscle': ('minmuscle', 'averagemuscle', 'maxmuscle'),
    'weight': ('minweight', 'averageweight', 'maxweight'),
    'height': ('minheight', 'maxheight'),
    'proportions': ('idealproportions', 'uncommonproportions'),
    'cupsize': ('mincup', 'averagecup', 'maxcup'),
    'firmness': ('minfirmness', 'averagefirmness', 'maxfirmness'),
}
ANCESTRIES = ('african', 'asian', 'caucasian')
# Mean of the height control that gives adult statures of about 1.78 m (men) and 1.63 m (women).
HEIGHT_CONTROL = {0.0: 0.383, 1.0: 0.375}


def read_targets(files: MakeHumanFiles, mesh: BaseMesh) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """Reads all adult macro targets.

    Returns:
        keys: the control values of each target; offsets: (K, N, 3) float32 metres.
    """
    paths: dict[tuple[str, ...], str] = {}
    macro = 'targets/macrodetails'
    body = [ANCHORS[c] for c in ('gender', 'age', 'muscle', 'weight')]
    for key in itertools.product(*body):
        name = '-'.join(key)
        paths[key] = f'{macro}/universal-{name}.target.gz'
        for control in ('height', 'proportions'):
            for value in ANCHORS[control]:
                paths[key + (value,)] = f'{macro}/{control}/{name}-{value}.target.gz'
    for key in itertools.product(ANCESTRIES, ANCHORS['gender'], ANCHORS['age']):
        paths[key] = f'{macro}/{"-".join(key)}.target.gz'
    for key in itertools.product(('female',), *body[1:], ANCHORS['cupsize'], ANCHORS['firmness']):
        path = f'targets/breast/{"-".join(key)}.target.gz'
        if files.exists(path):
            paths[key] = path
    return list(paths), np.stack(
        [files.target(path, len(mesh.vertices)) for path in paths.values()]
    )


def sample_controls(count: int, gender: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Controls of ``count`` adults of one sex, each (count,) in [0, 1]; 'ancestry' is (count, 3) summing to one."""

    def around(mean: float, deviation: float) -> np.ndarray:
        return np.clip(rng.normal(mean, deviation, count), 0.02, 0.98)

    return {
        'gender': np.full(count, gender),
        'age': np.clip(rng.beta(1.2, 2.2, count), 0, 0.9),
        'muscle': around(0.5, 0.20),
        'weight': around(0.5, 0.28),
        'height': around(HEIGHT_CONTROL[gender], 0.055),
        'proportions': around(0.5, 0.18),
        'cupsize': around(0.5, 0.2),
        'firmness': around(0.5, 0.2),
        'ancestry': rng.dirichlet([0.6] * 3, count),
    }


def target_weights(controls: dict[str, np.ndarray], keys: list[tuple[str, ...]]) -> np.ndarray:
    """(count, K) weight of every target for every sampled adult."""
    value_weight = {name: controls['ancestry'][:, i] for i, name in enumerate(ANCESTRIES)}
    for control, names in ANCHORS.items():
        anchors = np.linspace(0, 1, len(names))
        for name, one_hot in zip(names, np.eye(len(names))):
            value_weight[name] = np.interp(controls[control], anchors, one_hot)
    return np.stack([np.prod([value_weight[name] for name in key], axis=0) for key in keys], axis=1)


def sample_adults(
    files: MakeHumanFiles, mesh: BaseMesh, per_gender: int, seed: int = 0
) -> np.ndarray:
    """Base-mesh vertices (2 * per_gender, N, 3) float32 of random men, then women, in MakeHuman's rest pose."""
    keys, offsets = read_targets(files, mesh)
    rng = np.random.default_rng(seed)
    weights = np.concatenate(
        [target_weights(sample_controls(per_gender, gender, rng), keys) for gender in (0.0, 1.0)]
    )
    shaped = weights.astype(np.float32) @ offsets.reshape(len(keys), -1)
    return shaped.reshape(len(weights), -1, 3) + mesh.vertices.astype(np.float32)
