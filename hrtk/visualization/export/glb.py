"""GLB: a skinned mesh, its skeleton and one animation in a single binary file (Khronos, glTF 2.0).

The file is a header, a JSON text and a block of arrays. Writing these takes less code than calling a glTF library, and
adds no dependency.
"""

from __future__ import annotations

import copy
import json
import math
import struct
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.rotation import rotmat_to_quaternion
from hrtk.geometry.smoothing import continuous_quaternions
from hrtk.version import __version__
from hrtk.visualization.export.motion import (
    Motion,
    in_world,
    posed,
    rest_joints,
    with_mean_shape,
    world_transform,
)
from hrtk.visualization.export.rigs import SMPL_RIG

# Codes of the standard.
COMPONENT_TYPES = {np.dtype('u1'): 5121, np.dtype('<u4'): 5125, np.dtype('<f4'): 5126}
ELEMENT_TYPES = {1: 'SCALAR', 3: 'VEC3', 4: 'VEC4', 16: 'MAT4'}
VERTEX_BUFFER = 34962
INDEX_BUFFER = 34963
JOINTS_PER_SET = 4  # bones and weights of a vertex come in sets of four
# Indices of nodes; joint k is node ROOT + k.
MESH = 0
ROOT = 1
CAMERA = 25
MATERIAL = dict(
    pbrMetallicRoughness=dict(
        baseColorFactor=[0.42, 0.62, 0.86, 1], metallicFactor=0, roughnessFactor=0.7
    )
)


def to_glb(motion: Motion, body: BodyModel) -> bytes:
    """The bytes of a GLB file: metres, y up, as the standard requires.

    The mesh has the mean shape of the track. Each of the 24 joints has a rotation channel and the pelvis a translation
    channel, with a key at the time of every frame; their names are those of SMPL's rig
    (:data:`~hrtk.visualization.export.rigs.SMPL_RIG`). A camera node has the view of the image. glTF cannot represent
    pose blend shapes: their weights are entries of rotation matrices, which cannot be animated. The ``extras`` of the
    mesh node hold the resulting vertex error, see :func:`pose_blend_shape_error`.

    Programs that do not play an animation show the rest pose of a clip, as retargeting needs it, and the pose of a
    photograph.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
    """
    camera = _camera_node(motion)
    motion = in_world(with_mean_shape(motion, body), body, 'y-up')
    arrays = _Arrays()
    joints = rest_joints(body, motion.betas[:1])[0].numpy()
    nodes = _joint_nodes(joints, body.data.parents)
    if len(motion) == 1:
        _pose(nodes, motion, joints[0])
    content = dict(
        asset=dict(version='2.0', generator=f'hrtk {__version__}'),
        scene=0,
        scenes=[dict(nodes=[MESH, ROOT, CAMERA])],
        nodes=[
            dict(name=motion.name, mesh=0, skin=0, extras=_extras(motion, body)),
            *nodes,
            camera,
        ],
        meshes=[dict(name=body.data.name, primitives=[_mesh(arrays, motion, body)])],
        materials=[MATERIAL],
        skins=[
            dict(
                joints=list(range(ROOT, ROOT + 24)),
                skeleton=ROOT,
                inverseBindMatrices=arrays.add(_inverse_bind_matrices(joints)),
            )
        ],
        animations=[_animation(arrays, motion, joints[0])],
        cameras=[dict(type='perspective', perspective=_perspective(motion))],
    )
    return _pack(content, arrays)


def pose_blend_shape_error(motion: Motion, body: BodyModel) -> tuple[float, float]:
    """Mean and largest distance, in metres, between vertices with and without pose blend shapes."""
    plain_body = copy.deepcopy(body)
    plain_body.pose_basis.zero_()
    total = 0.0
    largest = 0.0
    for exact, plain in zip(posed(motion, body), posed(motion, plain_body)):
        distance = (exact.vertices - plain.vertices).norm(dim=-1)
        total += float(distance.mean(1).sum())
        largest = max(largest, float(distance.max()))
    return total / len(motion), largest


class _Arrays:
    """The binary part of the file, and its description for the JSON part."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, array: np.ndarray, target: Optional[int] = None, bounds: bool = False) -> int:
        """Appends an array (N,) or (N, C); returns the index of its accessor.

        Args:
            array: the values.
            target: :data:`VERTEX_BUFFER` or :data:`INDEX_BUFFER`, if the array is either.
            bounds: whether the accessor holds the minimum and maximum of the array.
        """
        array = np.ascontiguousarray(array)
        view = dict(buffer=0, byteOffset=len(self.data), byteLength=array.nbytes)
        if target is not None:
            view['target'] = target
        self.views.append(view)
        padding = bytes(-array.nbytes % 4)
        self.data += array.tobytes() + padding
        accessor: dict[str, Any] = dict(
            bufferView=len(self.views) - 1,
            componentType=COMPONENT_TYPES[array.dtype],
            count=len(array),
            type=ELEMENT_TYPES[array[0].size],
        )
        if bounds:
            accessor['min'] = np.atleast_1d(array.min(0)).tolist()
            accessor['max'] = np.atleast_1d(array.max(0)).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _extras(motion: Motion, body: BodyModel) -> dict[str, Any]:
    """Custom properties of the mesh node."""
    mean, largest = pose_blend_shape_error(motion, body)
    return dict(
        body=body.data.name,
        betas=motion.betas[0].tolist(),
        pose_blend_shapes='left out',
        left_out_mean_mm=1000 * mean,
        left_out_max_mm=1000 * largest,
    )


def _camera_node(motion: Motion) -> dict[str, Any]:
    """The camera in the world; a camera of glTF looks along -z, with y up."""
    if motion.floor is None:
        return dict(name='camera', camera=0)  # at the origin
    rotation, position = world_transform(motion, 'y-up')
    axes = rotation @ torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=rotation.dtype))
    quaternion = rotmat_to_quaternion(axes)[[1, 2, 3, 0]]
    return dict(
        name='camera',
        camera=0,
        translation=position.tolist(),
        rotation=quaternion.tolist(),
    )


def _perspective(motion: Motion) -> dict[str, float]:
    """The camera's view: vertical field of view in radians, aspect ratio and near plane in metres."""
    width, height = motion.image_size
    return dict(
        yfov=2 * math.atan(height / 2 / motion.focal), aspectRatio=width / height, znear=0.01
    )


def _mesh(arrays: _Arrays, motion: Motion, body: BodyModel) -> dict[str, Any]:
    """The mesh in the rest pose with its skinning weights."""
    betas = motion.betas[:1].to(body.template)
    vertices = (body.template + betas @ body.shape_basis).view(-1, 3).double().cpu().numpy()
    faces = body.faces.cpu().numpy()
    attributes = dict(
        POSITION=arrays.add(np.float32(vertices), VERTEX_BUFFER, bounds=True),
        NORMAL=arrays.add(np.float32(_normals(vertices, faces)), VERTEX_BUFFER),
    )
    weights, bones = _sorted_weights(body.weights.cpu())
    for index in range(weights.shape[1] // JOINTS_PER_SET):
        columns = slice(index * JOINTS_PER_SET, (index + 1) * JOINTS_PER_SET)
        set_bones = bones[:, columns].numpy().astype('u1')
        set_weights = np.float32(weights[:, columns])
        attributes[f'JOINTS_{index}'] = arrays.add(set_bones, VERTEX_BUFFER)
        attributes[f'WEIGHTS_{index}'] = arrays.add(set_weights, VERTEX_BUFFER)
    indices = arrays.add(faces.ravel().astype('<u4'), INDEX_BUFFER)
    return dict(attributes=attributes, indices=indices, material=0)


def _sorted_weights(weights: Tensor) -> tuple[Tensor, Tensor]:
    """The largest skinning weights of each vertex and their bones, (V, C); C is a multiple of four."""
    most_bones = int((weights > 0).sum(1).max())
    sets = math.ceil(most_bones / JOINTS_PER_SET)
    values, bones = weights.topk(sets * JOINTS_PER_SET, dim=1)
    bones[values == 0] = 0
    return values, bones


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, weighted by area; up where a vertex has no face."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = [
        np.bincount(faces.ravel(), np.repeat(cross[:, axis], 3), len(vertices)) for axis in range(3)
    ]
    total = np.stack(sums, 1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-12, total / np.maximum(length, 1e-12), (0, 1, 0))


def _joint_nodes(joints: np.ndarray, parents: np.ndarray) -> list[dict[str, Any]]:
    """A node per joint, with its offset from the parent."""
    nodes = []
    for joint, name in enumerate(SMPL_RIG):
        offset = joints[joint]
        if joint > 0:
            offset = offset - joints[parents[joint]]
        node: dict[str, Any] = dict(name=name, translation=offset.tolist())
        children = (np.flatnonzero(parents == joint) + ROOT).tolist()
        if children:
            node['children'] = children
        nodes.append(node)
    return nodes


def _pose(nodes: list[dict[str, Any]], motion: Motion, pelvis: np.ndarray) -> None:
    """Sets the joints to the only frame of a motion."""
    quaternions = _continuous_quaternions(motion.rotmat)[0]
    for node, quaternion in zip(nodes, quaternions):
        node['rotation'] = quaternion.tolist()
    nodes[0]['translation'] = (pelvis + motion.translation[0].numpy()).tolist()


def _inverse_bind_matrices(joints: np.ndarray) -> np.ndarray:
    """(24, 16), column by column: in the rest pose all joints have the axes of the world."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (24, 1, 1))
    matrices[:, 3, :3] = -joints
    return matrices.reshape(24, 16)


def _animation(arrays: _Arrays, motion: Motion, pelvis: np.ndarray) -> dict[str, Any]:
    """Channels for the translation of the pelvis and for the rotations of all joints."""
    times = arrays.add(np.float32(motion.times), bounds=True)
    quaternions = _continuous_quaternions(motion.rotmat)
    tracks = [('translation', 0, pelvis + motion.translation.numpy())]
    for joint in range(24):
        tracks.append(('rotation', joint, quaternions[:, joint]))
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for path, joint, values in tracks:
        output = arrays.add(np.float32(values))
        target = dict(node=ROOT + joint, path=path)
        channels.append(dict(sampler=len(samplers), target=target))
        samplers.append(dict(input=times, output=output, interpolation='LINEAR'))
    return dict(name=motion.name, samplers=samplers, channels=channels)


def _continuous_quaternions(rotmat: Tensor) -> np.ndarray:
    """(F, 24, 4) x, y, z, w. Neighbouring keys lie in one hemisphere, so that linear interpolation is the short way."""
    return continuous_quaternions(rotmat)[..., [1, 2, 3, 0]].numpy()


def _pack(content: dict[str, Any], arrays: _Arrays) -> bytes:
    """Header, JSON chunk and binary chunk."""
    content = {
        **content,
        'bufferViews': arrays.views,
        'accessors': arrays.accessors,
        'buffers': [dict(byteLength=len(arrays.data))],
    }
    text = json.dumps(content, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 4)
    chunks = _chunk(b'JSON', text) + _chunk(b'BIN\0', bytes(arrays.data))
    return struct.pack('<4sII', b'glTF', 2, 12 + len(chunks)) + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('<I4s', len(data), kind) + data
