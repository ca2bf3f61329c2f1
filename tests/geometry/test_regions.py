"""Turned squares: crops against scipy, places there and back, masks put back into the image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from hrtk.geometry.boxes import to_crop
from hrtk.geometry.regions import (
    crop_regions,
    from_regions,
    paste_mask,
    to_regions,
    turn,
    wrap_angle,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
REGIONS = torch.tensor(
    [[26.0, 18.0, 20.0, 0.0], [30.0, 10.0, 70.0, 0.7], [5.0, 30.0, 9.0, -2.5], [-90.0, 4, 8, 0]]
)


@pytest.mark.parametrize('index', range(len(REGIONS)))
def test_crops_are_those_of_scipy(index):
    resolution = 40
    cx, cy, side, angle = REGIONS[index].double().tolist()
    steps = ((np.arange(resolution) + 0.5) / resolution - 0.5) * side
    u, v = np.meshgrid(steps, steps)
    x = cx + math.cos(angle) * u - math.sin(angle) * v
    y = cy + math.sin(angle) * u + math.cos(angle) * v
    found = crop_regions(IMAGE, REGIONS, resolution)[index]
    for channel in range(3):
        # The border of zeros makes the half pixel around the image fade out, as it does in hrtk.
        values = np.pad(IMAGE[..., channel].astype(float), 2)
        wanted = map_coordinates(values, [y + 2, x + 2], order=1, cval=0.0)
        np.testing.assert_allclose(found[channel].numpy(), wanted / 255, atol=2e-5)


def test_small_crops_of_large_regions_lie_at_the_same_places():
    """Of a ramp, which every bilinear sampling keeps, with every fifth pixel read."""
    rows, columns = np.meshgrid(np.arange(300.0), np.arange(400.0), indexing='ij')
    ramp = np.stack([rows, columns, rows + columns], axis=-1) / 3
    region = torch.tensor([[200.0, 150.0, 140.0, 0.6]])
    crop = crop_regions(ramp, region, 24)
    steps = (torch.arange(24) + 0.5) / 12 - 1
    places = torch.stack(torch.meshgrid(steps, steps, indexing='xy'), dim=-1).view(1, -1, 2)
    x, y = from_regions(places, region)[0].view(24, 24, 2).unbind(-1)
    wanted = torch.stack([y, x, x + y]) / 3 / 255
    torch.testing.assert_close(crop[0], wanted, atol=1e-5, rtol=0)


def test_a_region_without_an_angle_is_a_box():
    xy = torch.rand(2, 5, 2) * 40
    boxes = torch.tensor([[20.0, 10.0, 30.0], [5.0, 6.0, 7.0]])
    regions = torch.cat([boxes, torch.zeros(2, 1)], dim=1)
    torch.testing.assert_close(to_regions(xy, regions), to_crop(xy, boxes))


def test_places_go_there_and_back_and_the_angle_is_clockwise():
    xy = torch.rand(4, 6, 2, dtype=torch.float64) * 50
    regions = REGIONS.double()
    torch.testing.assert_close(from_regions(to_regions(xy, regions), regions), xy)
    right = torch.tensor([[[1.0, 0.0]]])
    quarter = turn(right, torch.tensor([math.pi / 2]))
    torch.testing.assert_close(quarter, torch.tensor([[[0.0, 1.0]]]))  # down on the image
    angles = wrap_angle(torch.tensor([math.pi, 3.5 * math.pi, -0.1]))
    torch.testing.assert_close(angles, torch.tensor([-math.pi, -math.pi / 2, -0.1]))


def test_crops_of_unusable_regions_are_black():
    regions = torch.tensor([[math.nan, 1, 5, 0], [9.0, 9, 0, 0], [9.0, 9, -4, 0], [9.0, 9, 6, 0]])
    found = crop_regions(IMAGE, regions, 8)
    assert found[:3].abs().max() == 0 < found[3].max()
    assert crop_regions(IMAGE, regions[:0], 8).shape == (0, 3, 8, 8)


def test_crops_are_differentiable_in_the_region():
    smooth = torch.from_numpy(IMAGE).double().cumsum(0).cumsum(1) / 1e4
    region = torch.tensor([[26.3, 18.2, 14.4, 0.3]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: crop_regions(smooth, r, 9), region, atol=1e-6)


def test_a_pasted_mask_lies_where_it_was_cropped():
    mask = torch.zeros(40, 40)
    mask[10:30, 14:26] = 1  # of the crop
    region = torch.tensor([26.0, 18.0, 24.0, 0.5])
    pasted = paste_mask(mask, region, (37, 53))
    rows, columns = torch.meshgrid(torch.arange(37.0), torch.arange(53.0), indexing='ij')
    xy = torch.stack([columns, rows], dim=-1).view(1, -1, 2)
    u, v = to_regions(xy, region[None])[0].view(37, 53, 2).unbind(-1)
    # Cells 14 to 25 of 40 cover [-0.3, 0.3] of the width, 10 to 29 cover [-0.5, 0.5] of the height.
    distance = torch.maximum((u.abs() - 0.3), (v.abs() - 0.5))
    assert (pasted[distance < -0.05] == 1).all() and (pasted[distance > 0.05] == 0).all()
    assert pasted.sum() == pytest.approx(0.3 * 0.5 * 24**2, rel=0.02)
