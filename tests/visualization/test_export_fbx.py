"""FBX: how Blender is found and asked, and, where it is found, the file read back by a parser written here."""

from __future__ import annotations

import dataclasses
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from camera_parts import joints_of
from export_parts import FRAMES, TURN, free_body, make_motion
from scipy.spatial.transform import Rotation

from hrtk.apis.look.exporting import check_formats
from hrtk.errors import InputError
from hrtk.visualization.export import to_fbx, with_mean_shape
from hrtk.visualization.export.fbx import SCRIPT, VARIABLE, blender_command
from hrtk.visualization.export.rigs import SMPL_RIG

BLENDER = os.environ.get(VARIABLE) or shutil.which('blender')


def program(path: Path, code: str) -> str:
    path.write_text(f'#!{sys.executable}\n{code}')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv('PATH', str(tmp_path))


def test_where_blender_is_found(nothing_installed, monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f'blender.org.*pip install bpy.*{VARIABLE}.*export glb'):
        blender_command()
    with pytest.raises(InputError, match='fbx is written by Blender'):
        check_formats(['glb', 'fbx'])
    blender = program(tmp_path / 'blender', '')
    assert blender_command()[0] == blender and blender_command()[-2:] == [str(SCRIPT), '--']
    python = program(tmp_path / 'python3.11', '')
    monkeypatch.setenv(VARIABLE, python)
    assert blender_command() == [python, str(SCRIPT)]
    monkeypatch.setenv(VARIABLE, str(tmp_path / 'gone'))
    with pytest.raises(InputError, match='gone: there is no such program'):
        blender_command()


def test_what_blender_gets_and_returns(nothing_installed, monkeypatch, tmp_path: Path) -> None:
    """A program in Blender's place: it gets a GLB, a path, the rate and the number of frames."""
    code = (
        'import sys, pathlib\n'
        'glb, fbx, fps, frames = sys.argv[2:]\n'
        'head = pathlib.Path(glb).read_bytes()[:4].decode()\n'
        'pathlib.Path(fbx).write_text(f"{head} {fps} {frames}")\n'
    )
    monkeypatch.setenv(VARIABLE, program(tmp_path / 'python3', code))
    assert to_fbx(make_motion(), free_body()) == f'glTF 12 {FRAMES - 1}'.encode()
    failing = program(tmp_path / 'python4', 'import sys\nprint("no such bone")\nsys.exit(3)\n')
    monkeypatch.setenv(VARIABLE, failing)
    with pytest.raises(
        InputError, match='export glb instead. It ended with code 3.*\nno such bone'
    ):
        to_fbx(make_motion(), free_body())
    monkeypatch.setenv(VARIABLE, program(tmp_path / 'python5', ''))
    with pytest.raises(InputError, match='without an fbx file'):
        to_fbx(make_motion(), free_body())


class Node:
    """A record of a binary FBX file: name, properties and children."""

    def __init__(self, data: bytes, place: int) -> None:
        self.end, count, _ = struct.unpack_from('<III', data, place)
        length = data[place + 12]
        self.name = data[place + 13 : place + 13 + length].decode()
        place += 13 + length
        self.values = []
        for _ in range(count if self.end else 0):
            value, place = self._value(data, place)
            self.values.append(value)
        self.children: list[Node] = []
        while self.end and place < self.end:
            child = Node(data, place)
            if child.end == 0:
                break
            self.children.append(child)
            place = child.end

    @staticmethod
    def _value(data: bytes, place: int) -> tuple[object, int]:
        kind = chr(data[place])
        place += 1
        if kind in 'SR':
            (length,) = struct.unpack_from('<I', data, place)
            return data[place + 4 : place + 4 + length], place + 4 + length
        if kind in 'fdlib':
            count, encoding, length = struct.unpack_from('<III', data, place)
            raw = data[place + 12 : place + 12 + length]
            if encoding:
                raw = zlib.decompress(raw)
            numbers = np.frombuffer(
                raw, {'f': '<f4', 'd': '<f8', 'l': '<i8', 'i': '<i4', 'b': 'u1'}[kind]
            )
            assert len(numbers) == count
            return numbers, place + 12 + length
        form = {'Y': '<h', 'C': '<b', 'B': '<b', 'I': '<i', 'F': '<f', 'D': '<d', 'L': '<q'}[kind]
        return struct.unpack_from(form, data, place)[0], place + struct.calcsize(form)

    def child(self, name: str) -> Node:
        return next(child for child in self.children if child.name == name)


def scene_of(data: bytes) -> dict[str, Node]:
    version = struct.unpack_from('<I', data, 23)[0]
    assert (
        data.startswith(b'Kaydara FBX Binary  \0') and version < 7500
    )  # later ones have 64-bit records
    nodes = {}
    place = 27
    while True:
        node = Node(data, place)
        if node.end == 0:
            return nodes
        nodes[node.name] = node
        place = node.end


def joint_places(data: bytes) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The places (F, 3) of bones in the world of the file, and the seconds of the keys.

    A model is moved by its translation, turned by the Euler angles Z Y X of its PreRotation and rotation, and scaled.
    """
    nodes = scene_of(data)
    objects = {node.values[0]: node for node in nodes['Objects'].children}
    parents: dict[int, int] = {}
    driven: dict[tuple[int, str], int] = {}  # the curve node of a property, the curve of an axis
    for link in nodes['Connections'].children:
        child, above = link.values[1:3]
        if link.values[0] == b'OO' and objects[child].name == 'Model':
            if above == 0 or objects[above].name == 'Model':  # not a cluster of the skin
                parents[child] = above
        elif link.values[0] == b'OP':
            driven[above, link.values[3].decode()] = child
    seconds = np.zeros(0)
    values: dict[tuple[int, str], np.ndarray] = {}
    for number, node in objects.items():
        if node.name != 'Model':
            continue
        for line in node.child('Properties70').children:
            name = line.values[0].decode()
            if name not in ('Lcl Translation', 'Lcl Rotation', 'Lcl Scaling', 'PreRotation'):
                continue
            axes = [np.full(1, float(value)) for value in line.values[4:7]]
            curves = driven.get((number, name))
            for axis in range(3):
                curve = driven.get((curves, f'd|{"XYZ"[axis]}')) if curves else None
                if curve is not None:
                    axes[axis] = objects[curve].child('KeyValueFloat').values[0]
                    seconds = objects[curve].child('KeyTime').values[0] / 46186158000
            values[number, name] = np.stack(np.broadcast_arrays(*axes), 1).astype(np.float64)

    def matrix(number: int) -> np.ndarray:
        if number == 0:
            return np.eye(4)[None]
        zero = np.zeros((1, 3))
        local = np.eye(4)[None].repeat(max(1, len(seconds)), 0)
        turn = Rotation.identity(1)
        for name in ('PreRotation', 'Lcl Rotation'):
            turn = turn * Rotation.from_euler(
                'ZYX', values.get((number, name), zero)[:, ::-1], degrees=True
            )
        scale = values.get((number, 'Lcl Scaling'), zero + 1)
        local[:, :3, :3] = turn.as_matrix() * scale[:, None]
        local[:, :3, 3] = values.get((number, 'Lcl Translation'), zero)
        return matrix(parents[number]) @ local

    places = {}
    for number, node in objects.items():
        if node.name == 'Model' and node.values[2] == b'LimbNode':
            places[node.values[1].split(b'\0')[0].decode()] = matrix(number)[:, :3, 3]
    return places, seconds


@pytest.mark.skipif(BLENDER is None, reason=f'no Blender: set {VARIABLE}')
def test_joints_of_the_file_are_those_of_the_body() -> None:
    motion = dataclasses.replace(make_motion(), fps=12.0)
    data = to_fbx(motion, free_body())
    places, seconds = joint_places(data)
    np.testing.assert_allclose(seconds, np.arange(FRAMES) / 12, atol=1e-4)
    settings = scene_of(data)['GlobalSettings'].child('Properties70').children
    found = {line.values[0].decode(): line.values[4] for line in settings}
    assert (found['UpAxis'], found['UpAxisSign']) == (1, 1)
    expected = joints_of(with_mean_shape(motion, free_body())).numpy() @ TURN['y-up'].T
    metres = found['UnitScaleFactor'] / 100  # the unit of the file in centimetres
    assert set(places) == set(SMPL_RIG)
    for number, name in enumerate(SMPL_RIG):
        np.testing.assert_allclose(metres * places[name], expected[:, number], atol=2e-4)
    shapes = [node for node in scene_of(data)['Objects'].children if node.name == 'Geometry']
    assert len(shapes) == 1  # the body alone, without Blender's ball for bones
