"""From candidates to people: decoding, suppression, heat maps, regions, guards, tiles, and real photographs."""

from __future__ import annotations

import dataclasses
import json
import math

import cv2
import numpy as np
import pytest
import torch

from hrtk.body_models.skeletons import index_map
from hrtk.errors import InputError
from hrtk.geometry.regions import from_regions
from hrtk.models.blazepose import (
    BlazePose,
    Candidates,
    Detections,
    People,
    anchors,
    decode,
    next_regions,
    plausible,
    regions_of_axes,
    suppress,
    to_people,
)
from hrtk.models.blazepose.heatmaps import refine
from hrtk.models.blazepose.landmark_network import LandmarkOutput
from hrtk.models.blazepose.pipeline import tile_squares
from hrtk.models.blazepose.regions import distinct, within


@pytest.fixture(scope='module')
def network():
    return BlazePose()


# The detector's candidates


def test_anchors_follow_the_grids():
    """Written out: two candidates in every cell of strides 8 and 16, six in those of stride 32, row by row."""
    wanted = []
    for stride, count in ((8, 2), (16, 2), (32, 6)):
        for row in range(224 // stride):
            for column in range(224 // stride):
                wanted += count * [((column + 0.5) * stride, (row + 0.5) * stride)]
    assert len(wanted) == 2254
    np.testing.assert_array_equal(anchors().numpy(), np.array(wanted, np.float32))


def test_decoding_adds_the_anchor_to_all_but_the_size():
    values = torch.rand(2, 2254, 12)
    logits = torch.zeros(2, 2254)
    logits[0, 3] = 1e4
    found = decode(Candidates(values, logits))
    centres = anchors()
    torch.testing.assert_close(found.boxes[1, 700, :2], values[1, 700, :2] + centres[700])
    torch.testing.assert_close(found.boxes[1, 700, 2:], values[1, 700, 2:4])
    torch.testing.assert_close(found.keypoints[1, 700, 3], values[1, 700, 10:12] + centres[700])
    assert found.scores[0, 3] == 1 and found.scores[1, 3] == 0.5


def suppress_in_loops(boxes, keypoints, scores, overlap):
    """The rule in numpy, one candidate after the other."""
    left = list(np.argsort(-scores, kind='stable'))
    people = []
    while left:
        best = boxes[left[0]]
        group = []
        for i in left:
            width = min(best[0] + best[2] / 2, boxes[i][0] + boxes[i][2] / 2)
            width -= max(best[0] - best[2] / 2, boxes[i][0] - boxes[i][2] / 2)
            height = min(best[1] + best[3] / 2, boxes[i][1] + boxes[i][3] / 2)
            height -= max(best[1] - best[3] / 2, boxes[i][1] - boxes[i][3] / 2)
            common = max(width, 0) * max(height, 0)
            union = best[2] * best[3] + boxes[i][2] * boxes[i][3] - common
            if common / union > overlap or i == left[0]:
                group.append(i)
        weights = scores[group] / scores[group].sum()
        mean = np.tensordot(weights, keypoints[group], axes=1)
        people.append((np.tensordot(weights, boxes[group], axes=1), mean, scores[left[0]]))
        left = [i for i in left if i not in group]
    return people


def test_suppression_is_a_weighted_mean():
    random = np.random.default_rng(0)
    centres = random.uniform(0, 100, (6, 2))[random.integers(0, 6, 40)]
    boxes = np.hstack([centres + random.normal(0, 3, (40, 2)), random.uniform(15, 25, (40, 2))])
    keypoints = random.uniform(0, 100, (40, 4, 2))
    scores = random.uniform(0.5, 1, 40)
    wanted = suppress_in_loops(boxes, keypoints, scores, 0.3)
    found = suppress(Detections(*(torch.from_numpy(v) for v in (boxes, keypoints, scores))))
    assert len(wanted) == len(found.scores) > 3
    for i, (box, points, score) in enumerate(wanted):
        np.testing.assert_allclose(found.boxes[i].numpy(), box, atol=1e-9)
        np.testing.assert_allclose(found.keypoints[i].numpy(), points, atol=1e-9)
        assert found.scores[i] == score
    nobody = suppress(found.pick(found.scores > 2))
    assert nobody.boxes.shape == (0, 4) and nobody.keypoints.shape == (0, 4, 2)


# Heat maps


def refine_in_loops(x, y, heatmap):
    """MediaPipe's RefineLandmarksFromHeatmapCalculator for one landmark."""
    size = len(heatmap)
    column, row = int(x * size), int(y * size)
    if not (0 <= column < size and 0 <= row < size):
        return x, y
    total = best = mean_column = mean_row = 0.0
    for i in range(max(0, row - 3), min(size, row + 4)):
        for j in range(max(0, column - 3), min(size, column + 4)):
            confidence = 1 / (1 + math.exp(-heatmap[i, j]))
            best = max(best, confidence)
            total += confidence
            mean_column += j * confidence
            mean_row += i * confidence
    if best < 0.5:
        return x, y
    return mean_column / size / total, mean_row / size / total


def test_heat_maps_refine_as_in_mediapipe():
    random = np.random.default_rng(1)
    heatmap = random.normal(-1, 2, (2, 30, 16, 16))
    heatmap[:, ::5] -= 20  # improbable everywhere
    xy = random.uniform(-0.2, 1.2, (2, 30, 2))
    found = refine(torch.from_numpy(xy), torch.from_numpy(heatmap)).numpy()
    for i in range(2):
        for k in range(30):
            wanted = refine_in_loops(*xy[i, k], heatmap[i, k])
            np.testing.assert_allclose(found[i, k], wanted, atol=1e-12)


# People and regions


def output_of(count, heatmap=None):
    generator = torch.Generator().manual_seed(0)
    landmarks = torch.randn(count, 39, 5, generator=generator).double()
    landmarks[..., :2] = 128 + 60 * landmarks[..., :2]
    world = torch.randn(count, 39, 3, generator=generator).double()
    return LandmarkOutput(landmarks, world, landmarks[:, 0, 0] / 99, landmarks, heatmap)


def test_people_lie_in_the_image_as_in_the_turned_crop():
    regions = torch.tensor([[50.0, 60.0, 128.0, 0.4], [5.0, 6.0, 512.0, -1.0]]).double()
    output = output_of(2)
    people = to_people(output, regions)
    for i in range(2):
        cx, cy, side, angle = regions[i].tolist()
        rotation = np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        crop = output.landmarks[i, :33].numpy()
        wanted = (crop[:, :2] - 128) * side / 256 @ rotation.T + [cx, cy]
        np.testing.assert_allclose(people.landmarks[i, :, :2].numpy(), wanted)
        np.testing.assert_allclose(people.landmarks[i, :, 2].numpy(), crop[:, 2] * side / 256)
        world = output.world[i, :33].numpy()
        np.testing.assert_allclose(people.world[i, :, :2].numpy(), world[:, :2] @ rotation.T)
        np.testing.assert_allclose(people.world[i, :, 2].numpy(), world[:, 2])
    np.testing.assert_allclose(
        people.visibility.numpy(), 1 / (1 + np.exp(-output.landmarks[:, :33, 3].numpy()))
    )


def test_people_are_differentiable():
    regions = torch.tensor([[50.0, 60.0, 128.0, 0.4]]).double()

    def positions(landmarks, heatmap):
        output = output_of(1)._replace(landmarks=landmarks, heatmap=heatmap)
        people = to_people(output, regions)
        return people.landmarks, people.axis

    landmarks = output_of(1).landmarks.requires_grad_()
    heatmap = torch.randn(1, 39, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(positions, (landmarks, heatmap))


def test_keypoints_of_other_skeletons():
    person = to_people(output_of(1), torch.tensor([[0.0, 0, 256, 0]]).double()).split()[0]
    points = person.keypoints('coco17')
    order = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]  # MediaPipe's table
    torch.testing.assert_close(points[:, :2], person.landmarks[order, :2])
    torch.testing.assert_close(points[:, 2], person.visibility[order])
    spin = person.keypoints('spin24')
    missing = np.array(index_map('blazepose33', 'spin24')) < 0
    assert (spin[missing] == 0).all() and (spin[~missing, 2] > 0).all() and missing.sum() == 7
    with pytest.raises(ValueError, match='masks=True'):
        person.image_mask(4, 5)


def upright_person(turned=0.0, flag=0.9):
    """A person of 200 px about (100, 120), leaning to the right by an angle."""
    region = torch.tensor([[100.0, 120.0, 250.0, turned]])
    crop = torch.full((1, 33, 3), 128.0)
    crop[:, 11:13, 1] = 78
    crop[:, 23:25, 1] = 128
    landmarks = from_regions(crop[..., :2] / 128 - 1, region)
    axis = from_regions(torch.tensor([[[0.0, 0.0], [0.0, -0.8]]]), region)
    world = torch.zeros(1, 33, 3)
    return People(
        region,
        torch.cat([landmarks, crop[..., 2:]], dim=-1),
        torch.ones(1, 33),
        torch.ones(1, 33),
        world,
        torch.tensor([flag]),
        axis,
    )


@pytest.mark.parametrize('turned', [0.0, 0.5, 3.0, -2.0])
def test_the_next_region_is_the_one_that_the_axis_was_made_in(turned):
    person = upright_person(turned)
    regions = next_regions(person)
    torch.testing.assert_close(regions, person.region, atol=1e-3, rtol=0)
    hips, reach = person.axis[0].numpy()
    assert math.hypot(*(reach - hips)) * 2.5 == pytest.approx(float(regions[0, 2]))


def test_an_axis_that_leaves_the_trunk_does_not_turn_the_region():
    person = upright_person()
    off = from_regions(
        torch.tensor([[[0.0, 0.0], [0.74, -0.31]]]), person.region
    )  # by 67 degrees, as was seen once in a clip
    person = dataclasses.replace(person, axis=off)
    assert regions_of_axes(off)[0, 3] == pytest.approx(math.radians(67), abs=0.01)
    assert next_regions(person)[0, 3] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    'change, accepted',
    [
        ((0, 0, 0, 0), True),
        ((60, 60, 0, 0), True),
        ((0, 110, 0, 0), False),
        ((0, 0, 190, 0), True),
        ((0, 0, 210, 0), False),
        ((0, 0, -120, 0), False),
        ((0, 0, 0, 1.2), True),
        ((0, 0, 0, -1.4), False),
        ((0, 0, 0, 2 * math.pi), True),
        ((math.nan, 0, 0, 0), False),
    ],
)
def test_jumps(change, accepted):
    before = torch.tensor([[10.0, 20.0, 250.0, 0.1]])
    assert plausible(before, before + torch.tensor([change])).tolist() == [accepted]


def test_the_same_person_counts_once():
    first = upright_person()
    second = dataclasses.replace(first, flag=torch.tensor([0.95]), landmarks=first.landmarks + 5)
    third = dataclasses.replace(first, landmarks=first.landmarks + 40)
    fields = [field.name for field in dataclasses.fields(People) if field.name != 'mask']
    people = People(
        **{key: torch.cat([getattr(p, key) for p in (first, second, third)]) for key in fields}
    )
    assert distinct(people).tolist() == [False, True, True]


def test_legs_of_somebody_are_no_newcomer():
    """The landmarks of an upright person lie between (55, 45) and (145, 195)."""
    known = upright_person()
    box = torch.tensor([[[55.0, 45, 0], [145, 195, 0]]])
    known = dataclasses.replace(known, landmarks=torch.cat([box, known.landmarks[:, 2:]], 1))
    below = dataclasses.replace(known, landmarks=known.landmarks + torch.tensor([0.0, 40, 0]))
    beside = dataclasses.replace(known, landmarks=known.landmarks + torch.tensor([60.0, 0, 0]))
    assert within(below.append(beside), known).tolist() == [True, False]
    assert within(beside, below.append(known)).tolist() == [False]


@pytest.mark.parametrize('size', [(100, 250), (250, 100), (90, 90)])
@pytest.mark.parametrize('tiles', [2, 3])
def test_tiles_cover_the_image_and_overlap_by_half(size, tiles):
    squares = tile_squares(*size, tiles).numpy()
    side = max(size) / tiles
    assert (squares[:, 2] == np.float32(side)).all() and (squares[:, 3] == 0).all()
    for axis, length in ((0, size[1]), (1, size[0])):
        centres = np.unique(squares[:, axis])
        assert centres[0] - side / 2 <= -0.5 + 1e-4
        assert centres[-1] + side / 2 >= length - 0.5 - 1e-4
        assert (np.diff(centres) <= side / 2 + 1e-4).all()
    assert len(tile_squares(*size, 1)) == 0


def test_options_are_checked():
    with pytest.raises(InputError, match='passes and tiles'):
        BlazePose(weights=None, tiles=0)
    with pytest.raises(InputError, match='min_flag'):
        BlazePose(weights=None, min_flag=1.5)


# Real photographs


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def annotated(data_root):
    """Images and keypoints (17, 3) of the hand annotations."""
    content = json.loads((data_root / 'annotations/yogait_coco.json').read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    for entry in content['annotations']:
        name = names[entry['image_id']].split('/')[-1]
        points = np.array(entry['keypoints'], float).reshape(17, 3)
        yield read(data_root / 'photos/yogait' / name), points


def test_photographs_agree_with_hand_annotations(network, data_root):
    errors = []
    for image, points in annotated(data_root):
        found = network(image)
        assert len(found) == 1
        seen = points[:, 2] > 0
        xy = found[0].keypoints('coco17')[:, :2].numpy()
        errors.append(np.linalg.norm(xy - points[:, :2], axis=1)[seen].mean())
    assert len(errors) == 9 and np.mean(errors) < 8  # 6.8 px were measured


def test_three_people(network, data_root):
    image = read(data_root / 'photos/Pilots.jpg')
    people = network(image)
    assert len(people) == 3
    centres = np.sort([float(person.region[0]) for person in people])
    assert np.diff(centres).min() > 0.1 * image.shape[1]


def test_masks_cover_the_annotated_foreground(network, data_root):
    image = read(data_root / 'photos/yogait/test_m.jpg')
    wanted = cv2.imread(str(data_root / 'photos/masks/test_m.png'), cv2.IMREAD_GRAYSCALE) > 127
    person = network(image, masks=True)[0]
    found = person.image_mask(*image.shape[:2]).numpy() > 0.5
    assert (found & wanted).sum() / (found | wanted).sum() > 0.93


def test_people_are_followed_and_lost(network, data_root):
    image = read(data_root / 'photos/yogait/test_m.jpg')
    person = network(image)[0]
    moved = np.roll(image, (8, 12), axis=(0, 1))
    again = network.follow(moved, [person])[0]
    shift = (again.landmarks - person.landmarks)[:, :2].mean(0)
    torch.testing.assert_close(shift, torch.tensor([12.0, 8.0]), atol=2, rtol=0)
    assert network.follow(np.zeros_like(image), [person]) == [None]
    assert network.follow(image, []) == []


def test_tiles_find_who_is_too_small_for_the_whole_image(network, data_root):
    image = read(data_root / 'photos/yogait/test_m.jpg')
    small = cv2.resize(image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    canvas = np.full((1000, 1400, 3), 127, np.uint8)
    canvas[100 : 100 + small.shape[0], 900 : 900 + small.shape[1]] = small
    assert network(canvas) == []
    found = BlazePose(tiles=4)(canvas)
    assert len(found) == 1
    alone = network(image)[0]
    wanted = (alone.landmarks[:, :2] + 0.5) * 0.2 - 0.5 + torch.tensor([900.0, 100.0])
    height = float(np.ptp(wanted[:, 1].numpy()))
    error = (found[0].landmarks[:, :2] - wanted).norm(dim=-1).mean()
    assert error < 0.03 * height
    assert network(np.zeros((120, 90, 3), np.uint8)) == []
