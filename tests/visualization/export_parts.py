"""A moving body for the tests of exports, and where its vertices and joints must be, without any code of exports."""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.testing import write_body_files
from hrtk.visualization.export import Motion

FRAMES = 7
# What y up and z up mean, in the camera's x (right), y (down), z (away).
TURN = {
    'camera': np.eye(3),
    'y-up': np.diag([1.0, -1, -1]),
    'z-up': np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


def make_body(kind: str, folder) -> BodyModel:
    """The free body, or an SMPL file."""
    if kind == 'open':
        return BodyModel().double()
    write_body_files(folder)
    return BodyModel(folder / 'body_models/smpl/SMPL_FEMALE.pkl').double()


def make_motion(name: str = 'person', seed: int = 0, spread: float = 0.7) -> Motion:
    """Large turns, a shape that changes, some metres from the camera."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, spread, (FRAMES, 24, 3))
    vectors[:, 0] += (np.pi, 0, 0)
    rotmat = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(FRAMES, 24, 3, 3)
    betas, translation = (
        rng.normal(0, 1, (FRAMES, 10)),
        rng.normal(0, 0.3, (FRAMES, 3)) + (0.2, 0.1, 4),
    )
    labels = tuple(f'cam/{t}.jpg' for t in range(FRAMES))
    return Motion(
        name, *map(torch.as_tensor, (rotmat, betas, translation)), labels, 12.5, (640, 360), 700.0
    )


def without_correctives(body: BodyModel) -> BodyModel:
    """A body that has no pose blend shapes."""
    plain = BodyModel(body.data.path if body.data.name != 'open' else 'open').double()
    plain.pose_basis.zero_()
    return plain


@torch.no_grad()
def expected(
    motion: Motion, body: BodyModel, world: str, mean_shape: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(F, V, 3) vertices and (F, 24, 3) joints in a world."""
    own = body(motion.rotmat, motion.betas)
    pelvis = own.joints[:, :1] + motion.translation[:, None]
    betas = (
        motion.betas.mean(0, keepdim=True).expand_as(motion.betas) if mean_shape else motion.betas
    )
    posed = body(motion.rotmat, betas)
    moved = (points - posed.joints[:, :1] + pelvis for points in (posed.vertices, posed.joints))
    return tuple(points.numpy() @ TURN[world].T for points in moved)


@functools.lru_cache(maxsize=None)
def free_body() -> BodyModel:
    return make_body('open', None)
