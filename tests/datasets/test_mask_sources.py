"""Masks against drawn and hand-made ones, and every bad mask with its name."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

from hrtk.datasets import CocoKeypointsDataset
from hrtk.datasets.frames import ArrayFrames
from hrtk.datasets.mask_sources import BackgroundSubtraction
from hrtk.datasets.mask_sources.cleaning import (
    clean_mask,
    components_of_box,
    difference,
    hysteresis_threshold,
)
from hrtk.datasets.mask_sources.plate import clean_plate, integrate_gradients, same_view
from hrtk.errors import InputError
from hrtk.registry import MASK_SOURCES
from hrtk.silhouettes.masks import check_mask
from hrtk.structures import Keypoints2D, Sequence

SIZE = (120, 160)


def room(seed=0):
    """A wall with a gradient, a floor and a table: something like a room, (H, W, 3) uint8."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    wall = np.stack([200 - rows * 0.5, 170 - rows * 0.7 + columns * 0.1, 120 - rows * 0.6], axis=-1)
    wall[90:] = [40, 44, 60]
    wall[60:64, 5:40] = 230
    wall[64:100, 20:24] = 220
    wall[20:40, 140:155] = [60, 160, 60]
    return np.clip(wall + np.random.default_rng(seed).normal(0, 1.5, wall.shape), 0, 255).astype(
        np.uint8
    )


def person(x, y=60, arm=0):
    """A disc, a trunk and two legs around (x, y): (H, W) bool."""
    mask = np.zeros(SIZE, np.uint8)
    cv2.circle(mask, (x, y - 30), 8, 1, -1)
    cv2.rectangle(mask, (x - 9, y - 22), (x + 9, y + 10), 1, -1)
    cv2.rectangle(mask, (x - 9, y + 10), (x - 3, y + 45), 1, -1)
    cv2.rectangle(mask, (x + 3, y + 10), (x + 9, y + 45), 1, -1)
    cv2.line(mask, (x + 9, y - 18), (x + 28, y - 18 + arm), 1, 5)
    return mask > 0


def paint(picture, mask):
    picture = picture.copy()
    rows = np.nonzero(mask)[0]
    picture[mask] = np.where((rows < 62)[:, None], [[250, 60, 200]], [[20, 20, 120]])
    return picture


def sequence(pictures, boxes, name='walk'):
    count = len(pictures)
    points = Keypoints2D(torch.zeros(count, 17, 2), torch.zeros(count, 17), 'coco17', 'none')
    return Sequence(
        name, ArrayFrames(np.stack(pictures)), torch.tensor(boxes, dtype=torch.float32), points
    )


def walk(xs):
    """Pictures of one static camera, the true masks and the boxes."""
    masks = [person(x, arm=a) for x, a in zip(xs, (-18, 14, 4, 16, -10, 9, -14, 12) * 10)]
    pictures = [paint(room(seed), mask) for seed, mask in enumerate(masks)]
    return pictures, masks, [[x, 62.0, 100.0] for x in xs]


def overlap(found, true):
    return (found & true).sum() / (found | true).sum()


@pytest.mark.parametrize(
    'method, xs, least',
    [
        ('median', (40, 60, 80, 100, 120), 0.97),
        ('median', (60, 68, 72, 64, 80), 0.9),  # mostly in one place
        ('mog2', range(30, 126, 6), 0.85),
        ('knn', range(30, 126, 4), 0.75),
    ],
)
def test_background_subtraction_finds_a_drawn_person(method, xs, least):
    pictures, masks, boxes = walk(xs)
    given = sequence(pictures, boxes)
    found = MASK_SOURCES.build(dict(type='BackgroundSubtraction', method=method)).attach(given)
    assert (
        found.masks_source == f'background:{method}'
        and given.masks is None
        and len(found.masks) == len(masks)
    )
    scores = []
    for t, mask in enumerate(masks):
        ours = found.masks[t]
        assert ours.dtype == np.uint8 and ours.shape == SIZE and ours.max() == 1
        assert check_mask(ours, SIZE, 'ours', np.array(boxes[t])) is None
        scores.append(overlap(ours > 0, mask))
    assert np.mean(scores) > least


def test_plain_median_would_not_do():
    pictures, masks, _ = walk((60, 68, 72, 64, 80))
    plate = np.median(pictures, axis=0)
    raw = [np.abs(picture - plate).max(2) > 16 for picture in pictures]
    assert np.mean([overlap(a, b) for a, b in zip(raw, masks)]) < 0.6
    ours = clean_plate(np.stack(pictures)).astype(float)
    covered = np.all(masks, axis=0)
    assert (
        np.abs(ours - room())[~covered].mean() < 3 and np.abs(plate - room())[~covered].mean() > 4
    )


def test_frames_of_a_moving_or_another_camera_have_empty_masks(caplog):
    pictures, masks, boxes = walk((40, 60, 80, 100, 120))
    moved = [np.roll(pictures[0], 9, 1), np.roll(pictures[0], 5, 0)]
    found = BackgroundSubtraction().attach(
        sequence(pictures + moved, boxes + [[49.0, 62, 100], [40.0, 67, 100]])
    )
    areas = [int(found.masks[t].sum()) for t in range(7)]
    assert min(areas[:5]) > 500 and areas[5:] == [0, 0]
    assert '2 of 7 sampled frames' in caplog.text
    assert check_mask(found.masks[6], SIZE, 'moved') == 'empty'


def test_a_box_that_is_not_finite_has_an_empty_mask():
    pictures, _, boxes = walk((40, 60, 80, 100, 120))
    found = BackgroundSubtraction().attach(sequence(pictures, boxes[:-1] + [[float('nan')] * 3]))
    assert found.masks[4].sum() == 0 and found.masks[0].sum() > 500


def test_masks_are_made_once_and_copied():
    pictures, _, boxes = walk((40, 60, 80, 100, 120))
    given, source, reads = sequence(pictures, boxes), BackgroundSubtraction(), []

    class Counted(ArrayFrames):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    given = Sequence(given.name, Counted(given.frames.array), given.boxes, given.keypoints2d)
    masks = source.attach(given).masks
    assert reads == []
    first = masks[-1]
    kept, count = first.copy(), len(reads)
    first[:] = 7
    np.testing.assert_array_equal(source.attach(given).masks[4], kept)
    assert len(reads) == count
    with pytest.raises(IndexError):
        masks[5]


@pytest.mark.parametrize('dx', [1, 2, 4])
def test_a_shift_of_pixels_is_another_view(dx):
    scene, boxes = room(), np.array([[80.0, 60, 60]] * 2)
    assert same_view(scene, room(1), boxes) and same_view(scene, paint(room(1), person(80)), boxes)
    assert same_view(scene, np.clip(room(1) * 0.95, 0, 255).astype(np.uint8), boxes)
    assert not same_view(scene, np.roll(scene, dx, 1), boxes)
    assert not same_view(scene, scene[:-1], boxes)


def test_integration_gives_harmonic_surfaces_and_wanted_gradients():
    rows, columns = np.mgrid[:30, :40].astype(float)
    saddle = 60 + (rows**2 - columns**2) / 8 + columns * 4
    harmonic = np.stack([columns * 3, saddle, 200 - rows * columns / 9], axis=-1)
    unknown = np.zeros((30, 40), bool)
    unknown[6:22, 9:33] = unknown[25:, 30:] = True
    spoilt = np.where(unknown[..., None], 77, harmonic)
    inner = unknown.copy()
    inner[25:, 30:] = (
        False  # at the picture's own border a flat surface is the answer, not this one
    )
    flat = integrate_gradients(spoilt, unknown, np.zeros((30, 39, 3)), np.zeros((29, 40, 3)))
    np.testing.assert_allclose(flat[inner], harmonic[inner], atol=0.51)
    surface = 100 + 60 * np.sin(harmonic / 40)
    found = integrate_gradients(
        np.where(unknown[..., None], 0, surface),
        unknown,
        np.diff(surface, axis=1),
        np.diff(surface, axis=0),
    )
    np.testing.assert_allclose(found, surface, atol=0.51)


def test_soft_shadows_are_background():
    scene = room()
    shade = np.ones(SIZE)
    shade[30:60, 60:90] = 0.85
    shaded = (scene * shade[..., None]).astype(np.uint8)
    assert difference(shaded, scene)[33:57, 63:87].max() == 0
    tinted = shaded.copy()
    tinted[30:60, 60:90, 2] = scene[30:60, 60:90, 2]
    assert (difference(tinted, scene)[33:57, 63:87] > 10).all()


def test_hysteresis_is_scipys():
    values = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SIZE), 2) * 100
    labels, count = ndimage.label(values > 5, np.ones((3, 3)))
    kept = [k for k in range(1, count + 1) if values[labels == k].max() > 20]
    assert 0 < len(kept) < count
    np.testing.assert_array_equal(hysteresis_threshold(values, 5, 20), np.isin(labels, kept))


def test_tidy_fills_small_holes_only():
    mask = np.zeros((200, 200), bool)
    mask[40:160, 60:140] = True
    whole = mask.copy()
    mask[70:76, 80:88] = mask[100:102, :] = mask[10, 10] = False
    mask[10, 10] = True
    assert (clean_mask(mask, 200.0) != whole).sum() <= 16  # round corners
    mask[110:140, 80:120] = False
    assert not clean_mask(mask, 200.0)[115:135, 85:115].any()
    edge = np.zeros((60, 60), bool)
    edge[20:, 20:40] = True
    np.testing.assert_array_equal(clean_mask(edge, 60.0)[21:, 21:39], True)


def test_the_component_of_the_box():
    mask = person(40) | person(120)
    np.testing.assert_array_equal(components_of_box(mask, np.array([40.0, 62, 100])), person(40))
    np.testing.assert_array_equal(components_of_box(mask, np.array([120.0, 62, 100])), person(120))
    between = components_of_box(mask, np.array([84.0, 62, 150]))
    assert check_mask(between, SIZE, 'between') == 'two people'
    assert not components_of_box(mask, np.array([np.nan] * 3)).any()


def test_usable_masks():
    mask = person(60)
    for given in (mask, mask.astype(np.uint8), mask * np.uint8(255), mask.astype(np.float32)):
        assert check_mask(given, SIZE, 'mine') is None
    assert check_mask(person(40) | person(120), SIZE, 'mine') == 'two people'
    assert check_mask(person(40) | person(120), SIZE, 'mine', np.array([40.0, 62, 90])) is None
    assert check_mask(mask, SIZE, 'mine', np.array([140.0, 62, 30])) == 'empty'
    assert check_mask(mask, SIZE, 'mine', np.array([np.nan] * 3)) == 'empty'
    assert check_mask(mask, SIZE, 'mine', np.array([60.0, 50, 14])) == 'full'
    assert check_mask(np.zeros(SIZE, np.uint8), SIZE, 'mine') == 'empty'
    assert (
        check_mask(np.full(SIZE, 255, np.uint8), SIZE, 'mine')
        == check_mask(np.ones(SIZE), SIZE, 'mine')
        == 'full'
    )
    cut = mask.copy()
    cut[66:76] = False  # a board across one person
    assert check_mask(cut, SIZE, 'mine') is None


@pytest.mark.parametrize(
    'mask, complaint',
    [
        (np.zeros((60, 160), np.uint8), r'frame 7: the mask is 160x60 px, the image 160x120'),
        (np.zeros((*SIZE, 3), np.uint8), 'one channel'),
        (np.full(SIZE, 128, np.uint8), 'values 0 and 1, or 0 and 255'),
        (np.eye(*SIZE) * 0.5, 'values'),
        (np.full(SIZE, np.nan), 'values'),
        (person(60) * 1 + person(50) * 1, 'values'),
        (person(60) * 255 + person(100) * 1, 'values'),
    ],
)
def test_masks_that_are_none(mask, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        check_mask(mask, SIZE, 'frame 7')
    assert 'frame 7' in str(error.value)


@pytest.fixture
def footage(tmp_path):
    """Three pictures with keypoints and masks beside them."""
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    images, people = [], []
    for t in range(3):
        mask = person(50 + 20 * t)
        cv2.imwrite(str(tmp_path / 'images' / f'f.{t}.jpg'), paint(room(t), mask))
        cv2.imwrite(str(tmp_path / 'masks' / f'f.{t}.png'), mask * np.uint8(255))
        rows, columns = np.nonzero(mask)
        corners = [columns.min(), rows.min(), 2, columns.max(), rows.max(), 2] + [0] * 45
        images.append(dict(id=t, file_name=f'f.{t}.jpg', width=SIZE[1], height=SIZE[0]))
        people.append(dict(id=t, image_id=t, keypoints=[int(v) for v in corners]))
    (tmp_path / 'points.json').write_text(json.dumps(dict(images=images, annotations=people)))
    return tmp_path


def read(footage, **options):
    return CocoKeypointsDataset(
        footage / 'images',
        footage / 'points.json',
        masks=dict(type='MaskFiles', folder=footage / 'masks', **options),
    )


def test_mask_files(footage):
    dataset = read(footage)
    found = dataset[0]
    assert found.masks_source == 'files' and found.frame_ids[1] == 'f.1.jpg'
    for t in range(3):
        np.testing.assert_array_equal(found.masks[t], person(50 + 20 * t))
    before = dataset.fingerprint()
    cv2.imwrite(str(footage / 'masks' / 'f.0.png'), np.zeros(SIZE, np.uint8))
    assert (
        dataset.fingerprint()['masks'] != before['masks']
        and before['images'] == dataset.fingerprint()['images']
    )
    assert read(footage)[0].masks[0].sum() == 0  # for the adapter to skip and count
    assert CocoKeypointsDataset(footage / 'images', footage / 'points.json')[0].masks is None


def test_mask_files_by_position(footage):
    (footage / 'masks' / 'points').mkdir()
    for t in range(3):
        (footage / 'masks' / f'f.{t}.png').rename(footage / 'masks' / 'points' / f'{t:03d}.png')
    np.testing.assert_array_equal(
        read(footage, pattern='{name}/{index:03d}.png')[0].masks[2], person(90)
    )


def test_bad_mask_files(footage):
    file = footage / 'masks' / 'f.2.png'
    for content, complaint in (
        (np.zeros((50, 60), np.uint8), r'f\.2\.png: the mask is 60x50 px, the image 160x120'),
        (np.full(SIZE, 99, np.uint8), r'f\.2\.png: a mask has the values'),
    ):
        cv2.imwrite(str(file), content)
        with pytest.raises(InputError, match=complaint):
            read(footage)[0].masks[2]
    file.write_bytes(b'no picture')
    with pytest.raises(InputError, match=r'f\.2\.png: OpenCV cannot decode'):
        read(footage)[0].masks[2]
    file.unlink()
    with pytest.raises(InputError, match=r'f\.2\.png: there is no such mask \(1 of 3'):
        read(footage)[0]


@pytest.mark.parametrize(
    'cfg, complaint',
    [
        (dict(type='MaskFiles', folder='nowhere'), 'nowhere: there is no such folder'),
        (dict(type='MaskFiles', folder='.', pattern='{frame}.png'), 'frame'),
        (dict(type='MaskFiles', folder='.', pattern='mask.png'), 'the same file for every frame'),
        (dict(type='BackgroundSubtraction', method='mode'), "median, mog2, knn, not 'mode'"),
        (dict(type='BackgroundSubtraction', threshold=0), 'threshold positive'),
        (dict(type='BackgroundSubtraktion'), "Did you mean 'BackgroundSubtraction'"),
    ],
)
def test_bad_settings(cfg, complaint):
    with pytest.raises(InputError, match=complaint):
        MASK_SOURCES.build(cfg)


def test_real_pictures_of_one_camera_against_masks_by_hand(data_root):
    found = CocoKeypointsDataset(
        data_root / 'photos/yogait',
        data_root / 'annotations/yogait_coco.json',
        masks=dict(type='BackgroundSubtraction'),
    )[0]
    static = ('test_a', 'test_c', 'test_m', 'test_y', 'y1')
    for t, label in enumerate(found.frame_ids):
        name, mask = label.removesuffix('.jpg'), found.masks[t]
        why = check_mask(mask, mask.shape, label, found.boxes[t].numpy())
        if name in static:
            true = cv2.imread(str(data_root / f'photos/masks/{name}.png'), cv2.IMREAD_GRAYSCALE) > 0
            assert why is None and overlap(mask > 0, true) > 0.93, name
        else:
            assert why == 'empty'
