"""AMASS npz: SMPL parameters, as SMPL's Blender add-ons and most research code read them."""

from __future__ import annotations

import numpy as np

from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.visualization.export.even_rate import at_even_rate
from hrtk.visualization.export.motion import Motion, in_world, with_mean_shape

SMPLX_JOINTS = 55
SHARED_JOINTS = 22  # pelvis to right wrist: the first joints of SMPL and of SMPL-X


def to_amass(motion: Motion, body: BodyModel, world: str = 'z-up') -> dict[str, np.ndarray]:
    """The arrays of an AMASS file (Mahmood et al., AMASS, 2019) with SMPL's 24 joints.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
        world: ``'z-up'``, as in AMASS, ``'y-up'`` or ``'camera'``.

    Returns:
        ``poses`` (F, 72) axis-angle, radians; ``trans`` (F, 3) metres; ``betas`` (10,), the mean of the track;
        ``gender``; ``mocap_framerate``; and in addition to AMASS's keys ``surface_model_type`` (``'smpl'``), ``body``
        (the body of the betas), ``world`` and ``frame_ids``.
    """
    motion = in_world(at_even_rate(with_mean_shape(motion, body)), body, world)
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
    """The same arrays for SMPL-X, which the Blender add-ons expect: fingers and face at rest, the average shape.

    Joints 0 to 21 of both bodies are the same; SMPL's two hand joints are dropped. SMPL's betas do not apply to
    SMPL-X, so they are zero: rotations and trajectory are the person's, bone lengths those of the average body.

    Returns:
        As :func:`to_amass`, ``poses`` (F, 165).
    """
    arrays = to_amass(motion, body, world)
    shared = slice(0, 3 * SHARED_JOINTS)
    poses = np.zeros((len(arrays['poses']), 3 * SMPLX_JOINTS))
    poses[:, shared] = arrays['poses'][:, shared]
    return {
        **arrays,
        'poses': poses,
        'betas': np.zeros(10),
        'surface_model_type': np.array('smplx'),
        'mocap_frame_rate': arrays['mocap_framerate'],
    }


def gender(name: str) -> str:
    """The gender in the name of a body file: SMPL_FEMALE, basicModel_f_lbs_10_207_0_v1.0.0, ..."""
    name = name.lower()
    for word in ('female', 'male'):
        if word in name.split('_') or f'basicmodel_{word[0]}_' in name:
            return word
    return 'neutral'
