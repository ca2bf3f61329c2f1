"""GLB read back by a reader of the standard written here: skinned vertices are the body model's."""

from __future__ import annotations

import dataclasses
import io
import json
import struct

import numpy as np
import pytest
import torch
from export_parts import FRAMES, expected, free_body, make_body, make_motion, without_correctives
from scipy.spatial.transform import Rotation

from hrtk.geometry.floor import Floor
from hrtk.visualization.export import joint_positions, to_glb
from hrtk.visualization.export.glb import pose_blend_shape_error
from hrtk.visualization.export.rigs import SMPL_RIG

TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTH = {'SCALAR': 1, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}


class Reader:
    """What a viewer does with a file, after Khronos' specification of glTF 2.0."""

    def __init__(self, data: bytes) -> None:
        magic, version, length, size, kind = struct.unpack_from('<4sIII4s', data)
        assert (magic, version, length, kind) == (b'glTF', 2, len(data), b'JSON')
        self.json = json.loads(data[20 : 20 + size])
        binary, kind = struct.unpack_from('<I4s', data, 20 + size)
        assert kind == b'BIN\0' and 28 + size + binary == len(data)
        self.binary = data[28 + size :]
        self.parent = {
            child: number
            for number, node in enumerate(self.json['nodes'])
            for child in node.get('children', ())
        }

    def array(self, number: int) -> np.ndarray:
        accessor = self.json['accessors'][number]
        view = self.json['bufferViews'][accessor['bufferView']]
        count = accessor['count'] * WIDTH[accessor['type']]
        assert view['byteOffset'] % 4 == 0
        flat = np.frombuffer(
            self.binary, TYPES[accessor['componentType']], count, view['byteOffset']
        )
        return flat.reshape(accessor['count'], -1)

    def world(self, node: int, local: dict[int, dict]) -> np.ndarray:
        values, matrix = {**self.json['nodes'][node], **local.get(node, {})}, np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(values.get('rotation', [0, 0, 0, 1])).as_matrix()
        matrix[:3, 3] = values.get('translation', 0)
        return self.world(self.parent[node], local) @ matrix if node in self.parent else matrix

    def at(self, frame: int) -> dict[int, dict]:
        """What the animation sets at a key, by node."""
        local: dict[int, dict] = {}
        (animation,) = self.json['animations']
        for channel in animation['channels']:
            sampler, target = animation['samplers'][channel['sampler']], channel['target']
            local.setdefault(target['node'], {})[target['path']] = self.array(sampler['output'])[
                frame
            ]
        return local

    def skinned(self, local: dict[int, dict]) -> np.ndarray:
        (mesh,) = self.json['meshes']
        attributes, skin = mesh['primitives'][0]['attributes'], self.json['skins'][0]
        inverse = self.array(skin['inverseBindMatrices']).reshape(-1, 4, 4).transpose(0, 2, 1)
        matrices = np.stack([self.world(node, local) for node in skin['joints']]) @ inverse
        position = self.array(attributes['POSITION']).astype(np.float64)
        result = np.zeros_like(position)
        for number in range(sum(key.startswith('JOINTS_') for key in attributes)):
            joints, weights = (
                self.array(attributes[f'{key}_{number}']) for key in ('JOINTS', 'WEIGHTS')
            )
            for slot in range(4):
                moved = np.einsum('vij,vj->vi', matrices[joints[:, slot], :3, :3], position)
                result += weights[:, slot : slot + 1] * (moved + matrices[joints[:, slot], :3, 3])
        return result


@pytest.mark.parametrize('kind', ['open', 'smpl'])
def test_skinned_vertices_are_those_of_the_body_without_pose_correctives(
    kind: str, tmp_path
) -> None:
    body, motion = make_body(kind, tmp_path), make_motion()
    reader = Reader(to_glb(motion, body))
    vertices, joints = expected(motion, without_correctives(body), 'y-up', mean_shape=True)
    for frame in range(FRAMES):
        local = reader.at(frame)
        np.testing.assert_allclose(reader.skinned(local), vertices[frame], atol=1e-5)
        nodes = reader.json['skins'][0]['joints']
        np.testing.assert_allclose(
            [reader.world(n, local)[:3, 3] for n in nodes], joints[frame], atol=1e-5
        )
        assert [reader.json['nodes'][n]['name'] for n in nodes] == list(SMPL_RIG)
    faces = reader.array(reader.json['meshes'][0]['primitives'][0]['indices'])
    np.testing.assert_array_equal(faces.reshape(-1, 3), body.faces.numpy())


def test_a_photograph_shows_its_pose_without_animation() -> None:
    body, motion = make_body('open', None), make_motion()
    fields = {}
    for field in dataclasses.fields(motion):
        value = getattr(motion, field.name)
        if isinstance(value, torch.Tensor) and len(value) == FRAMES:
            value = value[:1]
        fields[field.name] = value
    one = dataclasses.replace(motion, **fields)
    assert len(one) == 1 and len(motion) == FRAMES
    still = Reader(to_glb(one, body))
    vertices, _ = expected(one, without_correctives(body), 'y-up', mean_shape=True)
    np.testing.assert_allclose(still.skinned({}), vertices[0], atol=1e-5)
    moving = Reader(to_glb(motion, body))  # the skeleton of a clip is at rest
    assert not any('rotation' in node for node in moving.json['nodes'][1:25])


def test_every_influence_is_written() -> None:
    body, plain = make_body('open', None), without_correctives(free_body())
    weights = torch.rand(body.weights.shape, dtype=torch.float64) + 0.1
    for model in (body, plain):
        model.weights.copy_(weights / weights.sum(1, keepdim=True))
    motion = make_motion()
    reader = Reader(to_glb(motion, body))
    assert 'JOINTS_5' in reader.json['meshes'][0]['primitives'][0]['attributes']
    vertices, _ = expected(motion, plain, 'y-up', mean_shape=True)
    np.testing.assert_allclose(reader.skinned(reader.at(2)), vertices[2], atol=1e-5)


def test_keys_are_at_the_frames_and_take_the_short_way() -> None:
    motion = make_motion(spread=2.0)
    reader = Reader(to_glb(motion, free_body()))
    (animation,) = reader.json['animations']
    paths = [
        (channel['target']['node'], channel['target']['path']) for channel in animation['channels']
    ]
    assert sorted(paths) == sorted(
        [(1, 'translation'), *((node, 'rotation') for node in range(1, 25))]
    )
    for channel, sampler in zip(animation['channels'], animation['samplers']):
        np.testing.assert_allclose(
            reader.array(sampler['input'])[:, 0], np.arange(FRAMES) / 12.5, atol=1e-6
        )
        if channel['target']['path'] == 'rotation':
            keys = reader.array(sampler['output'])
            np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)
            assert ((keys[1:] * keys[:-1]).sum(1) >= 0).all()


def test_a_floor_moves_the_camera_with_the_world() -> None:
    """The camera node of a tilted camera above a floor sees the same pixels."""
    motion, body = make_motion(), free_body()
    turn = Rotation.from_euler('zx', [10, 25], degrees=True).as_matrix() @ np.diag([1.0, -1, -1])
    tilted = dataclasses.replace(motion, floor=Floor(turn[:, 1], 1.6))
    reader = Reader(to_glb(tilted, body))
    (node,) = (n for n in reader.json['nodes'] if 'camera' in n)
    np.testing.assert_allclose(node['translation'], [0, 1.6, 0], atol=1e-9)
    axes = Rotation.from_quat(node['rotation']).as_matrix()
    # glTF's cameras look along -z with y up, as the camera of a world without a floor.
    pelvis = Reader(to_glb(motion, body)), reader
    first, second = (
        one.array(one.json['animations'][0]['samplers'][0]['output']) for one in pelvis
    )
    seen = (second - [0, 1.6, 0]) @ axes
    np.testing.assert_allclose(seen, first, atol=1e-5)


def test_its_camera_sees_the_pixels() -> None:
    motion, body = make_motion(), free_body()
    reader = Reader(to_glb(motion, body))
    view = reader.json['cameras'][0]['perspective']
    (node,) = (n for n in reader.json['nodes'] if 'camera' in n)
    assert 'rotation' not in node and 'translation' not in node  # at the origin, looking along -z
    pelvis = reader.world(1, reader.at(3))[:3, 3]
    up = -pelvis[1] / pelvis[2] / np.tan(view['yfov'] / 2)
    right = -pelvis[0] / pelvis[2] / np.tan(view['yfov'] / 2) / view['aspectRatio']
    seen = (right + 1) / 2 * 640 - 0.5, (1 - up) / 2 * 360 - 0.5
    np.testing.assert_allclose(seen, joint_positions(motion, body)[1][3, 0], atol=1e-3)


def test_what_is_left_out_is_measured() -> None:
    motion, body = make_motion(), free_body()
    exact, bare = (
        expected(motion, model, 'camera', False)[0] for model in (body, without_correctives(body))
    )
    distance = np.linalg.norm(exact - bare, axis=-1)
    np.testing.assert_allclose(
        pose_blend_shape_error(motion, body), (distance.mean(), distance.max()), atol=1e-9
    )
    assert distance.max() > 1e-3
    extras = Reader(to_glb(motion, body)).json['nodes'][0]['extras']
    assert extras['body'] == 'open' and extras['left_out_max_mm'] > extras['left_out_mean_mm'] > 0
    np.testing.assert_allclose(extras['betas'], motion.betas.numpy().mean(0))


def test_trimesh_reads_the_body_at_rest() -> None:
    trimesh = pytest.importorskip('trimesh', reason='trimesh reads GLB')
    motion, body = make_motion(), free_body()
    scene = trimesh.load(io.BytesIO(to_glb(motion, body)), file_type='glb', process=False)
    (mesh,) = scene.geometry.values()
    rest = body(
        torch.eye(3).double().expand(1, 24, 3, 3), motion.betas.mean(0, keepdim=True)
    ).vertices[0]
    np.testing.assert_allclose(mesh.vertices, rest, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, body.faces)
    outwards = (mesh.vertex_normals * Reader(to_glb(motion, body)).array(1)).sum(1)
    assert np.quantile(outwards, 0.01) > 0.8


def test_a_single_picture() -> None:
    motion = make_motion()
    one = type(motion)(
        motion.name,
        motion.rotmat[:1],
        motion.betas[:1],
        motion.translation[:1],
        ('x',),
        25.0,
        motion.image_size,
        motion.focal,
    )
    reader = Reader(to_glb(one, free_body()))
    assert reader.array(reader.json['animations'][0]['samplers'][0]['input']).tolist() == [[0.0]]
