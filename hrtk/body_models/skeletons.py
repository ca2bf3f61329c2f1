"""Joint lists (skeletons) by name, and index maps between them.

Every joint name denotes one point of the body, so that two lists can be matched by name: SMPL's own hip
(``right_hip``) and the hip annotated in LSP and COCO (``right_hip_lsp``) are different points. :func:`index_map` is
the only source of index maps in hrtk.
"""

from __future__ import annotations

import functools

from hrtk.errors import InputError

# fmt: off
SMPL24 = (
    'pelvis', 'left_hip', 'right_hip', 'spine1', 'left_knee', 'right_knee', 'spine2', 'left_ankle', 'right_ankle',
    'spine3', 'left_foot', 'right_foot', 'neck', 'left_collar', 'right_collar', 'head', 'left_shoulder',
    'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hand', 'right_hand')
# fmt: on

PARENTS24 = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

# The rows of SPIN's J_regressor_extra.npy.
EXTRA9 = (
    'right_hip_lsp',
    'left_hip_lsp',
    'neck_lsp',
    'headtop_lsp',
    'pelvis_mpii',
    'thorax_mpii',
    'spine_h36m',
    'jaw_h36m',
    'head_h36m',
)

# fmt: off
OPENPOSE25 = (
    'nose', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder', 'left_elbow', 'left_wrist',
    'pelvis', 'right_hip', 'right_knee', 'right_ankle', 'left_hip', 'left_knee', 'left_ankle', 'right_eye', 'left_eye',
    'right_ear', 'left_ear', 'left_big_toe', 'left_small_toe', 'left_heel', 'right_big_toe', 'right_small_toe',
    'right_heel')
# fmt: on

# fmt: off
SPIN24 = (
    'right_ankle', 'right_knee', 'right_hip_lsp', 'left_hip_lsp', 'left_knee', 'left_ankle', 'right_wrist',
    'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'neck_lsp', 'headtop_lsp',
    'pelvis_mpii', 'thorax_mpii', 'spine_h36m', 'jaw_h36m', 'head_h36m', 'nose', 'left_eye', 'right_eye', 'left_ear',
    'right_ear')
# fmt: on


def _body_point(landmark: str) -> str:
    """The name of the point of a body model that is nearest to a landmark of BlazePose."""
    side, _, part = landmark.partition('_')
    if part in ('eye_inner', 'eye_outer'):
        return f'{side}_eye'
    if part == 'mouth':
        return 'nose'
    if part in ('pinky', 'index', 'thumb'):
        return f'{side}_hand'
    if part == 'foot_index':
        return f'{side}_big_toe'
    return landmark


# fmt: off
SKELETONS: dict[str, tuple[str, ...]] = {
    'smpl24': SMPL24,
    'openpose25': OPENPOSE25,
    'spin24': SPIN24,
    'spin49': OPENPOSE25 + SPIN24,
    'extra9': EXTRA9,
    'coco17': ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
               'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip_lsp', 'right_hip_lsp', 'left_knee',
               'right_knee', 'left_ankle', 'right_ankle'),
    'openpose18': ('nose', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder', 'left_elbow',
                   'left_wrist', 'right_hip', 'right_knee', 'right_ankle', 'left_hip', 'left_knee', 'left_ankle',
                   'right_eye', 'left_eye', 'right_ear', 'left_ear'),
    # BlazePose's landmarks; an eye is its middle, a finger its first joint, the foot index the tip of the foot.
    'blazepose33': ('nose', 'left_eye_inner', 'left_eye', 'left_eye_outer', 'right_eye_inner', 'right_eye',
                    'right_eye_outer', 'left_ear', 'right_ear', 'left_mouth', 'right_mouth', 'left_shoulder',
                    'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_pinky',
                    'right_pinky', 'left_index', 'right_index', 'left_thumb', 'right_thumb', 'left_hip_lsp',
                    'right_hip_lsp', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle', 'left_heel', 'right_heel',
                    'left_foot_index', 'right_foot_index'),
    # The rows of J_regressor_h36m.npy; its joints are regressed from posed vertices, hence separate names.
    'h36m17': ('pelvis_mocap', 'left_hip_mocap', 'left_knee_mocap', 'left_ankle_mocap', 'right_hip_mocap',
               'right_knee_mocap', 'right_ankle_mocap', 'spine_mocap', 'neck_mocap', 'jaw_mocap', 'head_mocap',
               'left_shoulder_mocap', 'left_elbow_mocap', 'left_wrist_mocap', 'right_shoulder_mocap',
               'right_elbow_mocap', 'right_wrist_mocap'),
}
# fmt: on
# The 17 and 14 evaluation joints in SPIN's order, taken from the H36M regressor.
SKELETONS['j17'] = tuple(
    SKELETONS['h36m17'][i] for i in (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)
)
SKELETONS['lsp14'] = SKELETONS['j17'][:14]
# The same 17 points in the order of Human3.6M's own files and of 2D-to-3D lifting networks; some omit the jaw.
SKELETONS['human36m17'] = tuple(
    SKELETONS['h36m17'][i] for i in (0, 4, 5, 6, 1, 2, 3, *range(7, 17))
)
SKELETONS['human36m16'] = tuple(name for name in SKELETONS['human36m17'] if name != 'jaw_mocap')
# COCO's joints of trunk and limbs, which every 2D detector has.
SKELETONS['body12'] = SKELETONS['coco17'][5:]
# The point of a body model nearest to each of BlazePose's landmarks.
SKELETONS['blazepose33_body'] = tuple(_body_point(name) for name in SKELETONS['blazepose33'])
# VIBE's 2D joints, and the 24 rows of SPIN's 3D joints `S`, which contain motion capture in the rows of `j17`.
SKELETONS['common14'] = SPIN24[:14]
SKELETONS['spin24_mocap'] = (
    *SKELETONS['j17'][:13],
    'headtop_lsp',
    SKELETONS['j17'][14],
    'thorax_mpii',
    *SKELETONS['j17'][15:],
    SKELETONS['j17'][13],
    *SPIN24[19:],
)

# Vertices that are joints of SPIN's 49, for meshes of SMPL's 6890 vertices (ids of smplx's vertex table).
SMPL_VERTEX_IDS = {
    'nose': 332,
    'right_eye': 6260,
    'left_eye': 2800,
    'right_ear': 4071,
    'left_ear': 583,
    'left_big_toe': 3216,
    'left_small_toe': 3226,
    'left_heel': 3387,
    'right_big_toe': 6617,
    'right_small_toe': 6624,
    'right_heel': 6787,
}

# Substitutes for a point that a list lacks: the nearest point of another list.
NEAREST = {
    'right_hip_lsp': 'right_hip',
    'left_hip_lsp': 'left_hip',
    'right_hip': 'right_hip_lsp',
    'left_hip': 'left_hip_lsp',
    'pelvis': 'pelvis_mpii',
    'pelvis_mpii': 'pelvis',
    'neck': 'neck_lsp',
    'neck_lsp': 'neck',
    'left_big_toe': 'left_foot_index',
    'right_big_toe': 'right_foot_index',
    'left_foot_index': 'left_big_toe',
    'right_foot_index': 'right_big_toe',
}

# Lists with points that no body model has, and the list of those of their points that it has.
ON_BODY = {'blazepose33': 'coco17'}

# Bones for visualization, by name.
# fmt: off
LIMBS = (
    ('left_ankle', 'left_knee'), ('left_knee', 'left_hip_lsp'), ('right_ankle', 'right_knee'),
    ('right_knee', 'right_hip_lsp'), ('left_hip_lsp', 'right_hip_lsp'), ('left_shoulder', 'left_hip_lsp'),
    ('right_shoulder', 'right_hip_lsp'), ('left_shoulder', 'right_shoulder'), ('left_shoulder', 'left_elbow'),
    ('left_elbow', 'left_wrist'), ('right_shoulder', 'right_elbow'), ('right_elbow', 'right_wrist'),
    ('nose', 'left_eye'), ('nose', 'right_eye'), ('left_eye', 'left_ear'), ('right_eye', 'right_ear'))
# fmt: on


def joint_names(skeleton: str) -> tuple[str, ...]:
    """Returns the joints of a list, in order.

    Raises:
        InputError: there is no list of this name.
    """
    if skeleton not in SKELETONS:
        available = ', '.join(sorted(SKELETONS))
        raise InputError(f'there is no skeleton {skeleton!r}; known: {available}')
    return SKELETONS[skeleton]


@functools.lru_cache(maxsize=None)
def index_map(source: str, target: str, nearest: bool = False) -> tuple[int, ...]:
    """Returns the index in ``source`` of every joint of ``target``, or -1 where ``source`` does not have it.

    Args:
        source: name of the list of the data.
        target: name of the list of the result.
        nearest: where the exact point is missing, accept the nearest other one (an OpenPose hip for an LSP hip).
    """
    source_names = joint_names(source)
    target_names = joint_names(target)
    for start in range(len(source_names) - len(target_names) + 1):
        # spin49 has most of spin24's names twice, and files often have values in one of its two blocks only.
        end = start + len(target_names)
        if source_names[start:end] == target_names:
            return tuple(range(start, end))
    indices = _first_indices(source_names)
    if nearest:
        return tuple(_nearest_index(name, indices) for name in target_names)
    return tuple(indices.get(name, -1) for name in target_names)


def on_body(skeleton: str) -> tuple[str, tuple[int, ...]]:
    """Returns the joint list of a body model that keypoints of a list are compared with, and its indices there."""
    target = ON_BODY.get(skeleton, skeleton)
    return target, index_map(skeleton, target)


@functools.lru_cache(maxsize=None)
def flip_map(skeleton: str) -> tuple[int, ...]:
    """Returns the permutation that swaps left and right: joint i of the mirrored body is joint ``flip_map[i]``."""
    # A list may contain a name twice (spin49 has two noses): the k-th left one belongs to the k-th right one.
    counts: dict[str, int] = {}
    keys = []
    for name in joint_names(skeleton):
        count = counts.get(name, 0)
        keys.append((name, count))
        counts[name] = count + 1
    indices = {key: i for i, key in enumerate(keys)}
    return tuple(indices[mirrored(name), count] for name, count in keys)


def limbs(skeleton: str) -> tuple[tuple[int, int], ...]:
    """Returns the bones for visualization as pairs of joint indices, without bones of which the list lacks an end."""
    indices = _first_indices(joint_names(skeleton))
    pairs = []
    for start_name, end_name in LIMBS:
        start = _nearest_index(start_name, indices)
        end = _nearest_index(end_name, indices)
        if start >= 0 and end >= 0:
            pairs.append((start, end))
    return tuple(pairs)


def _first_indices(names: tuple[str, ...]) -> dict[str, int]:
    """Index of the first occurrence of every name."""
    indices: dict[str, int] = {}
    for i, name in enumerate(names):
        indices.setdefault(name, i)
    return indices


def _nearest_index(name: str, indices: dict[str, int]) -> int:
    """Index of a joint or of its nearest substitute, -1 without either."""
    substitute = NEAREST.get(name, '')
    return indices.get(name, indices.get(substitute, -1))


def mirrored(name: str) -> str:
    """``'left_knee'`` -> ``'right_knee'`` and back; other names stay the same."""
    side, _, point = name.partition('_')
    opposite = {'left': 'right', 'right': 'left'}
    if side not in opposite:
        return name
    return f'{opposite[side]}_{point}'
