"""Pseudo ground truth of two detectors and keypoints, through the tool, on small drawn people and on photographs."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtk.apis.foreground import ForegroundSummary, make_foreground
from hrtk.datasets import CocoKeypointsDataset, OpenStream
from hrtk.datasets.transformed import Transformed
from hrtk.errors import InputError

ROOT = Path(__file__).parents[2]
STREAM = dict(type='OpenStream', domain='wild', sequences=2, frames=2, size=64, noise='clean')
PATTERN = '{name}/{index}.png'


@pytest.fixture
def detections(tmp_path, monkeypatch):
    """Two detectors of the stream's people: one sees 6 px further left, one 6 px further right, with probabilities."""
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path / 'cache'))
    for sequence in OpenStream(**{key: value for key, value in STREAM.items() if key != 'type'}):
        for t in range(len(sequence)):
            for name, shift, value in (('first', -6, 255), ('second', 6, 60)):
                write(
                    tmp_path / name / sequence.name / f'{t}.png',
                    np.roll(sequence.masks[t], shift, 1) * value,
                )
    return tmp_path


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(
        str(path), picture.astype(picture.dtype if picture.dtype == np.uint16 else np.uint8)
    )


def stream():
    return OpenStream(**{key: value for key, value in STREAM.items() if key != 'type'})


def tool(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['make_foreground.py', *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(ROOT / 'tools/make_foreground.py'), run_name='__main__')
    return exit.value.code


def test_tool_writes_what_mask_files_read(detections, monkeypatch, capsys):
    config = detections / 'stream.py'
    config.write_text(f'dataset = {STREAM!r}\n')
    arguments = [
        config,
        detections / 'first',
        detections / 'second',
        detections / 'out',
        '--pattern',
        PATTERN,
    ]
    assert tool(monkeypatch, *arguments) == 0
    assert '4 masks, 0 of them empty' in capsys.readouterr().out
    source = dict(type='MaskFiles', folder=str(detections / 'out'), pattern=PATTERN)
    for made, true in zip(Transformed(STREAM, [dict(type='WithMasks', source=source)]), stream()):
        for t in range(2):
            both = np.roll(true.masks[t], -6, 1) & np.roll(true.masks[t], 6, 1)
            seen = made.masks[t]
            assert (seen[both > 0] == 1).all()  # 60 of 255 is more than 0.2
            limbs = seen.astype(bool) & ~both.astype(bool)
            assert limbs.any() and (limbs & (true.masks[t] == 0)).sum() < 0.4 * limbs.sum()
            outside = cv2.dilate(true.masks[t], np.ones((9, 9), np.uint8)) == 0
            assert not (seen[outside & (both == 0)]).any()


def test_threshold_and_radius_decide(detections):
    def made(name, **options):
        make_foreground(
            stream(),
            detections / 'first',
            detections / 'second',
            detections / name,
            PATTERN,
            **options,
        )
        return np.concatenate(
            [
                [cv2.imread(str(detections / name / s.name / f'{t}.png'), 0) > 0 for t in range(2)]
                for s in stream()
            ]
        )

    plain, strict, thin, thick = (
        made('a'),
        made('b', threshold=0.25),
        made('c', radius=1e-3),
        made('d', radius=0.3),
    )
    assert (strict <= plain).all() and (thin <= plain).all() and (plain <= thick).all()
    assert strict.sum() < plain.sum() < thick.sum() and thin.sum() < plain.sum()


def test_limbs_alone(tmp_path):
    """A detector that saw nobody leaves the skeleton: capsules of 0.12 torso lengths and the torso."""
    points = {
        'nose': (40, 20),
        'left_shoulder': (50, 30),
        'right_shoulder': (30, 30),
        'left_hip': (50, 70),
        'right_hip': (30, 70),
        'left_knee': (50, 90),
    }
    order = (
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
    )
    flat = [
        number for name in order for number in ((*points[name], 2) if name in points else (0, 0, 0))
    ]
    for folder in ('frames', 'a', 'b'):
        write(tmp_path / folder / 'x.png', np.zeros((100, 80), np.uint8))
    (tmp_path / 'coco.json').write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='x.png', width=80, height=100)],
                categories=[dict(id=1, name='person')],
                annotations=[
                    dict(
                        id=1,
                        image_id=1,
                        category_id=1,
                        keypoints=flat,
                        num_keypoints=6,
                        bbox=[30, 20, 20, 70],
                    )
                ],
            )
        )
    )
    dataset = CocoKeypointsDataset(tmp_path / 'frames', tmp_path / 'coco.json')
    done = make_foreground(dataset, tmp_path / 'a', tmp_path / 'b', tmp_path / 'out')
    assert done == ForegroundSummary(frames=1, empty=0, agreed=0.0)
    mask = cv2.imread(str(tmp_path / 'out/x.png'), 0) > 0
    radius = 0.12 * 40
    assert mask[30:71, 30:51].all() and mask[85, 50] and not mask[85, 30] and not mask[20, 40]
    columns = np.flatnonzero(mask[50])
    assert columns.min() == np.ceil(30 - radius) and columns.max() == np.floor(50 + radius)
    assert np.flatnonzero(mask[:, 50]).max() == np.floor(90 + radius)


def test_masks_of_0_and_1_and_of_16_bits(detections):
    make_foreground(
        stream(), detections / 'first', detections / 'second', detections / 'out', PATTERN
    )
    for folder, change in (
        ('first', lambda p: p // 255),
        ('second', lambda p: p.astype(np.uint16) * 257),
    ):
        for path in (detections / folder).rglob('*.png'):
            write(path, change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    make_foreground(
        stream(), detections / 'first', detections / 'second', detections / 'again', PATTERN
    )
    for path in (detections / 'out').rglob('*.png'):
        other = detections / 'again' / path.relative_to(detections / 'out')
        assert path.read_bytes() == other.read_bytes()


def test_photographs(tmp_path):
    """Masks made by hand, grown for one detector: limbs add little outside of the person, thin ones less."""
    data = os.environ.get('HRTK_TEST_DATA')
    if not data:
        pytest.skip('HRTK_TEST_DATA names no folder with photographs')
    sequence = CocoKeypointsDataset(
        f'{data}/photos/yogait', f'{data}/annotations/yogait_coco.json'
    )[0]
    known = {
        path.stem: cv2.imread(str(path), 0)
        for path in sorted((Path(data) / 'photos/masks').glob('*.png'))
    }
    labels = [Path(name).stem for name in sequence.frame_ids]
    for t, label in enumerate(labels):
        true = known.get(label, np.zeros(sequence.frames[t].shape[:2], np.uint8))
        for folder, width in (('a', 7), ('b', 1)):
            write(
                tmp_path / folder / f'{label}.png',
                cv2.dilate((true > 0) * np.uint8(255), np.ones((width, width))),
            )
    for radius, least in ((0.12, 0.82), (0.06, 0.97)):  # 0.83 to 0.91, and 0.98 to 0.995
        make_foreground([sequence], tmp_path / 'a', tmp_path / 'b', tmp_path / 'out', radius=radius)
        for label in set(labels) & set(known):
            made, true = cv2.imread(str(tmp_path / f'out/{label}.png'), 0) > 0, known[label] > 0
            assert made[true].all() and true.sum() / made.sum() > least


@pytest.mark.parametrize(
    'break_it, part',
    [
        (
            lambda root: (root / 'second/wild_s0_001/1.png').unlink(),
            'second/wild_s0_001/1.png: there is no such mask',
        ),
        (
            lambda root: write(root / 'first/wild_s0_000/0.png', np.zeros((32, 64))),
            'wild_s0_000/0.png: a mask of 32x64',
        ),
        (lambda root: write(root / 'first/wild_s0_000/0.png', np.zeros((64, 64, 3))), '64x64x3'),
        (lambda root: (root / 'first/wild_s0_000/0.png').write_bytes(b'no'), 'cannot decode'),
    ],
)
def test_bad_detections(detections, break_it, part):
    break_it(detections)
    with pytest.raises(InputError, match=part):
        make_foreground(
            stream(), detections / 'first', detections / 'second', detections / 'out', PATTERN
        )


def test_bad_settings(detections, monkeypatch, capsys):
    first, second = detections / 'first', detections / 'second'
    with pytest.raises(InputError, match='probability'):
        make_foreground(stream(), first, second, detections / 'out', threshold=0)
    with pytest.raises(InputError, match='folder of a detector'):
        make_foreground(stream(), first, second, first, PATTERN)
    with pytest.raises(InputError, match='nowhere'):
        make_foreground(stream(), first, detections / 'nowhere', detections / 'out')
    for sequence in stream():
        for folder in (first, second):
            for t in range(2):
                write(folder / f'00000{t}.png', np.zeros((64, 64)))
    with pytest.raises(InputError, match='two frames.*wild_s0_001'):
        make_foreground(stream(), first, second, detections / 'out')
    with pytest.raises(InputError, match='holds no sequence'):
        make_foreground([], first, second, detections / 'out')
    faces = OpenStream(sequences=1, frames=2, size=64)[0]
    faces.keypoints2d.confidence[:, 5:] = 0
    with pytest.raises(InputError, match='shoulder and a hip'):
        make_foreground([faces], first, second, detections / 'out')
    config = detections / 'none.py'
    config.write_text('adapter = None\n')
    assert tool(monkeypatch, config, first, second, detections / 'out') == 2
    assert 'no `dataset`' in capsys.readouterr().err
