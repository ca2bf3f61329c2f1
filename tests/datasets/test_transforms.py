"""Domains made of other data sets: pixels against OpenCV and Pillow, ground truth by projecting it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hrtk.apis import adapt, load_config
from hrtk.body_models import BodyModel
from hrtk.datasets import OpenStream
from hrtk.datasets.frames import ArrayFrames
from hrtk.errors import InputError
from hrtk.geometry.boxes import crop_image, to_crop
from hrtk.registry import DATASETS, TRANSFORMS
from hrtk.structures import Keypoints2D, Sequence

ROOT = Path(__file__).parents[2]
R = 48
STREAM = dict(type='OpenStream', domain='wild', sequences=2, frames=2, size=96, noise='clean')


def transformed(*transforms, **options):
    return DATASETS.build(
        dict(type='Transformed', dataset={**STREAM, **options}, transforms=list(transforms))
    )


def apply(sequence, **cfg):
    return TRANSFORMS.build(cfg)(sequence)


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='module')
def plain():
    return OpenStream('wild', sequences=2, frames=2, size=96, noise='clean')[0]


@pytest.fixture(scope='module')
def crops(plain):
    return apply(plain, type='CropTo', resolution=R)


def noise(masks=True):
    """Two crops of noise with half a mask."""
    pixels = np.random.default_rng(3).integers(0, 256, (2, R, R, 3), dtype=np.uint8)
    boxes = torch.tensor([[(R - 1) / 2, (R - 1) / 2, R]] * 2)
    half = np.zeros((2, R, R), np.uint8)
    half[:, 8:40, 10:27] = 1
    points = Keypoints2D(torch.zeros(2, 1, 2), torch.zeros(2, 1), 'x', 'gt')
    return Sequence('noise', ArrayFrames(pixels), boxes, points, masks=half if masks else None)


def test_crops_are_what_the_network_saw(plain, crops):
    for t in range(2):
        before = crop_image(plain.frames[t], plain.boxes[t], R)
        frame = crops.frames[t]
        assert frame.shape == (R, R, 3) and frame.dtype == np.uint8
        torch.testing.assert_close(
            torch.as_tensor(frame).permute(2, 0, 1).float(), before, atol=0.5001, rtol=0
        )
        again = crop_image(frame, crops.boxes[t], R)
        torch.testing.assert_close(
            again, torch.as_tensor(frame).permute(2, 0, 1).float(), atol=1e-2, rtol=0
        )
    twice = apply(crops, type='CropTo', resolution=R)
    np.testing.assert_array_equal(twice.frames[1], crops.frames[1])
    np.testing.assert_array_equal(twice.masks[1], crops.masks[1])
    torch.testing.assert_close(
        to_crop(crops.keypoints2d.xy, crops.boxes),
        to_crop(plain.keypoints2d.xy, plain.boxes),
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize('resolution', [R, 224])
def test_ground_truth_stays_exact(plain, resolution):
    moved = apply(plain, type='CropTo', resolution=resolution)
    truth, body = moved.truth, BodyModel()
    assert torch.equal(truth.translation, plain.truth.translation) and torch.equal(
        truth.rotmat, plain.truth.rotmat
    )
    points = body.joints(truth.rotmat, truth.betas, 'coco17') + truth.translation[:, None]
    projected = (
        truth.intrinsics[:, None, :1] * points[..., :2] / points[..., 2:]
        + truth.intrinsics[:, None, 1:]
    )
    torch.testing.assert_close(projected, moved.keypoints2d.xy, atol=resolution * 1e-4, rtol=0)


def test_masks_lie_on_the_projected_body():
    studio = OpenStream('studio', sequences=1, frames=1, size=96, noise='clean')[0]
    moved = apply(studio, type='CropTo', resolution=112)
    truth, mask = moved.truth, moved.masks[0]
    vertices = BodyModel()(truth.rotmat, truth.betas).vertices[0] + truth.translation[0]
    xy = (
        (truth.intrinsics[0, 0] * vertices[:, :2] / vertices[:, 2:] + truth.intrinsics[0, 1:])
        .round()
        .long()
        .numpy()
    )
    inside = ((xy >= 0) & (xy < 112)).all(1)
    grown = cv2.dilate(
        mask, np.ones((3, 3))
    )  # half of the vertices on the outline are rounded outwards
    assert inside.mean() > 0.95 and grown[xy[inside, 1], xy[inside, 0]].mean() > 0.99
    rows, columns = np.nonzero(mask)
    low, high = xy[inside].min(0), xy[inside].max(0)
    assert np.abs(np.array([columns.min(), rows.min()]) - low).max() <= 5
    assert np.abs(np.array([columns.max(), rows.max()]) - high).max() <= 5


def test_a_frame_without_a_box_is_black(plain):
    boxes = plain.boxes.clone()
    boxes[0] = float('nan')
    moved = apply(
        Sequence('x', plain.frames, boxes, plain.keypoints2d, masks=plain.masks),
        type='CropTo',
        resolution=R,
    )
    assert moved.frames[0].max() == moved.masks[0].max() == 0 and moved.boxes[0].isnan().all()
    assert apply(moved, type='LowResolution', width=12).frames[0].max() == 0


@pytest.mark.parametrize('width', [32, 16, 13])
def test_low_resolution_is_opencvs_area_and_pillows_bicubic(width):
    image = pytest.importorskip('PIL.Image', reason='Pillow is the reference')
    found = apply(noise(), type='LowResolution', width=width)
    for t in range(2):
        small = cv2.resize(
            noise().frames[t].astype(np.float32), (width, width), interpolation=cv2.INTER_AREA
        )
        small = (small + 0.5).astype(np.uint8)
        expected = np.asarray(image.fromarray(small).resize((R, R), image.Resampling.BICUBIC))
        difference = np.abs(found.frames[t].astype(int) - expected)
        assert difference.max() <= 2 and (difference > 0).mean() < 0.03
        coarse = (
            cv2.resize(
                noise().masks[t].astype(np.float32), (width, width), interpolation=cv2.INTER_AREA
            )
            >= 0.5
        )
        grown = np.asarray(
            image.fromarray(coarse.astype(np.uint8) * 255).resize((R, R), image.Resampling.BICUBIC)
        )
        assert (found.masks[t] != (grown > 127)).mean() < 2e-3
        assert set(np.unique(found.masks[t])) == {0, 1} and found.masks[t].dtype == np.uint8


def test_full_resolution_changes_nothing():
    found = apply(noise(), type='LowResolution', width=R)
    np.testing.assert_array_equal(found.frames[1], noise().frames[1])
    np.testing.assert_array_equal(found.masks[1], noise().masks[1])


@pytest.fixture
def pattern(tmp_path):
    values = np.random.default_rng(0).uniform(-8, 8, (R, R, 3)).astype(np.float32)
    values[0, 0, 0] = 8
    np.savez(tmp_path / 'uap.npz', perturbation=values, eps=8.0)
    return tmp_path / 'uap.npz', values


def test_a_perturbation_is_added_and_cut(pattern):
    file, values = pattern
    given = noise()
    for eps, factor in ((None, 1), (16.0, 2)):
        found = apply(given, type='AddPerturbation', file=file, eps=eps)
        exact = np.clip(given.frames[0] + factor * values.astype(float), 0, 255)
        assert np.abs(found.frames[0] - exact).max() <= 0.5 + 1e-4
        np.testing.assert_array_equal(found.masks[0], given.masks[0])
    assert 0 in found.frames[0] and 255 in found.frames[0]


def test_grey_is_luma_in_three_channels():
    given = noise()
    found, pixels = apply(given, type='Greyscale').frames[0], given.frames[0].astype(float)
    assert np.abs(found - (pixels @ [0.299, 0.587, 0.114])[..., None]).max() <= 1
    assert (found == found[..., :1]).all()


def test_thermal_people_are_bright_and_smooth(crops):
    found = apply(crops, type='Thermal')
    inner = cv2.erode(crops.masks[0], np.ones((5, 5))) > 0
    outer = cv2.dilate(crops.masks[0], np.ones((9, 9))) == 0
    frame = found.frames[0]
    assert (frame == frame[..., :1]).all() and frame.dtype == np.uint8
    assert frame[inner].min() > 150 and frame[outer].max() < 85
    rough = lambda x: np.abs(cv2.Laplacian(x[..., 0].astype(np.float32), -1))  # noqa: E731
    assert (
        rough(frame)[outer].mean()
        < 0.5 * rough(apply(crops, type='Greyscale').frames[0])[outer].mean()
    )
    blind = apply(noise(masks=False), type='Thermal').frames[0]
    assert blind.max() <= 80


def test_masks_of_a_source(tmp_path):
    for t in range(2):
        cv2.imwrite(str(tmp_path / f'{t}.png'), np.full((96, 96), 255 * t, np.uint8))
    source = dict(type='MaskFiles', folder=str(tmp_path), pattern='{index}.png')
    dataset = transformed(dict(type='WithMasks', source=source), dict(type='CropTo', resolution=R))
    assert dataset[0].masks_source == 'files' and dataset[0].masks[0].max() == 0
    assert dataset.fingerprint()['0.masks'] != OpenStream().fingerprint()['open_stream']
    assert OpenStream('wild', sequences=1, frames=1, size=96)[0].masks_source == ''


def test_a_transformed_data_set(pattern):
    steps = (
        dict(type='CropTo', resolution=R),
        dict(type='AddPerturbation', file=str(pattern[0])),
        dict(type='Greyscale'),
    )
    dataset, plain = (
        transformed(*steps),
        OpenStream('wild', sequences=2, frames=2, size=96, noise='clean'),
    )
    assert len(dataset) == 2 and dataset.seed == plain.seed and dataset.domain == plain.domain
    assert [s.name for s in dataset] == [s.name for s in plain]
    by_hand = plain[1]
    for step in steps:
        by_hand = apply(by_hand, **step)
    np.testing.assert_array_equal(dataset[1].frames[1], by_hand.frames[1])
    found = dataset.fingerprint()
    assert set(found) == {'open_stream', '1.perturbation'}
    assert found['open_stream'] == plain.fingerprint()['open_stream']
    other = transformed(steps[0], {**steps[1], 'eps': 4.0}).fingerprint()
    assert other['1.perturbation'] != found['1.perturbation']
    with pytest.raises(IndexError):
        dataset[2]
    with pytest.raises(AttributeError):
        dataset.classes
    for twin in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        np.testing.assert_array_equal(twin[0].frames[0], dataset[0].frames[0])


def test_nothing_is_read_before_it_is_asked_for(plain):
    class Refusing(ArrayFrames):
        def __getitem__(self, index):
            raise AssertionError('read')

    given = Sequence(
        'x', Refusing(plain.frames.array), plain.boxes, plain.keypoints2d, plain.truth, plain.masks
    )
    for cfg in (
        dict(type='CropTo', resolution=R),
        dict(type='LowResolution', width=12),
        dict(type='Thermal'),
    ):
        given = apply(given, **cfg)
    with pytest.raises(AssertionError, match='read'):
        given.frames[0]
    with pytest.raises(IndexError):
        given.frames[2]


def test_an_adapter_runs_on_it(tmp_path):
    options = dict(
        type='Transformed',
        dataset={**STREAM, 'sequences': 1},
        transforms=[dict(type='CropTo', resolution=112), dict(type='LowResolution', width=16)],
    )
    config = load_config(ROOT / 'configs/source/r18_wild.py')
    clean = adapt(
        config,
        work_dir=str(tmp_path / 'a'),
        dataset={**options, '_delete_': True, 'transforms': options['transforms'][:1]},
        outputs=None,
    )
    low = adapt(
        config, work_dir=str(tmp_path / 'b'), dataset={**options, '_delete_': True}, outputs=None
    )
    assert (
        np.isfinite(low['Source/mpjpe_mm']) and low['Source/mpjpe_mm'] != clean['Source/mpjpe_mm']
    )


def test_names_do_not_clash_with_mmengine():
    assert not set(TRANSFORMS.module_dict) & set(TRANSFORMS.parent.module_dict)


@pytest.mark.parametrize(
    'cfg, complaint',
    [
        (dict(type='CropTo', resolution=0), 'resolution'),
        (dict(type='LowResolution', width=0), 'width'),
        (dict(type='LowResolution', width=200), 'width=200 is more than the 48 px'),
        (dict(type='Thermal', person=(200, 100)), 'person'),
        (dict(type='Thermal', blur=0), 'blur'),
        (dict(type='LowRes', width=8), "Did you mean 'LowResolution'"),
        (
            dict(type='AddPerturbation', file='gone.npz'),
            r'gone\.npz: there is no such file; craft one',
        ),
        (dict(type='WithMasks', source=dict(type='MaskFiles', folder='gone')), 'gone'),
    ],
)
def test_bad_settings(cfg, complaint, crops):
    with pytest.raises(InputError, match=complaint):
        apply(crops, **cfg)


def test_what_needs_crops_says_so(plain, pattern, tmp_path):
    for cfg in (dict(type='LowResolution'), dict(type='AddPerturbation', file=pattern[0])):
        with pytest.raises(InputError, match="put dict\\(type='CropTo'"):
            apply(plain, **cfg)
    with pytest.raises(InputError, match='48 px wide, the crops of .* are 64'):
        apply(apply(plain, type='CropTo', resolution=64), type='AddPerturbation', file=pattern[0])
    with pytest.raises(InputError, match='eps'):
        apply(plain, type='AddPerturbation', file=pattern[0], eps=-1)
    for arrays, complaint in (
        (dict(noise=np.zeros(3)), 'perturbation'),
        (dict(perturbation=np.zeros((3, 4, 3))), 'R, R'),
        (dict(perturbation=np.full((4, 4, 3), np.nan)), 'finite'),
    ):
        np.savez(tmp_path / 'bad.npz', **arrays)
        with pytest.raises(InputError, match=complaint):
            apply(plain, type='AddPerturbation', file=tmp_path / 'bad.npz')
    for transforms in ('Greyscale', dict(type='Greyscale')):
        with pytest.raises(InputError, match='transforms is a list'):
            DATASETS.build(dict(type='Transformed', dataset=STREAM, transforms=transforms))


def test_landmarks_move_with_the_crop():
    sequence = OpenStream('studio', sequences=1, frames=2, detector='blazepose')[0]
    boxes = sequence.boxes.clone()
    boxes[1] = float('nan')
    crops = apply(dataclasses.replace(sequence, boxes=boxes), type='CropTo', resolution=R)
    before, after = sequence.landmarks, crops.landmarks
    assert before.valid.all() and after.valid.tolist() == [True, False]
    cx, cy, side = sequence.boxes[0].double().tolist()
    expected = before.xyz[0].double().clone()
    expected[:, 0] = (expected[:, 0] - cx) * R / side + (R - 1) / 2
    expected[:, 1] = (expected[:, 1] - cy) * R / side + (R - 1) / 2
    expected[:, 2] *= R / side
    assert torch.allclose(after.xyz[0].double(), expected, atol=1e-3)
    assert not after.xyz[1].any()
    assert torch.equal(after.world, before.world)
    assert torch.equal(after.visibility, before.visibility)
