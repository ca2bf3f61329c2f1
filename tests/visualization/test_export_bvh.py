"""BVH read back by a parser written here: forward kinematics gives the body model's joints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from export_parts import FRAMES, TURN, expected, free_body, make_body, make_motion
from scipy.spatial.transform import Rotation

from hrtk.visualization.export import to_bvh
from hrtk.visualization.export.bvh import euler_zxy
from hrtk.visualization.export.rigs import HUMAN_IK


def parse(text: str) -> tuple[list[dict], np.ndarray, float]:
    """Joints in the order of their channels, (frames, channels) numbers, and seconds per frame."""
    head, _, tail = text.partition('MOTION\n')
    joints: list[dict] = []
    stack: list[dict | None] = []
    new: dict | None = None
    for line in head.splitlines()[1:]:
        words = line.split()
        if words[0] in ('ROOT', 'JOINT'):
            above = next((joint for joint in reversed(stack) if joint), None)
            new = dict(name=words[1], parent=above)
            joints.append(new)
        elif words[0] == 'End':
            new = None
        elif words[0] == '{':
            stack.append(new)
        elif words[0] == '}':
            stack.pop()
        elif stack[-1] is not None:
            stack[-1][words[0]] = (
                [float(w) for w in words[1:]] if words[0] == 'OFFSET' else words[2:]
            )
    assert not stack and text.count('End Site') == 5
    lines = tail.splitlines()
    numbers = np.array([line.split() for line in lines[2:]], float)
    assert lines[0] == f'Frames: {len(numbers)}' and numbers.shape[1] == sum(
        len(j['CHANNELS']) for j in joints
    )
    return joints, numbers, float(lines[1].removeprefix('Frame Time: '))


def positions(text: str) -> dict[str, np.ndarray]:
    """Places (F, 3) of all joints by name; channels apply in the order of their listing."""
    joints, numbers, _ = parse(text)
    turns, places, start = {}, {}, 0
    for joint in joints:
        move, turn = np.tile(joint['OFFSET'], (len(numbers), 1)), Rotation.identity(len(numbers))
        for column, channel in enumerate(joint['CHANNELS'], start):
            if channel.endswith('position'):
                move[:, 'XYZ'.index(channel[0])] += numbers[:, column]
            else:
                turn = turn * Rotation.from_euler(
                    channel[0].lower(), numbers[:, [column]], degrees=True
                )
        start += len(joint['CHANNELS'])
        above = joint['parent']
        name = joint['name']
        turns[name] = turns[above['name']] * turn if above else turn
        places[name] = places[above['name']] + turns[above['name']].apply(move) if above else move
    return places


@pytest.mark.parametrize('kind', ['open', 'smpl'])
@pytest.mark.parametrize('world', TURN)
def test_forward_kinematics_gives_the_joints(kind: str, world: str, tmp_path) -> None:
    body, motion = make_body(kind, tmp_path), make_motion()
    places = positions(to_bvh(motion, body, world))
    _, joints = expected(motion, body, world, mean_shape=True)
    for number, name in enumerate(HUMAN_IK):
        np.testing.assert_allclose(places[name], joints[:, number], atol=1e-5)
    assert len(places) == 24


def test_hierarchy_and_time() -> None:
    body = free_body()
    joints, numbers, seconds = parse(to_bvh(make_motion(), body))
    parents = {joint['name']: joint['parent']['name'] for joint in joints if joint['parent']}
    assert parents == {HUMAN_IK[j]: HUMAN_IK[p] for j, p in enumerate(body.data.parents) if j}
    assert joints[0]['OFFSET'] == [0, 0, 0] and joints[0]['CHANNELS'][3:] == [
        'Zrotation',
        'Xrotation',
        'Yrotation',
    ]
    assert len(numbers) == FRAMES and seconds == pytest.approx(1 / 12.5)


def test_turns_at_the_pole() -> None:
    # x turned by 90 degrees, exactly and nearly, and rounded as results are.
    angles = [
        (z, 90 - d, y)
        for z in (0, 40, -170)
        for y in (0, 25, 160)
        for d in (0, 1e-7, 1e-4, 0.01, 180)
    ]
    exact = Rotation.from_euler('ZXY', angles, degrees=True).as_matrix()
    found = euler_zxy(torch.as_tensor(exact, dtype=torch.float32)[:, None])[:, 0].numpy()
    again = Rotation.from_euler('ZXY', found, degrees=True).as_matrix()
    np.testing.assert_allclose(again, exact, atol=1e-6)


def test_angles_go_on_beyond_a_half_turn() -> None:
    motion = make_motion(spread=0)
    turn = Rotation.from_euler('z', np.arange(FRAMES)[:, None] * 50, degrees=True).as_matrix()
    rotmat = motion.rotmat.clone()
    rotmat[:, 16] = torch.as_tensor(turn)
    joints, numbers, _ = parse(to_bvh(dataclasses.replace(motion, rotmat=rotmat), free_body()))
    column = 6 + 3 * ([joint['name'] for joint in joints].index(HUMAN_IK[16]) - 1)
    np.testing.assert_allclose(np.diff(numbers[:, column]), 50, atol=1e-4)


def test_the_rest_pose_and_its_names() -> None:
    """With all rotations zero a T pose: y up, arms to the sides, the left one at +x; names as HumanIK has them."""
    joints, _, _ = parse(to_bvh(make_motion(), free_body()))
    places: dict[str, np.ndarray] = {}
    for joint in joints:
        above = places[joint['parent']['name']] if joint['parent'] else 0
        places[joint['name']] = above + np.array(joint['OFFSET'])
    chains = {joint['name']: (joint['parent'] or {}).get('name') for joint in joints}
    assert chains['Hips'] is None and chains['LeftUpLeg'] == 'Hips' and chains['Spine'] == 'Hips'
    assert chains['LeftFoot'] == 'LeftLeg' and chains['LeftToeBase'] == 'LeftFoot'
    assert chains['RightForeArm'] == 'RightArm' and chains['RightArm'] == 'RightShoulder'
    assert chains['Head'] == 'Neck' and chains['Neck'] == chains['LeftShoulder'] == 'Spine2'
    assert places['Head'][1] > places['Neck'][1] > places['Hips'][1] > places['LeftFoot'][1]
    assert places['LeftHand'][0] > places['LeftArm'][0] > 0 > places['RightHand'][0]
    assert places['LeftToeBase'][2] > places['LeftFoot'][2]
    assert abs(places['LeftHand'][1] - places['LeftArm'][1]) < 0.1
