"""AMASS npz: SMPL parameters, as SMPL's Blender add-ons and most research code read them."""

from __future__ import annotations

import numpy as np

from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.visualization.export.motion import Motion, in_world, with_mean_shape
from hrtk.visualization.export.resampling import at_whole_rate

SMPLX_JOINTS = 55
SHARED_JOINTS = 22  # pelvis to right wrist: the first joints of SMPL and of SMPL-X

# Columns of SMPL-X's poses behind the body.
JAW = slice(66, 69)
EYES = slice(69, 75)
HANDS = slice(75, 165)


def to_amass(motion: Motion, body: BodyModel, world: str = 'z-up') -> dict[str, np.ndarray]:
    """The arrays of an AMASS file (Mahmood et al., AMASS, 2019) with SMPL's 24 joints.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
        world: ``'z-up'``, as in AMASS, ``'y-up'`` or ``'camera'``.

    Returns:
        ``poses`` (F, 72) axis-angle, radians; its parts ``root_orient`` (F, 3) and ``pose_body`` (F, 63); ``trans``
        (F, 3) metres; ``betas`` (10,), the mean of the track; ``gender``; the frame rate as ``mocap_framerate`` (keys
        of SMPL+H) and ``mocap_frame_rate`` (of SMPL-X); and in addition to AMASS's keys ``surface_model_type``
        (``'smpl'``), ``body`` (the body of the betas), ``world``, ``frame_ids`` and ``source_framerate``. The rate is
        a whole number, because Blender's add-ons cut off its decimals; other motions are resampled.
    """
    source = motion.fps
    motion = at_whole_rate(with_mean_shape(motion, body), body)
    motion = in_world(motion, body, world)
    name = body.data.name
    return dict(
        **_poses(rotmat_to_axis_angle(motion.rotmat).flatten(1).numpy()),
        trans=motion.translation.numpy(),
        betas=motion.betas[0].numpy(),
        gender=np.array(gender(name)),
        mocap_framerate=np.array(motion.fps),
        mocap_frame_rate=np.array(motion.fps),
        source_framerate=np.array(source),
        surface_model_type=np.array('smpl'),
        body=np.array(name),
        world=np.array(world),
        frame_ids=np.array(motion.frame_ids),
    )


def _poses(poses: np.ndarray) -> dict[str, np.ndarray]:
    """Axis-angles (F, 72) or (F, 165), and the parts of them that AMASS's files name."""
    body = slice(3, 3 * SHARED_JOINTS)
    return dict(poses=poses, root_orient=poses[:, :3], pose_body=poses[:, body])


def to_amass_smplx(motion: Motion, body: BodyModel, world: str = 'z-up') -> dict[str, np.ndarray]:
    """The same arrays for SMPL-X, which the Blender add-ons expect: fingers and face at rest, the average shape.

    Joints 0 to 21 of both bodies are the same; SMPL's two hand joints are dropped. SMPL's betas do not apply to
    SMPL-X, so they are zero: rotations and trajectory are the person's, bone lengths those of the average body.

    Returns:
        As :func:`to_amass`; ``poses`` (F, 165), and also ``pose_jaw`` (F, 3), ``pose_eye`` (F, 6) and ``pose_hand``
        (F, 90), which are zero, and ``num_betas``.
    """
    arrays = to_amass(motion, body, world)
    shared = slice(0, 3 * SHARED_JOINTS)
    poses = np.zeros((len(arrays['poses']), 3 * SMPLX_JOINTS))
    poses[:, shared] = arrays['poses'][:, shared]
    return {
        **arrays,
        **_poses(poses),
        'pose_jaw': poses[:, JAW],
        'pose_eye': poses[:, EYES],
        'pose_hand': poses[:, HANDS],
        'betas': np.zeros(10),
        'num_betas': np.array(10),
        'surface_model_type': np.array('smplx'),
    }


def gender(name: str) -> str:
    """The gender in the name of a body file: SMPL_FEMALE, basicModel_f_lbs_10_207_0_v1.0.0, ..."""
    name = name.lower()
    for word in ('female', 'male'):
        if word in name.split('_') or f'basicmodel_{word[0]}_' in name:
            return word
    return 'neutral'
