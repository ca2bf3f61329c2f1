"""The figures show the maps that the losses use, where they say so."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from hrtk.errors import InputError
from hrtk.visualization.overlays import BACKGROUND
from hrtk.visualization.topology import (
    BOTH,
    DIM,
    GAP,
    PREDICTION,
    TARGET,
    draw_overlap,
    image_row,
    progress_row,
    topology_row,
)

SIDE = 64


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, and two crossed bars of which the prediction's is moved by 5 px."""
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)
    target = np.zeros((SIDE, SIDE), bool)
    target[10:50, 28:37] = target[20:27, 12:52] = True
    return image, target, np.roll(target, 5, 1)


def panels(row: np.ndarray, count: int, side: int = SIDE) -> list[np.ndarray]:
    assert row.shape[1] == count * side + (count - 1) * GAP
    return [row[-side:, i * (side + GAP) : i * (side + GAP) + side] for i in range(count)]


def test_row_shows_silhouettes_distances_and_skeletons(scene: tuple) -> None:
    image, target, prediction = scene
    row = topology_row(image, target, prediction, SIDE)
    assert row.dtype == np.uint8 and row.shape[0] > SIDE
    shown = panels(row, 10)
    np.testing.assert_array_equal(shown[0], image)
    np.testing.assert_array_equal(shown[9], draw_overlap(image, target, prediction))
    palette = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[
        0, :, ::-1
    ]
    skeletons = [panel[..., 0] == 255 for panel in (shown[3], shown[7])]
    outward = [ndimage.distance_transform_cdt(~skeleton, 'chessboard') for skeleton in skeletons]
    inward = [ndimage.distance_transform_cdt(mask, 'chessboard') for mask in (target, prediction)]
    for start, mask, d_in, d_out in zip((1, 5), (target, prediction), inward, outward):
        np.testing.assert_array_equal(shown[start][..., 0], mask * 255)
        np.testing.assert_array_equal(
            shown[start + 1], palette[np.rint(d_in * 255 / np.max(inward)).astype(int)]
        )
        np.testing.assert_array_equal(shown[start + 2][..., 0] > 0, mask)
        assert set(np.unique(shown[start + 2])) == {0, DIM, 255}
        np.testing.assert_array_equal(
            shown[start + 3], palette[np.rint(d_out * 255 / np.max(outward)).astype(int)]
        )


def test_skeleton_is_the_ridge_of_the_distance_map(scene: tuple) -> None:
    image, target, prediction = scene
    distance = ndimage.distance_transform_cdt(target, 'chessboard')
    ridge = target & (distance == ndimage.maximum_filter(distance, 3))
    skeleton = panels(topology_row(image, target, prediction, SIDE), 10)[3][..., 0] == 255
    np.testing.assert_array_equal(skeleton, ridge)


def test_overlap_colours_the_three_parts(scene: tuple) -> None:
    image, target, prediction = scene
    before = image.copy()
    shown = draw_overlap(image, target, prediction, alpha=1.0)
    for part, color in (
        (target & ~prediction, TARGET),
        (prediction & ~target, PREDICTION),
        (target & prediction, BOTH),
    ):
        assert part.any() and (shown[part] == color).all()
    rest = shown[~(target | prediction)]
    assert (
        (rest[:, 0] == rest[:, 1]).all()
        and (rest[:, 0] == rest[:, 2]).all()
        and len(np.unique(rest)) > 50
    )
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(
        shown, draw_overlap(image, target * np.uint8(255), prediction.astype(float), 1.0)
    )


def test_progress_has_one_panel_per_iteration_and_breaks_rows(scene: tuple) -> None:
    image, target, _ = scene
    masks = [np.roll(target, shift, 1) for shift in (8, 5, 2, 0, 1)]
    one = progress_row(image, target, masks, height=SIDE)
    for mask, panel in zip(masks, panels(one, 5)):
        np.testing.assert_array_equal(panel, draw_overlap(image, target, mask))
    two = progress_row(image, target, masks, ['start', '10', '20', '30', 'end'], SIDE, columns=3)
    assert two.shape == (2 * one.shape[0] + GAP, 3 * SIDE + 2 * GAP, 3)
    np.testing.assert_array_equal(panels(two, 3)[0], draw_overlap(image, target, masks[3]))
    assert (panels(two, 3)[2] == BACKGROUND).all()  # the sixth place is empty


def test_captions_are_written_above_and_fit(scene: tuple) -> None:
    image = scene[0]
    bare, short, long = (
        image_row([image], [text], SIDE) for text in ('', 'a', 'a long caption ' * 5)
    )
    top = bare.shape[0] - SIDE
    assert (bare[:top] == BACKGROUND).all() and (short[:top] < 128).any()
    assert (long[:top, -1:] == BACKGROUND).all() and (long[:top, SIDE // 2 :] < 200).any()
    for shown in (bare, short, long):
        np.testing.assert_array_equal(shown[top:], image)


@pytest.mark.parametrize('target, prediction', [(False, False), (True, False), (True, True)])
def test_empty_and_full_masks_are_drawn(scene: tuple, target: bool, prediction: bool) -> None:
    row = topology_row(
        scene[0], np.full((SIDE, SIDE), target), np.full((SIDE, SIDE), prediction), SIDE
    )
    assert (panels(row, 10)[1] == 255 * target).all()


def test_sizes_scale(scene: tuple) -> None:
    image, target, prediction = (np.ascontiguousarray(a[:, :48]) for a in scene)
    row = topology_row(image, target, prediction, 128)
    assert row.shape[1] == 10 * 96 + 9 * GAP
    assert set(np.unique(row[-128:, 100:196])) == {0, 255}  # enlarged masks stay binary


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(image=np.zeros((4, 4, 3))), 'uint8.*float64'),
        (dict(target=np.zeros((4, 5), bool)), r'mask target: .*\(4, 4\).*\(4, 5\)'),
        (dict(prediction=np.full((4, 4), 0.3)), 'mask prediction'),
    ],
)
def test_bad_input_is_named(change: dict, message: str) -> None:
    good = dict(
        image=np.zeros((4, 4, 3), np.uint8),
        target=np.zeros((4, 4), bool),
        prediction=np.zeros((4, 4), bool),
    )
    with pytest.raises(InputError, match=message):
        topology_row(**{**good, **change})


def test_captions_and_images_must_match(scene: tuple) -> None:
    with pytest.raises(InputError, match='2 predictions have 1 captions'):
        progress_row(scene[0], scene[1], [scene[1], scene[2]], ['start'])
    with pytest.raises(InputError, match='no image'):
        progress_row(scene[0], scene[1], [])
