"""VideoDataset: who is who, by the file, by places and by colours."""

import json
import logging

import cv2
import numpy as np
import pytest
from video_parts import identified, keypoints, person

from hrtk.datasets.own.video import VideoDataset
from hrtk.errors import InputError
from hrtk.registry import DATASETS


def test_identities_of_the_file_count(numbered_clip, tmp_path):
    entries = [
        dict(
            image_id=f'{t}.jpg',
            idx=4 if t < 8 else 9,
            score=1,
            keypoints=np.column_stack(person(0)).ravel().tolist(),
        )
        for t in [*range(16), *range(30, 36)]
    ]
    (tmp_path / 'kp.json').write_text(json.dumps(entries))
    dataset = VideoDataset(numbered_clip, tmp_path / 'kp.json')
    assert [(s.name, s.frame_ids[0], len(s)) for s in dataset] == [
        ('clip_person4', '000000', 8),
        ('clip_person9', '000008', 8),
        ('clip_person9_part2', '000030', 6),
    ]
    assert dataset[0].keypoints2d.source == 'alphapose'


def crossing_people(t):
    """Two people of 17 points; the detector lists them now in this order, now in that."""
    people = [np.column_stack(person(3 * t)), np.column_stack(person(100, scale=0.9))]
    return people[:: -1 if t % 2 else 1]


@pytest.mark.parametrize('everybody', [0, [0.0], [[0.0]]])
@pytest.mark.parametrize('layout', ['alphapose', 'coco', 'openpose', 'rtmlib', 'npz'])
def test_one_identity_for_everybody_is_none(numbered_clip, tmp_path, caplog, layout, everybody):
    """AlphaPose without tracking writes "idx": [0.0] for every person."""
    path = tmp_path / 'kp.json'
    rows = [(t, points) for t in range(10) for points in crossing_people(t)]
    flat = [points.ravel().tolist() for _, points in rows]
    if layout == 'alphapose':
        entries = [
            dict(image_id=f'{t}.jpg', idx=everybody, score=1, keypoints=values)
            for (t, _), values in zip(rows, flat)
        ]
        path.write_text(json.dumps(entries))
    elif layout == 'coco':
        images = [dict(id=t, file_name=f'{t}.jpg') for t in range(10)]
        people = [
            dict(image_id=t, track_id=everybody, keypoints=values)
            for (t, _), values in zip(rows, flat)
        ]
        path.write_text(json.dumps(dict(images=images, annotations=people)))
    elif layout == 'openpose':
        path = tmp_path / 'op'
        path.mkdir()
        for t in range(10):
            people = [
                dict(person_id=everybody, pose_keypoints_2d=points.ravel().tolist())
                for points in crossing_people(t)
            ]
            (path / f'clip_{t:012d}_keypoints.json').write_text(json.dumps(dict(people=people)))
    elif layout == 'rtmlib':
        entries = []
        for t in range(10):
            pair = np.array(crossing_people(t))
            entries.append(
                dict(
                    keypoints=pair[..., :2].tolist(),
                    scores=pair[..., 2].tolist(),
                    persons=[everybody] * 2,
                )
            )
        path.write_text(json.dumps(entries))
    else:
        points = np.array([points for _, points in rows])
        path = tmp_path / 'kp.npz'
        np.savez(
            path,
            keypoints=points[..., :2],
            scores=points[..., 2],
            frame=np.array([t for t, _ in rows]),
            person=np.zeros(len(rows), int),
        )
    with caplog.at_level(logging.WARNING):
        dataset = VideoDataset(numbered_clip, path, smooth=False)
    assert [(s.name, len(s)) for s in dataset] == [('clip_person0', 10), ('clip_person1', 10)]
    moved = [float(s.keypoints2d.xy[9, 0, 0] - s.keypoints2d.xy[0, 0, 0]) for s in dataset]
    np.testing.assert_allclose(moved, [27, 0], atol=0.02)
    assert 'a frame holds identity 0 in clip twice; 1 clips are tracked' in caplog.text


def test_annotated_people(numbered_clip, tmp_path, caplog):
    frames = {t: {4: 0.0, 7: 50.0, None: 90.0} for t in (0, 1, 2, 3, 4, 30)}
    file = identified(tmp_path / 'kp.json', frames)
    with caplog.at_level(logging.WARNING):
        annotated = VideoDataset(numbered_clip, file, people='annotated')
    assert annotated.names() == ['clip_person4', 'clip_person7'] and len(annotated[0]) == 5
    assert 'left out 6 of 18 people without an identity' in caplog.text
    # One person without an identity is enough for everybody to be tracked.
    assert VideoDataset(numbered_clip, file).names() == [
        'clip_person0',
        'clip_person1',
        'clip_person2',
    ]
    without = keypoints(
        tmp_path / 'no.json', {t: [person(0), person(50, scale=1.2)] for t in range(6)}
    )
    (largest,) = VideoDataset(numbered_clip, without, people='annotated', smooth=False)
    assert largest.name == 'clip' and len(largest) == 6
    np.testing.assert_allclose(largest.keypoints2d.xy[0], person(50, scale=1.2)[0], rtol=1e-6)


def test_unknown_choice_of_people(numbered_clip, tmp_path):
    file = keypoints(tmp_path / 'kp.json', {0: [person(0)]})
    config = dict(
        type='VideoDataset', images=str(numbered_clip), keypoints=str(file), people='everybody'
    )
    with pytest.raises(InputError, match="people is one of 'tracked', 'annotated'"):
        DATASETS.build(config)


def meeting(folder, colours):
    """Two people of one size who meet and turn back, in two colours; 30 frames without identities."""
    path = folder / 'kp.json'
    (folder / 'frames').mkdir()
    entries = {}
    for t in range(30):
        away = 3.0 * abs(t - 15)
        image = np.full((120, 220, 3), 128, np.uint8)
        for x, colour in zip((90 - away, 90 + away), colours):
            image[15:105, int(x) - 5 : int(x) + 35] = colour
        cv2.imwrite(str(folder / f'frames/{t:02d}.png'), image)
        both = [person(90 - away), person(90 + away)]
        entries[f'{t:02d}.png'] = [] if abs(t - 15) < 4 else both[:: -1 if t % 2 else 1]
    return keypoints(path, entries)


@pytest.mark.parametrize('colours', [(20, 230), (230, 20), (120, 120)])
def test_people_who_turn_back_are_known_by_their_colours(tmp_path, colours):
    file = meeting(tmp_path, colours)
    tracks = VideoDataset(tmp_path / 'frames', file, fps=15, smooth=False).tracks
    sides = [np.sign(track.boxes[[0, -1], 0] - 105).tolist() for track in tracks]
    alike = colours[0] == colours[1]
    assert len(tracks) == 2 and (alike or sides[0][0] == sides[0][1] != sides[1][0])
    for track in tracks:
        uncertain = np.isfinite(track.identity_margin)
        assert uncertain[15] and not uncertain[[0, 1, 2, 27, 28, 29]].any()
    blind = VideoDataset(tmp_path / 'frames', file, fps=15, smooth=False, colours=False).tracks
    # Motion alone says that they passed each other.
    assert sorted(np.sign(track.boxes[[0, -1], 0] - 105).tolist() for track in blind) == [
        [-1, 1],
        [1, -1],
    ]
