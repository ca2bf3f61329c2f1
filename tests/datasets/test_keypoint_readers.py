"""A sample of every layout, written from the facts of the format: every reader finds the same people in it.

The samples are written here by hand, not by a writer of hrtk. Two people stand in the frames 0, 1, 2 and 4 of a video
of six frames, the second one not in frame 1.
"""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtk.body_models.skeletons import joint_names
from hrtk.cli.commands.infer import add_arguments
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.keypoint_readers import READERS
from hrtk.datasets.own.named_points import joint_of
from hrtk.datasets.own.placing import place
from hrtk.errors import InputError

WIDTH, HEIGHT, COUNT = 640, 480, 6
RNG = np.random.default_rng(8)
# {(frame, identity): (17, 3)} of COCO's points.
PEOPLE = {}
for key in ((0, 1), (0, 2), (1, 1), (2, 1), (2, 2), (4, 1), (4, 2)):
    xy = RNG.uniform(20, 460, (17, 2)).round(2)
    PEOPLE[key] = np.column_stack([xy, RNG.uniform(0.2, 0.99, 17).round(3)])
NAMES = [
    *('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder'),
    *('left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip'),
    *('left_knee', 'right_knee', 'left_ankle', 'right_ankle'),
]


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'walk.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (WIDTH, HEIGHT))
    for _ in range(COUNT):
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    return path


def put(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def of_frame(frame):
    """``{identity: points}``."""
    return {identity: points for (f, identity), points in PEOPLE.items() if f == frame}


def instance(points):
    return {
        'keypoints': points[:, :2].tolist(),
        'keypoint_scores': points[:, 2].tolist(),
        'bbox': [[1.0, 2.0, 3.0, 4.0]],
        'bbox_score': 0.9,
    }


def coco(folder):
    images = [{'id': t + 5, 'file_name': f'f_{t:04d}.jpg'} for t in range(COUNT)]
    annotations = [
        {'image_id': t + 5, 'keypoints': points.ravel().tolist(), 'track_id': identity}
        for (t, identity), points in PEOPLE.items()
    ]
    return put(folder / 'coco.json', {'images': images, 'annotations': annotations})


def openpose(folder):
    for t in range(COUNT):
        people = [
            {'person_id': [identity], 'pose_keypoints_2d': points.ravel().tolist()}
            for identity, points in of_frame(t).items()
        ]
        put(folder / 'out' / f'walk_{t:012d}_keypoints.json', {'people': people})
    return folder / 'out'


def mmpose_demo(folder):
    frames = [
        {'frame_id': t + 1, 'instances': [instance(p) for p in of_frame(t).values()]}
        for t in range(COUNT)
    ]
    meta = {'dataset_name': 'coco', 'keypoint_id2name': dict(enumerate(NAMES))}
    return put(folder / 'results_walk.json', {'meta_info': meta, 'instance_info': frames})


def mmpose_inferencer(folder):
    frames = [
        {'frame_id': t, 'instances': [instance(p) for p in of_frame(t).values()]}
        for t in range(COUNT)
    ]
    return put(folder / 'walk.json', frames)


def detection(identity, points, scale):
    return {
        'name': 'person',
        'class': 0,
        'confidence': 0.88,
        'box': {
            'x1': 10 / scale[0],
            'y1': 5 / scale[1],
            'x2': 620 / scale[0],
            'y2': 460 / scale[1],
        },
        'track_id': identity,
        'keypoints': {
            'x': (points[:, 0] / scale[0]).tolist(),
            'y': (points[:, 1] / scale[1]).tolist(),
            'visible': points[:, 2].tolist(),
        },
    }


def ultralytics_px(folder, scale=(1.0, 1.0)):
    dog = {
        'name': 'dog',
        'class': 16,
        'confidence': 0.5,
        'box': {'x1': 0, 'y1': 0, 'x2': 1, 'y2': 1},
    }
    frames = [[detection(*person, scale) for person in of_frame(t).items()] for t in range(COUNT)]
    frames[1].append(dog)
    return put(folder / 'ultralytics.json', frames)


def ultralytics_normalised(folder):
    return ultralytics_px(folder, (WIDTH, HEIGHT))


def ultralytics_labels(folder):
    """A file for every frame with people, numbered from 1; save_conf and a tracker."""
    for t in range(COUNT):
        lines = []
        for identity, points in of_frame(t).items():
            fractions = points / (WIDTH, HEIGHT, 1)
            numbers = [0, 0.5, 0.5, 0.4, 0.6, *fractions.ravel(), 0.875, identity]
            lines.append(' '.join(f'{number:.8g}' for number in numbers))
        if lines:
            put(folder / 'labels' / f'walk_{t + 1}.txt', '\n'.join(lines) + '\n')
    return folder / 'labels'


def easy_vitpose(folder):
    frames = [
        {str(i): points[:, [1, 0, 2]].tolist() for i, points in of_frame(t).items()}
        for t in range(COUNT)
    ]
    skeleton = {str(i): name for i, name in enumerate(NAMES)}
    return put(folder / 'walk_result.json', {'keypoints': frames, 'skeleton': skeleton})


def easy_vitpose_in_another_order(folder):
    file = easy_vitpose(folder)
    content = json.loads(file.read_text())
    content['skeleton'] = {str(i): name for i, name in enumerate([*NAMES[::-1], 'neck'])}
    for people in content['keypoints']:
        for key in people:
            people[key] = [*people[key][::-1], [1.0, 2.0, 0.5]]
    return put(file, content)


def vitpose_transformers(folder):
    frames = []
    for t in range(COUNT):
        people = []
        for points in of_frame(t).values():
            scores = points[:, 2].tolist()
            people.append(
                {'keypoints': points[:, :2].tolist(), 'scores': scores, 'bbox': [1, 2, 3, 4]}
            )
        frames.append(people)
    return put(folder / 'vitpose.json', frames)


def rtmlib(folder):
    frames = []
    for t in range(COUNT):
        points = list(of_frame(t).values())
        frames.append(
            {
                'keypoints': [p[:, :2].tolist() for p in points],
                'scores': [p[:, 2].tolist() for p in points],
                'persons': list(of_frame(t)),
            }
        )
    return put(folder / 'rtmlib.json', frames)


def coco_results(folder):
    entries = [
        {
            'image_id': t,
            'category_id': 1,
            'score': 0.9,
            'track_id': i,
            'keypoints': p.ravel().tolist(),
        }
        for (t, i), p in PEOPLE.items()
    ]
    return put(folder / 'results.json', entries)


def alphapose(folder):
    entries = [
        {'image_id': f'{t}.jpg', 'score': 2.9, 'idx': [[float(i)]], 'keypoints': p.ravel().tolist()}
        for (t, i), p in PEOPLE.items()
    ]
    return put(folder / 'alphapose-results.json', entries)


def arrays(folder):
    frame, person = np.array(list(PEOPLE)).T
    points = np.array(list(PEOPLE.values()))
    np.savez(
        folder / 'kp.npz',
        keypoints=points[..., :2],
        scores=points[..., 2],
        frame=frame,
        person=person,
    )
    return folder / 'kp.npz'


def write_csv(path, rows):
    with open(path, 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    return path


def deeplabcut(folder):
    """Several individuals, whose names end in 1 and 2 as in DeepLabCut's projects; an additional part, the tail."""
    parts = [name.replace('_', '') for name in NAMES] + ['tail']
    header = [[key] for key in ('scorer', 'individuals', 'bodyparts', 'coords')]
    for identity in (1, 2):
        for part in parts:
            for coord in ('x', 'y', 'likelihood'):
                for row, cell in zip(header, ('DLC_resnet50', f'ind{identity}', part, coord)):
                    row.append(cell)
    rows = []
    for t in range(COUNT):
        cells = [t]
        for identity in (1, 2):
            points = of_frame(t).get(identity)
            known = [''] * 51 if points is None else points.ravel().tolist()
            cells += [*known, 7, 8, 0.5]
        rows.append(cells)
    return write_csv(folder / 'walkDLC.csv', header + rows)


def sleap(folder):
    names = [
        f'{name.split("_")[-1]}.{name[0].upper()}' if '_' in name else 'Nose' for name in NAMES
    ]
    header = ['track', 'frame_idx', 'instance.score']
    header += [f'{name}.{field}' for name in names for field in ('x', 'y', 'score')]
    rows = [[f'track_{i}', t, 0.9, *p.ravel()] for (t, i), p in PEOPLE.items()]
    return write_csv(folder / 'walk.analysis.csv', [header, *rows])


def sports2d_trc(folder):
    """Sports2D's names, y down, the unit m although the points are in px, and empty cells for missing people."""
    (folder / 'sports2d').mkdir()
    names = [name.title().replace('Left_', 'L').replace('Right_', 'R') for name in NAMES]
    for identity in (1, 2):
        lines = [
            'PathFileType\t4\t(X/Y/Z)\twalk.trc',
            'DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames',
            f'10\t10\t{COUNT}\t{len(names)}\tm\t10\t0\t{COUNT}',
            'Frame#\tTime\t' + '\t\t\t'.join(names) + '\t\t\t',
            '\t\t' + '\t'.join(f'X{i}\tY{i}\tZ{i}' for i in range(1, len(names) + 1)),
        ]
        for t in range(COUNT):
            points = of_frame(t).get(identity)
            cells = [''] * 51
            if points is not None:
                cells = [f'{v:.4f}' for v in (points * (1, 1, 0)).ravel()]
            lines.append('\t'.join([str(t + 1), f'{t / 10:.6f}', *cells]))
        put(folder / 'sports2d' / f'walk_px_person{identity:02d}.trc', '\n'.join(lines) + '\n')
    return folder / 'sports2d'


NO_IDENTITY = ('mmpose_demo', 'mmpose_inferencer', 'vitpose_transformers')
NO_CONFIDENCE = ('sports2d_trc',)
NAMED = ('deeplabcut', 'sleap')  # identities are names, numbered from 0
SAMPLES = {
    'COCO annotations': [coco],
    'OpenPose, Pose2Sim, Sports2D': [openpose],
    'MMPose 1.x': [mmpose_demo, mmpose_inferencer],
    'Ultralytics json': [ultralytics_px, ultralytics_normalised],
    'Ultralytics labels': [ultralytics_labels],
    'easy_ViTPose': [easy_vitpose, easy_vitpose_in_another_order],
    'ViTPose of Transformers': [vitpose_transformers],
    'rtmlib, hrtk': [rtmlib],
    'COCO results': [coco_results],
    'AlphaPose': [alphapose],
    'Sports2D trc': [sports2d_trc],
    'DeepLabCut csv': [deeplabcut],
    'SLEAP csv': [sleap],
    'arrays of any program': [arrays],
}
CASES = [(program, sample) for program, samples in SAMPLES.items() for sample in samples]


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


FORMS = {
    'objects': lambda people: [landmarks(p) for p in people],
    'one person': lambda people: landmarks(people[0]) if people else None,
    'lists': lambda people: [[list(v.values()) for v in landmarks(p)] for p in people],
    'old solution': lambda people: {'landmark': landmarks(people[0])} if people else None,
    'result': lambda people: {'pose_landmarks': [landmarks(p) for p in people]},
}
LANDMARKS = {t: [RNG.uniform(0, 1, (33, 4)).round(5)] for t in (0, 1, 3)}


def landmarks(points):
    return [dict(zip(('x', 'y', 'z', 'visibility'), point)) for point in points.tolist()]


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
