"""Overlays: the mesh lies where the crop camera projects the body, and panels show what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.structures import Prediction
from hrtk.visualization.overlays import (
    BACKGROUND,
    LEFT_COLOR,
    RIGHT_COLOR,
    Region,
    before_after,
    contact_sheet,
    draw_keypoints,
    overlay,
    person_region,
)
from hrtk.visualization.render import person_colors


@pytest.fixture(scope='module')
def body() -> BodyModel:
    return BodyModel()


def standing(camera: tuple[float, float, float], turn: float = 0.4) -> Prediction:
    """Upright, arms half lowered, turned about the vertical by ``turn`` radians."""
    rotmat = torch.eye(3).repeat(1, 24, 1, 1)
    c, s = np.cos(turn), np.sin(turn)
    rotmat[0, 0] = torch.tensor([[c, 0, s], [0, -1, 0], [s, 0, -c]])
    for joint, angle in ((16, -0.9), (17, 0.9)):
        c, s = np.cos(angle), np.sin(angle)
        rotmat[0, joint] = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    assert torch.allclose(torch.linalg.det(rotmat), torch.ones(1, 24))
    return Prediction(rotmat, torch.zeros(1, 10), torch.tensor([camera]))


def in_image(points: torch.Tensor, camera: torch.Tensor, box: torch.Tensor) -> np.ndarray:
    """SPIN's projection into the crop, then from the crop into the image."""
    return (project(points, camera)[0] * box[2] / 2 + box[:2]).numpy()


@pytest.mark.parametrize('box', [(180.0, 150.0, 260.0), (120.0, 170.0, 240.0)])
def test_mesh_lies_where_the_crop_camera_projects_it(body: BodyModel, box: tuple) -> None:
    box, person = torch.tensor(box), standing((0.9, 0.05, 0.25))
    drawn = (
        overlay(np.zeros((320, 400, 3), np.uint8), person, box[None], body, alpha=1.0).max(2) > 0
    )
    posed = body(person.rotmat, person.betas)
    joints = np.rint(in_image(posed.joints, person.camera, box)).astype(int)
    assert drawn[joints[:, 1], joints[:, 0]].all()
    y, x = np.nonzero(drawn)
    corners = in_image(posed.vertices, person.camera, box)
    np.testing.assert_allclose([x.min(), y.min()], corners.min(0), atol=1.6)
    np.testing.assert_allclose([x.max(), y.max()], corners.max(0), atol=1.6)


def test_depth_and_not_order_decides_between_people(body: BodyModel) -> None:
    near, far = standing((1.0, 0, 0.25)), standing((0.6, 0.2, 0.3), turn=-0.8)
    boxes = torch.tensor([[150.0, 150, 280], [160.0, 150, 280]])
    image = np.full((300, 320, 3), 90, np.uint8)
    one = overlay(image, Prediction.cat([near, far]), boxes, body)
    other = overlay(image, Prediction.cat([far, near]), boxes.flip(0), body)
    np.testing.assert_array_equal(one, other)
    alone = overlay(image, near, boxes[:1], body)
    assert (one != alone).any()
    middle = np.rint(
        in_image(body(near.rotmat, near.betas).joints, near.camera, boxes[0])[6]
    ).astype(int)
    np.testing.assert_array_equal(one[middle[1], middle[0]], alone[middle[1], middle[0]])


def test_people_have_their_own_colours(body: BodyModel) -> None:
    people = Prediction.cat([standing((1.0, 0, 0.25)), standing((1.0, 0, 0.25))])
    boxes = torch.tensor([[100.0, 100, 180], [300.0, 100, 180]])
    image = np.full((200, 400, 3), 90, np.uint8)
    colors = person_colors([0, 1])
    drawn = overlay(image, people, boxes, body, colors, alpha=1.0).astype(float)
    halves = (drawn[:, :200], drawn[:, 200:])
    for half, color in zip(halves, colors):
        inside = half[(half != 90).any(-1)]
        seen = inside.sum(0) / inside.sum()
        # The brightest channel of the light is that of the colour, and red differs between blue and orange.
        assert seen.argmax() == color.argmax() and seen.argmin() == color.argmin()
    assert len({tuple(color) for color in person_colors(range(6))}) == 6
    np.testing.assert_array_equal(person_colors([7]), person_colors([1]))


def test_keypoints_are_drawn_where_they_are_and_only_if_seen() -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    points = np.zeros((17, 3))
    points[5] = 40.0, 30.0, 0.9  # left shoulder
    points[8] = 120.0, 90.0, 0.2  # right elbow
    points[0] = np.nan, 5, 1
    drawn = draw_keypoints(image, points, 'coco17')
    assert tuple(drawn[30, 40]) == LEFT_COLOR and tuple(drawn[90, 120]) == RIGHT_COLOR
    y, x = np.nonzero(drawn.any(2))
    assert (np.minimum(np.hypot(x - 40, y - 30), np.hypot(x - 120, y - 90)) < 6).all()
    assert not draw_keypoints(image, points, 'coco17', threshold=0.5)[90, 120].any()
    points[6] = 80.0, 30.0, 1.0  # right shoulder: now there is a limb
    assert draw_keypoints(image, points, 'coco17')[30, 60].any()
    assert not image.any()


def test_keypoints_of_another_skeleton_are_refused() -> None:
    with pytest.raises(InputError, match=r"'coco17' must be \(17, 3\), got \(25, 3\)"):
        draw_keypoints(np.zeros((9, 9, 3), np.uint8), np.zeros((25, 3)), 'coco17')


def test_panels(body: BodyModel) -> None:
    image = np.full((200, 300, 3), 60, np.uint8)
    before, after, box = (
        standing((0.8, 0, 0.3)),
        standing((0.9, 0, 0.25)),
        torch.tensor([150.0, 100, 200]),
    )
    points = np.zeros((17, 3))
    points[5] = 100.0, 120.0, 1.0
    row = before_after(image, before, after, box, body, points, region=Region(50, 20, 250, 180))
    assert row.shape == (320, 4 * 400, 3)  # 160 px enlarged to 320
    first, second, third, side = np.split(row, 4, axis=1)
    assert tuple(first[201, 101]) == LEFT_COLOR  # (100 - 50 + 0.5) * 2 - 0.5 = 100.5
    assert (second[..., 0].astype(int) - second[..., 2]).max() > 10  # pink
    assert (third[..., 2].astype(int) - third[..., 0]).max() > 10  # blue
    np.testing.assert_array_equal(second[-40:, :40], 60)
    np.testing.assert_array_equal(side[-1], BACKGROUND)
    two = before_after(
        image, before, after, box, body, region=Region(50, 20, 250, 180), panels=('before', 'after')
    )
    np.testing.assert_array_equal(two, np.concatenate([second, third], 1))
    with pytest.raises(InputError, match="no panel 'top'"):
        before_after(image, before, after, box, body, panels=('top',))


def test_side_view_shows_depth_as_width(body: BodyModel) -> None:
    image, box = np.full((400, 400, 3), BACKGROUND, np.uint8), torch.tensor([199.5, 199.5, 400])
    person = standing((0.8, 0, 0.3), turn=0.0)
    side = before_after(image, person, person, box, body, panels=('side',))
    y, x = np.nonzero((np.abs(side.astype(int) - BACKGROUND).max(2) > 3)[40:])  # below the caption
    size = np.ptp(body(person.rotmat, person.betas).vertices[0].numpy(), axis=0)
    pixels_per_metre = 0.8 * 400 / 2
    assert np.ptp(x) == pytest.approx(size[2] * pixels_per_metre, abs=3)
    assert np.ptp(y) == pytest.approx(size[1] * pixels_per_metre, abs=3)
    other = standing((0.8, 0, 0.3), turn=0.7)
    turned = before_after(image, person, person, box, body, panels=('side',), side=other)
    alone = before_after(image, person, other, box, body, panels=('side',))
    np.testing.assert_array_equal(turned, alone)
    assert (turned != side).any()


@pytest.mark.parametrize(
    'size, expected',
    [
        ((1920, 1080), (720, 1280)),
        ((100, 80), (320, 400)),
        ((400, 1000), (720, 288)),
        ((3000, 300), (128, 1280)),
    ],
)
def test_heights_stay_sane(
    body: BodyModel, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    person, box = standing((0.8, 0, 0.3)), torch.tensor([size[0] / 2, size[1] / 2, size[1]])
    image = np.zeros((size[1], size[0], 3), np.uint8)
    assert before_after(image, person, person, box, body, panels=('input',)).shape[:2] == expected


def test_person_region_is_cut_at_the_border() -> None:
    boxes = torch.tensor([[50.0, 60, 40], [100, 80, 80]])
    assert person_region(boxes[:1], (200, 150), margin=1.0) == (30, 40, 71, 81)
    assert person_region(boxes, (200, 150), margin=1.0) == (30, 40, 141, 121)
    assert person_region(boxes, (110, 100), margin=2.0) == (10, 0, 110, 100)
    assert person_region(torch.tensor([[900.0, 900, 10]]), (110, 100)) == (0, 0, 110, 100)


def test_contact_sheet_keeps_order_and_shape() -> None:
    images = [np.full((40, 80, 3), 10 * i, np.uint8) for i in range(3)]
    sheet = contact_sheet(images, columns=2, width=320)
    assert sheet.shape == (160, 320, 3)
    assert [sheet[y, x, 0] for y, x in [(40, 80), (40, 240), (120, 80), (120, 240)]] == [
        0,
        10,
        20,
        BACKGROUND,
    ]
