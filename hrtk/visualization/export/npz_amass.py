"""AMASS's npz: SMPL's own numbers, which its Blender add-ons and most code of the field read."""

from __future__ import annotations

import numpy as np

from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.visualization.export.motion import Motion, in_world, steady

SMPLX_JOINTS, SHARED_JOINTS = 55, 22  # pelvis to right wrist come first, and mean the same, in both


def to_amass(motion: Motion, body: BodyModel, world: str = 'z-up') -> dict[str, np.ndarray]:
    """The arrays of an AMASS file (Mahmood et al., AMASS, 2019) with SMPL's 24 joints.

    Args:
        motion: in the camera frame.
        body: the body model that it is for.
        world: ``'z-up'``, which AMASS has, ``'y-up'`` or ``'camera'``.

    Returns:
        ``poses`` (F, 72) axis-angle, radians; ``trans`` (F, 3) metres; ``betas`` (10,), the mean of the track;
        ``gender``; ``mocap_framerate``; and beside AMASS's own keys ``surface_model_type`` (``'smpl'``), ``body`` (the
        body that the betas belong to), ``world`` and ``frame_ids``.
    """
    motion = in_world(steady(motion, body), body, world)
    name = body.data.name
    return dict(
        poses=rotmat_to_axis_angle(motion.rotmat).flatten(1).numpy(),
        trans=motion.translation.numpy(),
        betas=motion.betas[0].numpy(),
        gender=np.array(gender(name)),
        mocap_framerate=np.array(motion.fps),
        surface_model_type=np.array('smpl'),
        body=np.array(name),
        world=np.array(world),
        frame_ids=np.array(motion.frame_ids),
    )


def to_amass_smplx(motion: Motion, body: BodyModel, world: str = 'z-up') -> dict[str, np.ndarray]:
    """The same for SMPL-X, whose joints the Blender add-ons want: fingers and face at rest, the average shape.

    Joints 0 to 21 of both bodies are the same; SMPL's two hand joints have no place. SMPL's betas mean nothing to
    SMPL-X, so they are zero: rotations and path are the person's, lengths those of the average body.

    Returns:
        As :func:`to_amass`, ``poses`` (F, 165).
    """
    arrays = to_amass(motion, body, world)
    poses = np.zeros((len(motion), 3 * SMPLX_JOINTS))
    poses[:, : 3 * SHARED_JOINTS] = arrays['poses'][:, : 3 * SHARED_JOINTS]
    return {
        **arrays,
        'poses': poses,
        'betas': np.zeros(10),
        'surface_model_type': np.array('smplx'),
        'mocap_frame_rate': arrays['mocap_framerate'],
    }


def gender(name: str) -> str:
    """The gender that a body file's name tells: SMPL_FEMALE, basicModel_f_lbs_10_207_0_v1.0.0, ..."""
    words = name.lower().split('_')
    for word in ('female', 'male'):
        if word in words or f'basicmodel_{word[0]}_' in name.lower():
            return word
    return 'neutral'
