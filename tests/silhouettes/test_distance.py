"""Distance maps and skeletons against scipy and against their definitions pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from hrtk.errors import InputError
from hrtk.silhouettes import distance as distance_maps
from hrtk.silhouettes.distance import (
    METHODS,
    chessboard_distance,
    nearest_pixels,
    topological_skeleton,
)

NEAREST_IN_TORCH = distance_maps._nearest_separable  # what CUDA masks get
SHAPES = [(3, 40, 57), (2, 64, 64), (2, 1, 9), (1, 31, 2)]


def random_masks(share: float, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Masks with at least one pixel that is 0."""
    mask = np.random.default_rng(seed).random(shape) < share
    mask[:, 0, 0] = False
    return torch.from_numpy(mask)


def person() -> torch.Tensor:
    """A figure of limbs of odd and even widths, one of them cut by the frame."""
    mask = torch.zeros(1, 60, 50, dtype=torch.bool)
    for top, bottom, left, right in (
        (4, 13, 20, 29),
        (13, 35, 17, 32),
        (14, 20, 2, 17),
        (15, 20, 32, 47),
        (35, 60, 17, 23),
        (35, 60, 25, 32),
    ):
        mask[0, top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('share', [0.02, 0.5, 0.9, 0.999])
def test_distance_is_scipys(method: str, shape: tuple[int, ...], share: float) -> None:
    mask = random_masks(share, shape)
    expected = np.stack(
        [ndimage.distance_transform_cdt(image.numpy(), 'chessboard') for image in mask]
    )
    np.testing.assert_array_equal(chessboard_distance(mask, method).numpy(), expected)
    np.testing.assert_array_equal(chessboard_distance(mask.float(), method).numpy(), expected)


@pytest.mark.parametrize('method', METHODS)
def test_a_figure_inwards_and_outwards(method: str) -> None:
    mask = person()
    for side in (mask, ~mask):
        expected = ndimage.distance_transform_cdt(side[0].numpy(), 'chessboard')
        np.testing.assert_array_equal(
            chessboard_distance(side.to(torch.uint8), method)[0].numpy(), expected
        )


@pytest.mark.parametrize('method', METHODS)
def test_masks_without_an_outline_have_finite_distances(method: str) -> None:
    mask = torch.stack([torch.ones(7, 11), torch.zeros(7, 11), torch.ones(7, 11)])
    mask[2, 0, 0] = 0
    distance = chessboard_distance(mask, method)
    assert (distance[0] == 11).all() and (distance[1] == 0).all() and distance[2].max() == 10


@pytest.mark.parametrize('find', [nearest_pixels, NEAREST_IN_TORCH])
@pytest.mark.parametrize('share', [0.001, 0.2, 0.9])
def test_nearest_pixel_is_in_the_mask_at_euclidean_distance(find, share: float) -> None:
    mask = ~random_masks(1 - share, (3, 37, 53))
    y, x = np.divmod(find(mask).numpy(), 53)
    assert mask.numpy()[np.arange(3)[:, None, None], y, x].all()
    rows, columns = np.mgrid[:37, :53]
    expected = np.stack([ndimage.distance_transform_edt(~image.numpy()) for image in mask])
    np.testing.assert_allclose(np.hypot(y - rows, x - columns), expected, rtol=1e-12)


@pytest.mark.parametrize('find', [nearest_pixels, NEAREST_IN_TORCH])
def test_nearest_pixel_of_nothing_is_a_pixel(find) -> None:
    indices = find(torch.zeros(2, 5, 6, dtype=torch.bool))
    assert (indices >= 0).all() and (indices < 30).all()


def test_the_separable_transforms_do_not_show_their_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = random_masks(0.9, (3, 40, 57))
    distance = chessboard_distance(mask, 'separable')
    nearest = NEAREST_IN_TORCH(mask)
    monkeypatch.setattr('hrtk.silhouettes.distance.CHUNK', 3 * 40 * 57 * 7)
    np.testing.assert_array_equal(chessboard_distance(mask, 'separable'), distance)
    np.testing.assert_array_equal(NEAREST_IN_TORCH(mask), nearest)


@pytest.mark.parametrize('window', [3, 5])
def test_skeleton_holds_the_pixels_that_no_neighbour_exceeds(window: int) -> None:
    masks = [person(), random_masks(0.7, (3, 30, 40))]
    for mask in masks:
        for image, skeleton in zip(mask.numpy(), topological_skeleton(mask, window).numpy()):
            distance = ndimage.distance_transform_cdt(image, 'chessboard')
            reach = window // 2
            for y, x in np.ndindex(image.shape):
                around = distance[
                    max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1
                ]
                assert skeleton[y, x] == (image[y, x] and distance[y, x] == around.max())


def test_skeleton_of_a_bar_is_its_middle_and_runs_into_the_frame() -> None:
    mask = torch.zeros(1, 20, 30)
    mask[0, 5:12, :] = 1
    expected = torch.zeros(1, 20, 30)
    expected[0, 8, :] = 1
    assert torch.equal(topological_skeleton(mask), expected)


def test_masks_without_an_outline_have_no_skeleton() -> None:
    assert (
        not topological_skeleton(torch.ones(2, 6, 9)).any()
        and not topological_skeleton(torch.zeros(2, 6, 9)).any()
    )


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.float32, torch.float64])
def test_skeleton_keeps_the_dtype(dtype: torch.dtype) -> None:
    assert topological_skeleton(person().to(dtype)).dtype == dtype


@pytest.mark.parametrize(
    'mask, message',
    [
        (torch.zeros(5, 5), r'\(B, H, W\).*\(5, 5\)'),
        (torch.zeros(1, 0, 5), r'\(1, 0, 5\)'),
        (torch.full((1, 4, 4), 255.0), 'to 255'),
        (torch.full((1, 4, 4), 0.5), '0 and 1'),
        (torch.full((1, 4, 4), torch.nan), '0 and 1'),
    ],
)
def test_what_is_no_mask_is_named(mask: torch.Tensor, message: str) -> None:
    for function in (chessboard_distance, topological_skeleton, nearest_pixels):
        with pytest.raises(InputError, match=message):
            function(mask)


def test_unknown_options_are_named() -> None:
    with pytest.raises(InputError, match="'euclid'.*separable"):
        chessboard_distance(torch.zeros(1, 4, 4), 'euclid')
    for window in (1, 4):
        with pytest.raises(InputError, match=f'odd.*{window}'):
            topological_skeleton(torch.zeros(1, 4, 4), window)
