"""Pictures and a video with annotations in the layout of COCO."""

from __future__ import annotations

import json

import numpy as np

COCO = [
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
]


def points(seed=0, size=20, count=17, third=2):
    """A person of about `size` px, as a flat COCO list of numbers."""
    xy = np.random.default_rng(seed).uniform(0, size, (count, 2)).round(2)
    return np.column_stack([xy, np.full(count, third)]).ravel().tolist()


def put(path, content):
    path.write_text(json.dumps(content))
    return path


def coco(names=('f10.png', 'f2.png', 'f1.png'), size=(60, 40), **annotation):
    return {
        'images': [
            {'id': i, 'file_name': name, 'width': size[0], 'height': size[1]}
            for i, name in enumerate(names)
        ],
        'annotations': [
            {'id': 100 + i, 'image_id': i, 'keypoints': points(i), **annotation}
            for i in range(len(names))
        ],
        'categories': [{'id': 1, 'name': 'person', 'keypoints': COCO}],
    }


def grey(sequence):
    return [int(frame[0, 0, 0]) // 10 for frame in sequence.frames]
