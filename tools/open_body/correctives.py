"""Pose blend shapes that give linear blend skinning the volume of dual-quaternion skinning at bends.

No measured anatomy is involved: the teacher is dual-quaternion skinning with the same weights; its offsets are taken
back to the rest pose and regressed on SMPL's pose feature, the 23 relative rotations minus identity.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from .skeleton import INDEX, JOINTS, MIRROR_JOINTS, PARENTS, REFLECT
from .skinning import blend_linear, joint_transforms, skin_dual_quaternion

# Mean and standard deviation of x-y-z Euler angles in degrees, of the left side; the right side is its mirror image.
POSE_RANGE = {
    'hip': ((-20, 0, 0), (40, 14, 15)),
    'knee': ((30, 0, 0), (40, 4, 4)),
    'ankle': ((0, 0, 0), (15, 10, 10)),
    'spine1': ((0, 0, 0), (12, 10, 8)),
    'spine2': ((0, 0, 0), (12, 10, 8)),
    'spine3': ((0, 0, 0), (12, 10, 8)),
    'foot': ((0, 0, 0), (8, 4, 4)),
    'neck': ((0, 0, 0), (15, 20, 10)),
    'head': ((0, 0, 0), (12, 15, 8)),
    'collar': ((0, 0, 0), (6, 8, 12)),
    'shoulder': ((0, 0, -25), (30, 30, 45)),
    'elbow': ((0, -30, 0), (15, 50, 10)),
    'wrist': ((0, 0, 0), (25, 20, 25)),
    'hand': ((0, 0, 0), (8, 8, 15)),
    'pelvis': ((0, 0, 0), (0, 0, 0)),
}
GIRDLE = ('spine3', 'left_collar', 'right_collar')
GIRDLE_SHARE = 0.25  # of the teacher's offsets at the girdle: dual quaternions give hanging arms square shoulders
RIDGE = 3.0
SMALLEST = 1e-4  # metres: smaller offsets are dropped to keep the file small


def sample_poses(count: int, rng: np.random.Generator) -> np.ndarray:
    """Everyday poses (count, 24, 3, 3), wide at the limbs; knees and elbows bend one way only."""
    euler = np.zeros((count, 24, 3))
    for j, name in enumerate(JOINTS):
        mean, deviation = np.array(POSE_RANGE[name.split('_')[-1]], float)
        euler[:, j] = rng.normal(size=(count, 3)) * deviation + mean
        if name.endswith('knee'):
            euler[:, j, 0] = np.abs(euler[:, j, 0])
        if name.endswith('elbow'):
            euler[:, j, 1] = -np.abs(euler[:, j, 1])
        if name.startswith('right'):
            euler[:, j] *= [1, -1, -1]
    return (
        Rotation.from_euler('xyz', euler.reshape(-1, 3), degrees=True)
        .as_matrix()
        .reshape(count, 24, 3, 3)
    )


def teacher_offsets(
    rotations: np.ndarray, template: np.ndarray, joints: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Rest-pose offsets (N, V, 3) that make linear skinning meet the teacher; damped where skinning is singular."""
    world, shift = joint_transforms(rotations, joints)
    matrix, moved = blend_linear(world, shift, weights)
    gap = skin_dual_quaternion(world, shift, template, weights)
    gap -= (matrix @ template[..., None])[..., 0] + moved
    girdle = weights[:, [INDEX[name] for name in GIRDLE]].sum(1)
    gap *= 1 - (1 - GIRDLE_SHARE) * np.minimum(10 * girdle, 1)[:, None]
    normal = matrix.swapaxes(-1, -2)
    return np.linalg.solve(normal @ matrix + 0.05 * np.eye(3), normal @ gap[..., None])[..., 0]


def deciding_joints(influences: tuple[int, ...]) -> list[int]:
    """The joints whose rotation moves these influences against each other."""
    chains = []
    for joint in influences:
        chain = [joint]
        while PARENTS[chain[-1]] >= 0:
            chain.append(PARENTS[chain[-1]])
        chains.append(chain)
    shared = set.intersection(*map(set, chains))
    return sorted(set().union(*chains) - shared)


def mirror_posedirs(posedirs: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """The pose blend shapes (V, 3, 207) of the mirrored body."""
    signs = np.outer(REFLECT, REFLECT)
    swapped = posedirs.reshape(-1, 3, 23, 3, 3)[mirror][:, :, MIRROR_JOINTS[1:] - 1]
    return (swapped * REFLECT[:, None, None, None] * signs).reshape(posedirs.shape)


def learn_posedirs(
    template: np.ndarray,
    joints: np.ndarray,
    weights: np.ndarray,
    mirror: np.ndarray,
    count: int = 1600,
    seed: int = 1,
) -> tuple[np.ndarray, tuple[float, float]]:
    """Ridge regression of the teacher's offsets, each vertex on the joints that decide its influences.

    Args:
        template: (V, 3); joints: (24, 3); weights: (V, 24); mirror: (V,).
        count: number of sampled poses, a quarter of which is held out.
        seed: of the poses.

    Returns:
        posedirs (V, 3, 207) metres, exactly symmetric; mean held-out offset in mm before and after.
    """
    rotations = sample_poses(count, np.random.default_rng(seed))
    offsets = np.concatenate(
        [
            teacher_offsets(chunk, template, joints, weights)
            for chunk in np.array_split(rotations, count // 50)
        ]
    )
    features = (rotations[:, 1:] - np.eye(3)).reshape(count, -1)
    train = np.arange(count) < 0.75 * count
    posedirs = np.zeros((len(template), 3, 207))
    patterns, member = np.unique(weights > 0.02, axis=0, return_inverse=True)
    for p, pattern in enumerate(patterns):
        columns = np.concatenate(
            [np.arange(9) + 9 * (j - 1) for j in deciding_joints(tuple(np.nonzero(pattern)[0]))]
            or [np.arange(0)]
        )
        vertices = np.nonzero(member.ravel() == p)[0]
        if len(columns):
            feature = features[train][:, columns]
            target = offsets[train][:, vertices].reshape(train.sum(), -1)
            gram = feature.T @ feature + RIDGE * np.eye(len(columns))
            solution = np.linalg.solve(gram, feature.T @ target)
            posedirs[np.ix_(vertices, range(3), columns)] = solution.reshape(
                -1, len(vertices), 3
            ).transpose(1, 2, 0)
    posedirs = (posedirs + mirror_posedirs(posedirs, mirror)) / 2
    posedirs[np.abs(posedirs) < SMALLEST] = 0
    residual = offsets[~train] - (features[~train] @ posedirs.reshape(-1, 207).T).reshape(
        -1, *template.shape
    )
    before, after = (1e3 * np.linalg.norm(x, axis=-1).mean() for x in (offsets[~train], residual))
    return posedirs, (float(before), float(after))
