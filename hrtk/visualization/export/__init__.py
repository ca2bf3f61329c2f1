"""Motions as files of other programs. Every function returns the content of a file; the caller writes it."""

from hrtk.visualization.export.bvh import to_bvh
from hrtk.visualization.export.fbx import blender_command, to_fbx
from hrtk.visualization.export.glb import to_glb
from hrtk.visualization.export.joints import joint_positions, to_csv, to_json
from hrtk.visualization.export.markers import to_c3d, to_trc
from hrtk.visualization.export.motion import (
    WORLDS,
    Motion,
    in_world,
    motion_of_crops,
    with_mean_shape,
)
from hrtk.visualization.export.npz_amass import to_amass, to_amass_smplx
from hrtk.visualization.export.obj import to_obj
from hrtk.visualization.export.people import describe, place_people
from hrtk.visualization.export.placing import (
    SMOOTH_SECONDS,
    Placed,
    Placing,
    place_track,
)

__all__ = [
    'SMOOTH_SECONDS',
    'WORLDS',
    'Motion',
    'Placed',
    'Placing',
    'blender_command',
    'describe',
    'in_world',
    'joint_positions',
    'motion_of_crops',
    'place_people',
    'place_track',
    'to_amass',
    'to_amass_smplx',
    'to_bvh',
    'to_c3d',
    'to_csv',
    'to_fbx',
    'to_glb',
    'to_json',
    'to_obj',
    'to_trc',
    'with_mean_shape',
]
