"""A sample of every layout, written from the facts of the format: every reader finds the same people in it.

The samples are written here by hand, not by a writer of hrtk. Two people stand in the frames 0, 1, 2 and 4 of a video
of six frames, the second one not in frame 1.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from keypoint_samples import (
    CASES,
    COUNT,
    FORMS,
    HEIGHT,
    LANDMARKS,
    NAMED,
    NAMES,
    NO_CONFIDENCE,
    NO_IDENTITY,
    PEOPLE,
    SAMPLES,
    WIDTH,
    deeplabcut,
    mmpose_demo,
    put,
    sports2d_trc,
    ultralytics_px,
    write_csv,
)

from hrtk.body_models.skeletons import joint_names
from hrtk.cli.commands.infer import add_arguments
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.keypoint_readers import READERS
from hrtk.datasets.own.named_points import joint_of
from hrtk.datasets.own.placing import place
from hrtk.errors import InputError


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'walk.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (WIDTH, HEIGHT))
    for _ in range(COUNT):
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize('program, sample', CASES, ids=[sample.__name__ for _, sample in CASES])
def test_sample(tmp_path, clip, program, sample):
    (reader,) = [reader for reader in READERS if reader.program == program]
    table, frames = place(read_keypoints(sample(tmp_path)), open_footage(clip))
    assert (table.skeleton, table.source) == ('coco17', reader.source)
    people = list(PEOPLE)
    order = sorted(
        range(len(frames)), key=lambda row: frames[row]
    )  # a trc holds one person after the other
    assert [frames[row] for row in order] == [t for t, _ in people]
    for row, key in zip(order, people):
        expected = PEOPLE[key].copy()
        if sample.__name__ in NO_CONFIDENCE:
            expected[:, 2] = 1
        np.testing.assert_allclose(table.points[row], expected, atol=2e-3)
    identities = [table.persons[row] for row in order]
    if sample.__name__ in NO_IDENTITY:
        assert identities == [None] * len(people)
    elif sample.__name__ in NAMED:
        assert identities == [i - 1 for _, i in people]
    else:
        assert identities == [i for _, i in people]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('with_frame', [True, False])
def test_mediapipe(tmp_path, clip, form, with_frame):
    frames = []
    for t in range(4):
        entry = FORMS[form](LANDMARKS.get(t, []))
        if with_frame:
            entry = (
                {'frame': t, **entry}
                if isinstance(entry, dict)
                else {'frame': t, 'landmarks': entry}
            )
        frames.append(entry)
    content = {'frames': frames} if with_frame else frames
    table, indices = place(read_keypoints(put(tmp_path / 'm.json', content)), open_footage(clip))
    assert (table.skeleton, table.source, indices) == ('blazepose33', 'mediapipe', [0, 1, 3])
    expected = [LANDMARKS[t][0][:, [0, 1, 3]] * (WIDTH, HEIGHT, 1) for t in (0, 1, 3)]
    np.testing.assert_allclose(table.points, expected, atol=1e-3)


def test_every_reader_has_a_sample():
    assert {reader.program for reader in READERS} == {*SAMPLES, 'MediaPipe'}


def test_labels_without_tracker_and_confidence(tmp_path, clip):
    points = PEOPLE[0, 1] / (WIDTH, HEIGHT, 1)
    line = ' '.join(f'{number:.8g}' for number in [0, 0.5, 0.5, 0.4, 0.6, *points.ravel()])
    for end, persons in (('', (None,)), (' 0.91', (None,)), (' 1', (None,)), (' 0.91 3', (3,))):
        file = put(tmp_path / 'walk_1.txt', line + end + '\n')
        table, frames = place(read_keypoints(file), open_footage(clip))
        assert (table.persons, frames) == (persons, [0])
        np.testing.assert_allclose(table.points[0], PEOPLE[0, 1], atol=2e-3)
    only_xy = ' '.join(
        f'{number:.8g}' for number in [0, 0.5, 0.5, 0.4, 0.6, *points[:, :2].ravel()]
    )
    table = read_keypoints(put(tmp_path / 'walk_1.txt', only_xy))
    assert (table.points[0, :, 2] == 1).all() and table.normalised
    with pytest.raises(
        InputError, match='lines have .*numbers; labels of a pose model have 56 to 58'
    ):
        read_keypoints(put(tmp_path / 'walk_1.txt', '0 0.5 0.5 0.4 0.6 0.1 0.2'))


def test_other_detections_are_counted(tmp_path, caplog):
    read_keypoints(ultralytics_px(tmp_path))
    assert '1 of 8 detections have no keypoints and are left out' in caplog.text


def test_body_parts_that_are_not_used_are_named(tmp_path, caplog):
    read_keypoints(deeplabcut(tmp_path))
    assert 'body parts that are not used: tail' in caplog.text
    assert "identities are names: 'ind1' is person 0, 'ind2' is person 1" in caplog.text


def test_animals_are_no_people(tmp_path):
    header = ['track', 'frame_idx', 'instance.score', 'nose.x', 'nose.y', 'tail.x', 'tail.y']
    file = write_csv(tmp_path / 'mouse.csv', [header, ['', 0, 0.9, 1, 2, 3, 4]])
    with pytest.raises(
        InputError, match=r'mouse\.csv: 1 of its points \(nose, tail\) .*at least 6'
    ):
        read_keypoints(file)


def test_labelled_images_of_deeplabcut(tmp_path):
    (tmp_path / 'images').mkdir()
    for name in ('img003.png', 'img007.png'):
        cv2.imwrite(str(tmp_path / 'images' / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    header = [[key, '', ''] for key in ('scorer', 'bodyparts', 'coords')]
    for part in NAMES:
        for coord in ('x', 'y'):
            for row, cell in zip(header, ('me', part, coord)):
                row.append(cell)
    rows = [
        ['labeled-data', 'walk', f'img{t:03d}.png', *PEOPLE[frame, 1][:, :2].ravel()]
        for t, frame in ((7, 1), (3, 0))
    ]
    rows[0][3:5] = ['', '']  # the nose was not labelled
    table = read_keypoints(write_csv(tmp_path / 'labels.csv', header + rows))
    table, frames = place(table, open_footage(tmp_path / 'images'))
    assert frames == [1, 0]
    np.testing.assert_allclose(table.points[0, 1:, :2], PEOPLE[1, 1][1:, :2], atol=1e-4)
    assert table.points[0, 0].tolist() == [0, 0, 0] and (table.points[1, :, 2] == 1).all()


def test_points_in_metres_are_no_keypoints(tmp_path):
    file = next(sports2d_trc(tmp_path).glob('*01.trc'))
    metres = file.rename(file.with_name('walk_m_person01.trc'))
    with pytest.raises(InputError, match='3D points in m, not 2D points in px.*Pose2SimProject'):
        read_keypoints(metres)


def test_predictions_in_3d_are_no_keypoints(tmp_path):
    points = np.ones((17, 3)).tolist()
    frame = {'frame_id': 0, 'instances': [{'keypoints': points, 'keypoint_scores': [1] * 17}]}
    with pytest.raises(InputError, match='has points in 3D'):
        read_keypoints(put(tmp_path / 'a.json', [frame]))


def test_animals_of_mmpose_are_refused(tmp_path):
    file = mmpose_demo(tmp_path)
    content = json.loads(file.read_text())
    content['meta_info']['keypoint_id2name']['0'] = 'L_Eye'
    with pytest.raises(InputError, match='keypoint_id2name lists the joints L_Eye.*skeleton='):
        read_keypoints(put(file, content))


@pytest.mark.parametrize(
    'name, content, found',
    [
        ('a.json', {'shapes': []}, r"the keys \['shapes'\]"),
        ('a.json', [[1, 2], [3]], 'a list of lists, the first of which holds 2 entries'),
        ('a.json', [{'bbox': []}], r"a list of objects with the keys \['bbox'\]"),
        ('a.csv', 'time,x,y\n0,1,2\n', r"a csv that begins with \[\['time', 'x', 'y'\]"),
        ('a.txt', 'some words\n', r"lines like \['some words'\]"),
    ],
)
def test_unknown_layouts_name_the_known_ones(tmp_path, name, content, found):
    with pytest.raises(InputError, match=f'unknown layout, it holds {found}') as error:
        read_keypoints(put(tmp_path / name, content))
    assert all(reader.program in str(error.value) for reader in READERS)


@pytest.mark.parametrize(
    'name, joint',
    [
        ('left_shoulder', 'left_shoulder'),
        ('LShoulder', 'left_shoulder'),
        ('l shoulder', 'left_shoulder'),
        ('shoulder_l', 'left_shoulder'),
        ('Shoulder.Left', 'left_shoulder'),
        ('RElb', 'right_elbow'),
        ('rightHip', 'right_hip_lsp'),
        ('right_hip_lsp', 'right_hip_lsp'),
        ('REar', 'right_ear'),
        ('Nose', 'nose'),
        ('rear', ''),
        ('Hip', ''),
        ('left_big_toe', ''),
        ('knee', ''),
    ],
)
def test_names_of_body_parts(name, joint):
    assert joint_of(name) == joint and (not joint or joint in joint_names('coco17'))


def test_the_help_names_the_programs():
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ' '.join(parser.format_help().split())
    assert all(reader.program in words for reader in READERS)
    arguments = parser.parse_args(['clip.mp4', '--keypoints', 'a.json', '--first-frame', '1'])
    assert arguments.first_frame == 1


def test_the_page_has_the_table():
    page = (Path(__file__).parents[2] / 'docs/en/keypoint_files.md').read_text()
    rows = [line for line in page.splitlines() if line.startswith('| ')]
    expected = [
        f'| {r.program} | {r.recognised} | {r.frame} | {r.person} | {r.skeleton} | `{r.source}` |'
        for r in READERS
    ]
    assert rows[2:] == expected  # below the heads
