"""The free stream: reproducible bits, exact truth, and shifts that change what they name and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.open_stream import DOMAINS, SHIFTS, OpenStream, OpenViews, make_domain
from hrtk.datasets.open_stream.clothing import Outfit
from hrtk.datasets.open_stream.scenery import Occluder
from hrtk.errors import InputError
from hrtk.geometry.camera import project
from hrtk.registry import DATASETS
from hrtk.silhouettes.raster import rasterize

SMALL = dict(sequences=2, frames=3, size=96, seed=4)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    return tmp_path


@pytest.fixture(scope='module')
def body():
    return BodyModel('open')


@pytest.fixture(scope='module')
def shifted(tmp_path_factory):
    """One video per shift, and the studio's own, from one seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(tmp_path_factory.mktemp('shifts')))
        return {
            name: OpenStream(
                shifts=[name] if name else [], noise='clean', sequences=1, frames=4, size=96, seed=2
            )[0]
            for name in ('', *SHIFTS)
        }


def arrays(sequence) -> dict[str, np.ndarray]:
    truth, points = sequence.truth, sequence.keypoints2d
    count = range(len(sequence))
    return dict(
        frames=np.stack([sequence.frames[t] for t in count]),
        masks=np.stack([sequence.masks[t] for t in count]),
        rotmat=truth.rotmat.numpy(),
        betas=truth.betas.numpy(),
        translation=truth.translation.numpy(),
        intrinsics=truth.intrinsics.numpy(),
        boxes=sequence.boxes.numpy(),
        xy=points.xy.numpy(),
        confidence=points.confidence.numpy(),
    )


def same(a, b, *names) -> bool:
    first, second = arrays(a), arrays(b)
    return all(np.array_equal(first[name], second[name]) for name in names or first)


def project_truth(points: torch.Tensor, sequence) -> np.ndarray:
    """Camera-frame points to pixels with the stored translation and intrinsics."""
    moved = points.double().numpy() + sequence.truth.translation.double().numpy()[:, None]
    focal, cx, cy = sequence.truth.intrinsics.double().numpy().T[..., None]
    return np.stack(
        [
            focal * moved[..., 0] / moved[..., 2] + cx,
            focal * moved[..., 1] / moved[..., 2] + cy,
            moved[..., 2],
        ],
        axis=-1,
    )


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize('domain', DOMAINS)
def test_the_same_bits_with_and_without_the_cache(own_cache, monkeypatch, domain):
    first = OpenStream(domain, **SMALL)[1]
    assert len(list(own_cache.rglob('*.npz'))) == 1
    assert same(OpenStream(domain, **SMALL)[1], first)
    monkeypatch.setenv('HRTK_CACHE', str(own_cache / 'elsewhere'))
    assert same(OpenStream(domain, **SMALL)[1], first)


def test_a_cached_video_is_read_and_a_damaged_one_is_drawn_again(own_cache, monkeypatch):
    first = OpenStream(**SMALL)[0]
    (file,) = own_cache.rglob('*.npz')
    whole = file.read_bytes()
    for damage in (whole[:1000], b'', whole[:-30], whole[:5000] + b'?' * 100 + whole[5100:]):
        file.write_bytes(damage)
        assert same(OpenStream(**SMALL)[0], first)
    monkeypatch.setattr('hrtk.datasets.open_stream.stream.draw_video', None)
    assert same(OpenStream(**SMALL)[0], first)


def test_seeds_and_places_differ():
    videos = [OpenStream(**SMALL)[0], OpenStream(**SMALL)[1], OpenStream(**{**SMALL, 'seed': 5})[0]]
    for i, a in enumerate(videos):
        for b in videos[:i]:
            assert not any(
                same(a, b, name) for name in ('frames', 'rotmat', 'betas', 'translation', 'xy')
            )
    assert len({video.name for video in videos}) == 3


def test_frames_of_a_video_move():
    frames = arrays(OpenStream(**SMALL)[0])
    assert (frames['rotmat'][0] != frames['rotmat'][1]).any() and (
        frames['frames'][0] != frames['frames'][1]
    ).any()
    assert (frames['betas'] == frames['betas'][0]).all()


def test_form_of_a_sequence():
    stream = DATASETS.build(dict(type='OpenStream', **SMALL))
    sequence = stream[0]
    assert len(stream) == 2 and len(sequence) == 3
    assert sequence.frames[2].shape == (96, 96, 3) and sequence.frames[2].dtype == np.uint8
    assert sequence.masks[2].shape == (96, 96) and set(np.unique(sequence.masks[2])) == {0, 1}
    assert sequence.keypoints2d.xy.shape == (3, 17, 2) and sequence.keypoints2d.skeleton == 'coco17'
    assert sequence.keypoints2d.source == 'noise:detector'
    assert OpenStream(**SMALL, noise='clean')[0].keypoints2d.source == 'gt'
    assert [len(video) for video in stream] == [3, 3]
    with pytest.raises(IndexError):
        stream[-1]


@pytest.mark.parametrize('domain', DOMAINS)
def test_stored_truth_draws_the_stored_masks(monkeypatch, body, domain):
    """Without the thickness of clothes, rendering the stored numbers gives every mask outside its occluder."""
    monkeypatch.setattr(Outfit, 'offsets', lambda self, rest, head: np.zeros(len(rest)))
    stream = OpenStream(domain, **SMALL)
    for sequence in (stream[0], stream[1]):
        vertices = body(sequence.truth.rotmat, sequence.truth.betas).vertices
        pixels = project_truth(vertices, sequence)
        for t in range(len(sequence)):
            drawn = rasterize(pixels[t], body.data.f, 96, 96).mask
            stored = sequence.masks[t].astype(bool)
            if domain == 'studio':
                assert overlap(drawn, stored) > 0.995
            else:
                assert (stored & ~drawn).sum() <= 2  # a board may hide the person and adds nothing


def test_clothes_stand_off_the_body_by_little(body):
    sequence = OpenStream('studio', **SMALL)[0]
    pixels = project_truth(body(sequence.truth.rotmat, sequence.truth.betas).vertices, sequence)
    skin, dressed = rasterize(pixels[0], body.data.f, 96, 96).mask, sequence.masks[0].astype(bool)
    assert (skin & ~dressed).sum() <= 2 and overlap(skin, dressed) > 0.75


@pytest.mark.parametrize('skeleton', ['coco17', 'spin24', 'smpl24'])
def test_clean_keypoints_are_the_projected_joints_and_lie_on_the_person(body, skeleton):
    sequence = OpenStream('studio', **SMALL, noise='clean', skeleton=skeleton)[1]
    joints = body.joints(sequence.truth.rotmat, sequence.truth.betas, skeleton)
    pixels = project_truth(joints, sequence)[..., :2]
    np.testing.assert_allclose(sequence.keypoints2d.xy.numpy(), pixels, atol=1e-3)
    assert (sequence.keypoints2d.confidence == 1).all()
    inside = [
        name not in ('headtop_lsp', 'left_hand', 'right_hand') for name in joint_names(skeleton)
    ]
    column, row = np.rint(pixels[:, inside]).astype(int).transpose(2, 0, 1)
    on_body = np.stack([sequence.masks[t][row[t], column[t]] for t in range(len(sequence))])
    assert on_body.mean() > 0.9


def test_boxes_hold_the_points():
    sequence = OpenStream('studio', **SMALL, noise='clean')[0]
    xy = sequence.keypoints2d.xy.numpy()
    low, high = xy.min(1), xy.max(1)
    np.testing.assert_allclose(sequence.boxes[:, :2].numpy(), (low + high) / 2, atol=1e-3)
    np.testing.assert_allclose(sequence.boxes[:, 2].numpy(), 1.2 * (high - low).max(1), rtol=1e-5)


def test_noise_touches_keypoints_and_boxes_only():
    clean, noisy = (
        OpenStream(sequences=1, frames=20, size=64, noise=name)[0] for name in ('clean', 'poor')
    )
    assert same(clean, noisy, 'frames', 'masks', 'rotmat', 'betas', 'translation', 'intrinsics')
    error = (noisy.keypoints2d.xy - clean.keypoints2d.xy) * 224 / noisy.boxes[:, None, 2:]
    assert error.std() == pytest.approx(8.0, rel=0.15)
    assert 1 - noisy.keypoints2d.confidence.mean() == pytest.approx(0.25, abs=0.1)
    moved = (noisy.boxes - clean.boxes).abs() / clean.boxes[:, 2:]
    assert 0 < moved.max() < 0.15


def test_points_outside_the_picture_are_not_found():
    sequence = OpenStream('wild', sequences=1, frames=8, size=48, seed=1, noise='poor')[0]
    xy, confidence = sequence.keypoints2d.xy, sequence.keypoints2d.confidence
    outside = ((xy < -0.5) | (xy > 47.5)).any(-1)
    assert (confidence[outside] == 0).all()


LOOKS = ('background', 'clothing', 'light', 'blur', 'low_resolution', 'occluders')
TRUTH = ('rotmat', 'betas', 'translation', 'intrinsics')


@pytest.mark.parametrize('name', LOOKS)
def test_a_shift_of_looks_leaves_people_and_camera_alone(shifted, name):
    assert same(shifted[''], shifted[name], *TRUTH, 'boxes', 'xy', 'confidence')
    assert not same(shifted[''], shifted[name], 'frames') or name == 'occluders'


@pytest.mark.parametrize('name', ['background', 'light', 'blur', 'low_resolution'])
def test_these_shifts_keep_every_outline(shifted, name):
    assert same(shifted[''], shifted[name], 'masks')


def test_a_background_changes_nothing_on_the_person(shifted):
    studio, other = arrays(shifted['']), arrays(shifted['background'])
    person = studio['masks'].astype(bool)
    assert np.array_equal(studio['frames'][person], other['frames'][person])
    assert (studio['frames'][~person] != other['frames'][~person]).mean() > 0.9


def test_clothing_changes_nothing_beside_the_person(shifted):
    studio, other = arrays(shifted['']), arrays(shifted['clothing'])
    beside = (studio['masks'] | other['masks']) == 0
    assert np.array_equal(studio['frames'][beside], other['frames'][beside])
    assert (studio['frames'][~beside] != other['frames'][~beside]).mean() > 0.5


def test_an_occluder_hides_the_person_where_it_stands():
    clean, hidden = (
        OpenStream(shifts=names, sequences=10, frames=2, size=48, seed=0)
        for names in ([], ['occluders'])
    )
    boards = 0
    for a, b in zip(clean, hidden):
        a, b = arrays(a), arrays(b)
        changed = (a['frames'] != b['frames']).any(-1)
        boards += changed.any()
        assert (
            b['masks'] <= a['masks']
        ).all() and changed.mean() < 0.2  # at most a ninth, and a little for chance
        assert changed.any() or np.array_equal(a['masks'], b['masks'])
    assert 2 <= boards <= 9  # six of ten videos have one


@pytest.mark.parametrize('x, y', [(3, 2), (-4, 5), (17, 9), (-30, 0), (12, -2)])
def test_an_occluder_takes_its_area_from_the_mask(x, y):
    board = np.random.default_rng(0).random((7, 9, 3))
    image, mask = np.zeros((12, 20, 3), np.float32), np.ones((12, 20), np.uint8)
    Occluder(board).cover(image, mask, x, y)
    for row in range(12):
        for column in range(20):
            inside = 0 <= row - y < 7 and 0 <= column - x < 9
            expected = board[row - y, column - x] if inside else 0
            np.testing.assert_allclose(image[row, column], expected, rtol=1e-6)
            assert mask[row, column] == (not inside)


def test_the_camera_shift_keeps_the_person_and_how_it_moves(shifted):
    studio, other = arrays(shifted['']), arrays(shifted['camera'])
    assert np.array_equal(studio['rotmat'][:, 1:], other['rotmat'][:, 1:])
    assert np.array_equal(studio['betas'], other['betas'])
    assert not np.array_equal(studio['rotmat'][:, 0], other['rotmat'][:, 0])
    assert (
        other['translation'][:, 2].mean() < studio['translation'][:, 2].mean()
    )  # 2.5 to 4.5 m, not 5 to 7 m


def test_the_shape_shift_scales_the_betas_alone(shifted):
    studio, other = arrays(shifted['']), arrays(shifted['shape'])
    np.testing.assert_allclose(other['betas'], studio['betas'] * 1.3 / 0.8, rtol=1e-6)
    assert np.array_equal(studio['rotmat'], other['rotmat'])


def test_the_motion_shift_keeps_person_and_background(shifted):
    studio, other = arrays(shifted['']), arrays(shifted['motion'])
    assert np.array_equal(studio['betas'], other['betas'])
    assert not np.array_equal(studio['rotmat'], other['rotmat'])
    beside = (studio['masks'] | other['masks']) == 0
    assert np.array_equal(studio['frames'][beside], other['frames'][beside])


def test_wild_is_every_shift():
    assert make_domain('wild') == make_domain(shifts=list(SHIFTS))
    assert make_domain('studio') == make_domain(shifts=[])
    studio, changed = vars(make_domain()), vars(make_domain('wild'))
    assert {field for field in studio if studio[field] != changed[field]} == {
        f for s in SHIFTS.values() for f in s
    }


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(domain='wlid'), 'wlid'),
        (dict(shifts=['backgroud']), "Did you mean 'background'"),
        (dict(noise='detecter'), 'detecter'),
        (dict(skeleton='coco'), "skeleton 'coco'"),
        (dict(frames=0), 'frames is a number from 1 '),
        (dict(sequences=0), 'sequences is a positive number'),
        (dict(seqences=3), 'seqences'),
        (dict(repair_sides=True), "give a detector too, e.g. detector='blazepose'"),
        (dict(detector='openpos'), "no 2D detector called 'openpos'"),
    ],
)
def test_wrong_names(options, message):
    with pytest.raises(InputError, match=message):
        DATASETS.build({**dict(type='OpenStream'), **options})


def test_a_video_longer_than_any_motion():
    with pytest.raises(InputError, match='no motion clip is long enough for 100000 frames'):
        OpenStream(sequences=1, frames=100_000, size=8)[0]


@pytest.mark.parametrize('domain', DOMAINS)
def test_views_are_labelled_exactly(body, domain):
    views = OpenViews(domain, length=12, resolution=48, seed=3)
    items = [views[i] for i in range(12)]
    labels = {
        name: torch.stack([item[name] for item in items]) for name in items[0] if name != 'image'
    }
    joints = body.joints(labels['rotmat'], labels['betas'], 'spin24')
    # The label is weak-perspective and the picture is not: a near camera costs a few crop pixels of 224.
    error = (project(joints, labels['camera']) - labels['keypoints2d']).norm(dim=-1) * 112
    assert error.mean() < (3 if domain == 'studio' else 7) and error.max() < (
        25 if domain == 'studio' else 60
    )
    assert items[0]['image'].shape == (3, 48, 48) and items[0]['image'].dtype == torch.uint8
    assert labels['keypoints2d'].abs().amax() < 1.7 and labels['keypoints2d'].abs().mean() > 0.2


def test_views_are_reproducible_and_cached_bit_for_bit(own_cache, monkeypatch):
    plain, cached = (OpenViews('wild', length=5, resolution=32, cache=c) for c in (False, True))
    items = [plain[i] for i in range(5)]
    for _ in range(2):
        for i in (3, 0, 4, 1, 2):
            assert all(torch.equal(cached[i][name], items[i][name]) for name in items[i])
    monkeypatch.setattr(OpenViews, '_draw_view', None)
    assert torch.equal(
        OpenViews('wild', length=5, resolution=32, cache=True)[2]['image'], items[2]['image']
    )
    monkeypatch.undo()
    monkeypatch.setenv('HRTK_CACHE', str(own_cache))
    other = OpenViews('wild', length=5, resolution=32, seed=1)
    assert not torch.equal(other[0]['image'], items[0]['image'])
    assert len(list(other)) == 5
