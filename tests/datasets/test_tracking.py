"""Following people: similarities against COCO's own code, crossing people, gaps, and the filters of the boxes."""

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params
from scipy.ndimage import convolve1d

from hrtk.body_models.person_similarity import iou, oks, oks_sigmas, similarity
from hrtk.datasets.own.identities import identify
from hrtk.datasets.own.tracking import interpolate, smooth_boxes
from hrtk.geometry.boxes import boxes_from_keypoints

BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (60, 160)


def person(x, y=0.0, scale=1.0, noise=0.0, seed=0):
    """17 COCO points of one body shape at a place."""
    xy = BODY * scale + (x, y) + np.random.default_rng(seed).normal(0, 1, (17, 2)) * noise
    return np.column_stack([xy, np.ones(17)]).astype(np.float32)


def boxes_of(points):
    return boxes_from_keypoints(
        torch.from_numpy(points[..., :2]), torch.from_numpy(points[..., 2])
    ).numpy()


def followed(people, **options):
    """Identities of people given as (frame, points)."""
    frames, points = np.array([f for f, _ in people]), np.stack([p for _, p in people])
    return identify(frames, points, boxes_of(points), 'coco17', **options).of_rows.tolist()


def test_sigmas_are_those_of_coco():
    np.testing.assert_allclose(oks_sigmas('coco17'), Params('keypoints').kpt_oks_sigmas)
    assert oks_sigmas('openpose25')[[0, 3, 8, 21]].tolist() == [
        0.026,
        0.072,
        0.089,
        0.089,
    ]  # nose, elbow, pelvis, heel


def test_oks_is_that_of_coco():
    first = np.stack([person(0), person(30, 10)])
    first[1, 5:9, 2] = 0
    second = np.stack([person(4, 3, noise=6, seed=1), person(40, 0, noise=4, seed=2), person(500)])
    area = np.array([9000.0, 5000.0])
    truth, found = COCO(), COCO()
    truth.dataset = {
        'images': [{'id': 1}],
        'categories': [{'id': 1}],
        'annotations': [
            {
                'id': i + 1,
                'image_id': 1,
                'category_id': 1,
                'keypoints': (p * (1, 1, 2)).ravel().tolist(),
                'area': a,
                'bbox': [0, 0, 1, 1],
                'iscrowd': 0,
                'num_keypoints': int(p[:, 2].sum()),
            }
            for i, (p, a) in enumerate(zip(first, area))
        ],
    }
    found.dataset = {
        'images': [{'id': 1}],
        'categories': [{'id': 1}],
        'annotations': [
            {
                'id': i + 1,
                'image_id': 1,
                'category_id': 1,
                'keypoints': p.ravel().tolist(),
                'area': 1,
                'score': 3 - i,
            }
            for i, p in enumerate(second)
        ],
    }
    truth.createIndex(), found.createIndex()
    judge = COCOeval(truth, found, 'keypoints')
    judge._prepare()
    expected = judge.computeOks(1, 1)
    np.testing.assert_allclose(
        oks(first, second, area, oks_sigmas('coco17')).T, expected, rtol=1e-5
    )
    assert expected[0, 0] > 0.3 > 1e-3 > expected[2, 0]


def test_iou_by_counting_pixels():
    a, b = np.array([[20.0, 20, 20], [50, 50, 10]]), np.array([[25.0, 15, 20], [50, 52, 30]])
    grid = np.stack(np.meshgrid(np.arange(0.5, 100), np.arange(0.5, 100)), -1)
    masks = [[(np.abs(grid - box[:2]) < box[2] / 2).all(-1) for box in boxes] for boxes in (a, b)]
    expected = [[(x & y).sum() / (x | y).sum() for y in masks[1]] for x in masks[0]]
    np.testing.assert_allclose(iou(a, b), expected)


def test_people_without_a_common_point_are_compared_by_their_boxes():
    a, b = person(0)[None], person(5)[None]
    a[:, 8:, 2] = 0
    b[:, :8, 2] = 0
    boxes = np.array([[30.0, 80, 180]])
    assert similarity(a, boxes, b, boxes, oks_sigmas('coco17'))[0, 0] == 1


def test_two_people_who_cross():
    # At frame 10 they overlap almost wholly; they are listed in changing order.
    people, truth = [], []
    for t in range(21):
        both = [(0, person(100 + 10 * t)), (1, person(300 - 10 * t, 40, 0.8, noise=1, seed=t))]
        for who, points in both[::-1] if t % 3 else both:
            people.append((t, points))
            truth.append(who)
    assert followed(people) == truth


def test_gap_up_to_the_limit_is_one_person():
    people = [(t, person(t)) for t in (0, 1, 2, 7, 8)]  # 3 to 6 are missing
    assert followed(people, max_gap=4) == [0] * 5
    assert followed(people, max_gap=3) == [0, 0, 0, 1, 1]


def test_somebody_new_is_nobody_old():
    assert followed([(0, person(0)), (1, person(400)), (2, person(1))]) == [0, 1, 0]
    assert followed([(0, person(0)), (1, person(40))], min_similarity=0.9) == [0, 1]


def test_larger_people_are_numbered_first_and_order_does_not_matter():
    people = [(1, person(300)), (0, person(0)), (0, person(300, scale=2)), (1, person(0))]
    assert followed(people) == [0, 1, 0, 1]


def test_interpolation_is_linear():
    values = np.array([[0.0, 10], [6, 16], [6, 17]])
    assert interpolate(np.array([2, 5, 6]), values, np.arange(2, 7)).tolist() == [
        [0, 10],
        [2, 12],
        [4, 14],
        [6, 16],
        [6, 17],
    ]


@pytest.mark.parametrize(
    'fps, window, sigma', [(30, 11, 8.0), (12, 5, 3.2), (60, 21, 16.0), (2, 1, 8 / 15)]
)
def test_filters_of_boxes(fps, window, sigma):
    boxes = np.random.default_rng(0).normal(size=(60, 3)).cumsum(0) + 200
    half, reach = window // 2, int(4 * sigma + 0.5)
    padded = np.pad(boxes, ((half, half), (0, 0)), 'edge')
    calm = np.stack([np.median(padded[t : t + window], axis=0) for t in range(60)])
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * sigma**2))
    expected = convolve1d(calm, kernel / kernel.sum(), axis=0, mode='nearest')
    np.testing.assert_allclose(smooth_boxes(boxes, fps), expected, rtol=1e-9)


def test_one_wrong_box_is_dropped():
    boxes = np.tile([100.0, 50, 80], (40, 1))
    boxes[20] = (600, 500, 300)
    np.testing.assert_allclose(smooth_boxes(boxes, 30), np.tile([100.0, 50, 80], (40, 1)))
