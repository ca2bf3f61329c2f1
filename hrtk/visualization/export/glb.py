"""GLB: a skinned mesh, its skeleton and one animation in a single binary file (Khronos, glTF 2.0).

The file is a header, a JSON text and a block of arrays. That is less code than an interface to a library for it would
be, and needs none.
"""

from __future__ import annotations

import copy
import json
import math
import struct
from typing import Any, Optional

import numpy as np

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import SMPL24
from hrtk.geometry.rotation import rotmat_to_quaternion
from hrtk.version import __version__
from hrtk.visualization.export.motion import Motion, in_world, posed, rest_joints, steady

# Codes of the standard.
COMPONENT = {np.dtype('u1'): 5121, np.dtype('<u4'): 5125, np.dtype('<f4'): 5126}
KIND = {1: 'SCALAR', 3: 'VEC3', 4: 'VEC4', 16: 'MAT4'}
VERTICES, FACES = 34962, 34963
MESH, ROOT, CAMERA = 0, 1, 25  # nodes; joint k is node ROOT + k


def to_glb(motion: Motion, body: BodyModel) -> bytes:
    """The bytes of a GLB file: metres, y up, as the standard wants it; the camera stands at the origin.

    The mesh has the mean shape of the track. Each of the 24 joints has a channel of rotations and the pelvis one of
    translations, with a key at every frame. A camera node has the picture's view. Pose-dependent blend shapes cannot
    be represented, since their weights are entries of rotation matrices and not animated numbers of their own; how
    far vertices are off for it stands in the mesh node's ``extras``, see :func:`left_out`.

    Args:
        motion: in the camera frame.
        body: the body model that it is for.
    """
    motion = in_world(steady(motion, body), body, 'y-up')
    arrays = _Arrays()
    mean, largest = left_out(motion, body)
    extras = dict(
        body=body.data.name,
        betas=motion.betas[0].tolist(),
        pose_blend_shapes='left out',
        left_out_mean_mm=1000 * mean,
        left_out_max_mm=1000 * largest,
    )
    joints = rest_joints(body, motion.betas[:1])[0].numpy()
    nodes = [
        dict(name=motion.name, mesh=0, skin=0, extras=extras),
        *_skeleton(joints, body.data.parents),
        dict(name='camera', camera=0),
    ]
    width, height = motion.image_size
    view = dict(
        yfov=2 * math.atan(height / 2 / motion.focal), aspectRatio=width / height, znear=0.01
    )
    content = dict(
        asset=dict(version='2.0', generator=f'hrtk {__version__}'),
        scene=0,
        scenes=[dict(nodes=[MESH, ROOT, CAMERA])],
        nodes=nodes,
        meshes=[dict(name=body.data.name, primitives=[_mesh(arrays, motion, body)])],
        materials=[
            dict(
                pbrMetallicRoughness=dict(
                    baseColorFactor=[0.42, 0.62, 0.86, 1], metallicFactor=0, roughnessFactor=0.7
                )
            )
        ],
        skins=[
            dict(
                joints=list(range(ROOT, ROOT + 24)),
                skeleton=ROOT,
                inverseBindMatrices=arrays.add(_inverse_bind(joints)),
            )
        ],
        animations=[_animation(arrays, motion, joints[0])],
        cameras=[dict(type='perspective', perspective=view)],
    )
    return _pack(content, arrays)


def left_out(motion: Motion, body: BodyModel) -> tuple[float, float]:
    """Mean and largest distance, in metres, of vertices from their places without the pose blend shapes."""
    plain = copy.deepcopy(body)
    plain.pose_basis.zero_()
    total, largest = 0.0, 0.0
    for exact, bare in zip(posed(motion, body), posed(motion, plain)):
        distance = (exact.vertices - bare.vertices).norm(dim=-1)
        total, largest = total + float(distance.mean(1).sum()), max(largest, float(distance.max()))
    return total / len(motion), largest


class _Arrays:
    """The binary part of the file, and what the JSON part says about it."""

    def __init__(self) -> None:
        self.data, self.views, self.accessors = bytearray(), [], []

    def add(self, array: np.ndarray, target: Optional[int] = None, bounds: bool = False) -> int:
        """Appends an array (N,) or (N, C); returns the number of its accessor."""
        array = np.ascontiguousarray(array)
        view = dict(buffer=0, byteOffset=len(self.data), byteLength=array.nbytes)
        self.views.append(view if target is None else {**view, 'target': target})
        self.data += array.tobytes() + bytes(-array.nbytes % 4)
        accessor = dict(
            bufferView=len(self.views) - 1,
            componentType=COMPONENT[array.dtype],
            count=len(array),
            type=KIND[array[0].size],
        )
        if bounds:
            accessor.update(
                min=np.atleast_1d(array.min(0)).tolist(), max=np.atleast_1d(array.max(0)).tolist()
            )
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _mesh(arrays: _Arrays, motion: Motion, body: BodyModel) -> dict[str, Any]:
    betas = motion.betas[:1].to(body.template)
    vertices = (body.template + betas @ body.shape_basis).view(-1, 3).double().cpu().numpy()
    faces = body.faces.cpu().numpy()
    attributes = dict(
        POSITION=arrays.add(np.float32(vertices), VERTICES, bounds=True),
        NORMAL=arrays.add(np.float32(_normals(vertices, faces)), VERTICES),
    )
    weights = body.weights.cpu()
    most = int((weights > 0).sum(1).max())
    value, bone = weights.topk(-4 * (-most // 4), dim=1)  # the standard has four to a set
    bone[value == 0] = 0
    for number in range(value.shape[1] // 4):
        part = slice(4 * number, 4 * number + 4)
        attributes[f'JOINTS_{number}'] = arrays.add(bone[:, part].numpy().astype('u1'), VERTICES)
        attributes[f'WEIGHTS_{number}'] = arrays.add(np.float32(value[:, part]), VERTICES)
    return dict(
        attributes=attributes, indices=arrays.add(faces.ravel().astype('<u4'), FACES), material=0
    )


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, weighted by area; up where a vertex has no face."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(vertices))
            for axis in range(3)
        ],
        1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-12, total / np.maximum(length, 1e-12), (0, 1, 0))


def _skeleton(joints: np.ndarray, parents: np.ndarray) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for joint, (name, parent) in enumerate(zip(SMPL24, parents)):
        node = dict(
            name=name, translation=(joints[joint] - (joints[parent] if joint else 0)).tolist()
        )
        children = (np.flatnonzero(parents == joint) + ROOT).tolist()
        nodes.append({**node, 'children': children} if children else node)
    return nodes


def _inverse_bind(joints: np.ndarray) -> np.ndarray:
    """(24, 16) column by column: at rest all joints have the axes of the world."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (24, 1, 1))
    matrices[:, 3, :3] = -joints
    return matrices.reshape(24, 16)


def _animation(arrays: _Arrays, motion: Motion, pelvis: np.ndarray) -> dict[str, Any]:
    times = arrays.add(np.float32(np.arange(len(motion)) / motion.fps), bounds=True)
    quaternions = rotmat_to_quaternion(motion.rotmat)[..., [1, 2, 3, 0]]
    # Neighbouring keys on one side, so that also a linear blend of their numbers takes the short way.
    turns = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True) < 0
    quaternions[1:] *= (1 - 2 * turns.to(quaternions)).cumprod(0)
    quaternions = quaternions.numpy()
    keys = [('translation', 0, pelvis + motion.translation.numpy())]
    keys += [('rotation', joint, quaternions[:, joint]) for joint in range(24)]
    samplers = [
        dict(input=times, output=arrays.add(np.float32(values)), interpolation='LINEAR')
        for _, _, values in keys
    ]
    channels = [
        dict(sampler=number, target=dict(node=ROOT + joint, path=path))
        for number, (path, joint, _) in enumerate(keys)
    ]
    return dict(name=motion.name, samplers=samplers, channels=channels)


def _pack(content: dict[str, Any], arrays: _Arrays) -> bytes:
    content = {
        **content,
        'bufferViews': arrays.views,
        'accessors': arrays.accessors,
        'buffers': [dict(byteLength=len(arrays.data))],
    }
    text = json.dumps(content, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 4)
    chunks = b''.join(
        struct.pack('<I4s', len(part), kind) + part
        for kind, part in ((b'JSON', text), (b'BIN\0', bytes(arrays.data)))
    )
    return struct.pack('<4sII', b'glTF', 2, 12 + len(chunks)) + chunks
