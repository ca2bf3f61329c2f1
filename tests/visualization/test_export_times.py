"""Motions whose frames are not evenly spaced in time: true keys where a format has times, even frames elsewhere."""

import csv
import dataclasses
import io
import json
import struct

import numpy as np
import pytest
import torch
from export_parts import FRAMES, make_motion
from scipy.spatial.transform import Rotation

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.results import Result
from hrtk.structures import Prediction
from hrtk.visualization import export as files
from hrtk.visualization.export.resampling import even

TIMES = np.array([2.0, 2.1, 2.2, 2.3, 2.4, 2.8, 3.2])


def turning():
    """A motion that turns by 0.5 radians and moves by 1 m per second, whatever its frame rate is."""
    motion = make_motion()
    seconds = TIMES - TIMES[0]
    rotmat = motion.rotmat[:1].repeat(FRAMES, 1, 1, 1)
    turns = Rotation.from_rotvec(0.5 * seconds[:, None] * np.array([[0.6, 0.0, 0.8]])).as_matrix()
    rotmat[:, 5] = rotmat[:, 5] @ torch.from_numpy(turns)
    translation = motion.translation[:1] + torch.from_numpy(seconds)[:, None]
    return dataclasses.replace(
        motion,
        rotmat=rotmat,
        betas=motion.betas[:1].expand(FRAMES, 10),
        translation=translation,
        given_times=TIMES,
    )


def test_an_even_rate_keeps_the_motion(caplog):
    motion = turning()
    body = BodyModel().double()
    resampled = even(motion, body)
    assert resampled.fps == pytest.approx(10) and resampled.given_times is None
    assert len(resampled) == 13
    seconds = np.arange(13) / 10
    turns = Rotation.from_rotvec(0.5 * seconds[:, None] * np.array([[0.6, 0.0, 0.8]])).as_matrix()
    np.testing.assert_allclose(
        resampled.rotmat[:, 5], motion.rotmat[0, 5].numpy() @ turns, atol=1e-9
    )
    np.testing.assert_allclose(
        resampled.rotmat[:, 7], motion.rotmat[:1, 7].repeat(13, 1, 1), atol=1e-9
    )
    np.testing.assert_allclose(
        resampled.translation,
        motion.translation[0].numpy() + seconds[:, None] * np.ones(3),
        atol=1e-9,
    )
    assert (
        resampled.frame_ids[:5] == motion.frame_ids[:5] and resampled.frame_ids[12] == 'cam/6.jpg'
    )
    assert 'varies' in caplog.text and '13 frames at 10.00 per second instead of 7' in caplog.text
    steady = make_motion()
    assert even(steady, body) is steady
    timed = dataclasses.replace(steady, given_times=5 + np.arange(FRAMES) / 12.5)
    assert even(timed, body) is timed


def test_files_of_a_varying_rate():
    body = BodyModel().double()
    motion = turning()
    glb = files.to_glb(motion, body)
    (size,) = struct.unpack('<I', glb[12:16])
    content = json.loads(glb[20 : 20 + size])
    accessor = content['accessors'][content['animations'][0]['samplers'][0]['input']]
    start = content['bufferViews'][accessor['bufferView']]['byteOffset']
    keys = np.frombuffer(glb[28 + size :], '<f4', FRAMES, start)
    np.testing.assert_allclose(keys, TIMES - TIMES[0], atol=1e-6)
    lines = files.to_bvh(motion, body).splitlines()
    place = lines.index('MOTION')
    assert lines[place + 1] == 'Frames: 13' and float(lines[place + 2].split()[-1]) == 0.1
    # The root moves by a decimetre along every axis of the camera between two frames.
    roots = np.array([[float(word) for word in line.split()[:3]] for line in lines[place + 3 :]])
    np.testing.assert_allclose(np.diff(roots, axis=0), [[0.1, -0.1, -0.1]] * 12, atol=1e-5)
    for arrays in (files.to_amass(motion, body), files.to_amass_smplx(motion, body)):
        assert len(arrays['poses']) == len(arrays['trans']) == len(arrays['frame_ids']) == 13
        assert arrays['mocap_framerate'] == pytest.approx(10)
    rows = list(csv.DictReader(io.StringIO(files.to_csv(motion, body))))
    found = [float(row['seconds']) for row in rows[::24]]
    np.testing.assert_allclose(found, TIMES - TIMES[0], atol=1e-6)
    assert json.loads(files.to_json(motion, body))['seconds'] == pytest.approx(found)


def test_results_keep_times(tmp_path):
    prediction = Prediction(torch.eye(3).repeat(3, 24, 1, 1), torch.zeros(3, 10), torch.ones(3, 3))
    result = Result(
        name='person',
        before=prediction,
        after=prediction,
        boxes=np.full((3, 3), 100, np.float32),
        keypoints2d=np.zeros((3, 17, 3), np.float32),
        keypoints_source='gt',
        skeleton='coco17',
        frame_ids=('0', '1', '2'),
        image_size=(640, 480),
        fps=2.0,
        ms_per_frame=1.0,
        before_ms_per_frame=1.0,
        times=np.array([4.0, 4.1, 5.0]),
    )
    path = tmp_path / 'person.npz'
    result.save(path)
    np.testing.assert_array_equal(np.load(path)['times'], [4.0, 4.1, 5.0])
    loaded = Result.load(path)
    np.testing.assert_array_equal(loaded.times, result.times)
    placed = files.place_track(loaded, 'after', BodyModel(), files.Placing(smooth=0.0))
    np.testing.assert_allclose(placed.motion.times, [0, 0.1, 1.0], atol=1e-12)
    for wrong in (np.array([4.0, 4.0, 5.0]), np.zeros(2), np.array([0, np.nan, 1])):
        dataclasses.replace(result, times=wrong).save(path)
        with pytest.raises(InputError, match='times'):
            Result.load(path)
    dataclasses.replace(result, times=None).save(path)
    assert Result.load(path).times is None
