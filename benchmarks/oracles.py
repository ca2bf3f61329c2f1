"""What limits stored results: ``python benchmarks/oracles.py WORK_DIR --config configs/real4/source_lifter.py``.

WORK_DIR is that of ``tools/adapt.py`` with this config, whose data set has calibrated joints. One property of the
predictions at a time is replaced by the truth, and MPJPE and PA-MPJPE are printed, mm: the mean over all sequences, and
each of them. Nothing of this can be had without the truth; a row says how much its property costs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from hrtk.apis.adaptation import load_config
from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import flip_map, joint_names
from hrtk.evaluation.functional import mpjpe, pa_mpjpe
from hrtk.geometry.camera import default_focal, image_middle, viewing_rotation
from hrtk.registry import DATASETS
from hrtk.results import Result
from hrtk.structures import Sequence

SKELETON = 'body12'
NAMES = joint_names(SKELETON)
HIPS = [NAMES.index('left_hip_lsp'), NAMES.index('right_hip_lsp')]
SHOULDERS = [NAMES.index('left_shoulder'), NAMES.index('right_shoulder')]
LIMBS = [
    (NAMES.index(f'{side}_{start}'), NAMES.index(f'{side}_{end}'))
    for side in ('left', 'right')
    for start, end in (
        ('hip_lsp', 'knee'),
        ('knee', 'ankle'),
        ('shoulder', 'elbow'),
        ('elbow', 'wrist'),
    )
]


def true_depth(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.concatenate([joints[..., :2], truth[..., 2:]], -1)


def true_plane(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.concatenate([truth[..., :2], joints[..., 2:]], -1)


def true_sides(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Left and right exchanged in the frames in which that fits better."""
    exchanged = joints[:, list(flip_map(SKELETON))]
    better = mpjpe(exchanged, truth) < mpjpe(joints, truth)
    return np.where(better[:, None, None], exchanged, joints)


def true_bone_lengths(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The directions of the bones are kept; the trunk is a triangle of mid-hip and shoulders."""
    result = joints.copy()
    for pair in (HIPS, SHOULDERS):
        across = _scaled(joints, truth, pair[0], pair[1])
        middle = np.zeros_like(across)
        if pair is SHOULDERS:
            length = np.linalg.norm(truth[:, SHOULDERS].mean(1), axis=-1).mean()
            middle = joints[:, SHOULDERS].mean(1)
            middle = middle / np.linalg.norm(middle, axis=-1, keepdims=True) * length
        result[:, pair[0]] = middle - across / 2
        result[:, pair[1]] = middle + across / 2
    for start, end in LIMBS:
        result[:, end] = result[:, start] + _scaled(joints, truth, start, end)
    return result


def true_vertical(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """One rotation of the whole track, the best."""
    rotation, _ = Rotation.align_vectors(truth.reshape(-1, 3), joints.reshape(-1, 3))
    return joints @ rotation.as_matrix().T


def true_orientation(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The best rotation of every frame."""
    turned = []
    for frame, true_frame in zip(joints, truth):
        rotation, _ = Rotation.align_vectors(true_frame, frame)
        turned.append(frame @ rotation.as_matrix().T)
    return np.stack(turned)


def smooth(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """A Gaussian of one frame over time; no truth is used."""
    return gaussian_filter1d(joints, 1.0, axis=0)


ORACLES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    'as predicted': lambda joints, truth: joints,
    'true left and right': true_sides,
    'true bone lengths': true_bone_lengths,
    'true vertical of the track': true_vertical,
    'true orientation of every frame': true_orientation,
    'true place in the image plane': true_plane,
    'true depth': true_depth,
    'smoothed over time': smooth,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', type=Path)
    parser.add_argument('--config', required=True)
    parser.add_argument('--before', action='store_true', help='the frozen model instead')
    args = parser.parse_args()
    dataset = DATASETS.build(load_config(args.config).dataset)
    body = BodyModel()
    rows: dict[str, list[tuple[float, float]]] = {}
    for index in range(len(dataset)):
        sequence = dataset[index]
        (path,) = args.work_dir.glob(f'results/*/{sequence.name}.npz')
        result = Result.load(path)
        prediction = result.before if args.before else result.after
        with torch.no_grad():
            joints = body.joints(prediction.rotmat, prediction.betas, SKELETON).double()
        truth = _centred(sequence.truth.joints3d.double().numpy())
        for focal, label in (_assumed(sequence), ''), (_calibrated(sequence), 'true focal length'):
            turned = _centred((joints @ _rays(sequence, focal).mT).numpy())
            oracles = ORACLES if not label else {label: ORACLES['as predicted']}
            for name, oracle in oracles.items():
                changed = _centred(oracle(turned, truth))
                errors = mpjpe(changed, truth).mean(), pa_mpjpe(changed, truth).mean()
                rows.setdefault(name, []).append(errors)
    for name, errors in rows.items():
        mean = np.mean(errors, 0)
        each = '  '.join(f'{a:.0f}/{b:.0f}' for a, b in errors)
        print(f'{name:34}{mean[0]:6.1f} / {mean[1]:5.1f}    {each}')


def _assumed(sequence: Sequence) -> tuple[float, tuple[float, float]]:
    height, width = sequence.frames[0].shape[:2]
    return default_focal((width, height)), image_middle((width, height))


def _calibrated(sequence: Sequence) -> tuple[float, tuple[float, float]]:
    focal, x, y = sequence.truth.intrinsics[0].tolist()
    return focal, (x, y)


def _rays(sequence: Sequence, camera: tuple[float, tuple[float, float]]) -> torch.Tensor:
    return viewing_rotation(sequence.boxes.double(), *camera)


def _centred(joints: np.ndarray) -> np.ndarray:
    return joints - joints[:, HIPS].mean(1, keepdims=True)


def _scaled(joints: np.ndarray, truth: np.ndarray, start: int, end: int) -> np.ndarray:
    """(F, 3) predicted bones with the mean true length."""
    bone = joints[:, end] - joints[:, start]
    length = np.linalg.norm(truth[:, end] - truth[:, start], axis=-1).mean()
    return bone / np.linalg.norm(bone, axis=-1, keepdims=True) * length


if __name__ == '__main__':
    main()
