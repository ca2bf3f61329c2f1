"""A sample of every layout of keypoint files, written from the facts of the format."""

import csv
import json

import numpy as np

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
