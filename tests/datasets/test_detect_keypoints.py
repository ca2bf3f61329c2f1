"""Keypoints of a detector in place of the data set's: who is who, gaps, what is stored."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d, median_filter

from hrtk.datasets import OpenStream
from hrtk.datasets.frames import ArrayFrames
from hrtk.detectors import Detector, Findings, FoundLandmarks
from hrtk.errors import InputError
from hrtk.registry import DETECTORS, TRANSFORMS
from hrtk.structures import Keypoints2D, Sequence
from hrtk.testing import check_dataset

FRAMES = 5
SIDE = 40  # of every person's keypoints, px
SQUARE = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
POINTS = 17


@DETECTORS.register_module()
class PaintedPeople(Detector):
    """Finds a person for every painted pixel of the first row, whose red is a tenth of the person's x.

    Args:
        batch_size: images in a call.
        confidence: of the last point.
    """

    skeleton = 'coco17'
    source = 'painted'
    calls: list[int] = []  # images of every call

    def __init__(self, batch_size: int = 2, confidence: float = 1.0) -> None:
        self.batch_size = batch_size
        self.confidence = confidence

    def __call__(self, images):
        self.calls.append(len(images))
        return [self.people(image) for image in images]

    def fingerprint(self):
        return {'confidence': str(self.confidence)}

    def people(self, image):
        painted = image[0, image[0, :, 0] > 0, 0]
        found = np.zeros((len(painted), POINTS, 3), np.float32)
        for person, red in zip(found, painted):
            person[:4, :2] = SQUARE * SIDE + [10.0 * red, 20]
            person[:4, 2] = [1, 1, 1, self.confidence]
        return found


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    PaintedPeople.calls.clear()


def painted(*people):
    """A sequence whose person stands at x = 100 to 140 in frames with these people."""
    images = np.zeros((len(people), 80, 200, 3), np.uint8)
    for image, reds in zip(images, people):
        for column, red in enumerate(reds):
            image[0, column] = red
    boxes = torch.tensor([[120.0, 40, 48]]).repeat(len(people), 1)
    keypoints = Keypoints2D(
        torch.full((len(people), POINTS, 2), 7.0), torch.ones(len(people), POINTS), 'coco17', 'gt'
    )
    return Sequence('walk', ArrayFrames(images), boxes, keypoints, fps=10.0)


def detect(sequence, **options):
    transform = TRANSFORMS.build(
        dict(type='DetectKeypoints', **{'detector': dict(type='PaintedPeople'), **options})
    )
    return transform(sequence)


def test_the_person_is_the_one_whose_box_overlaps_most():
    # Persons at x = 120, 100 and 20: they overlap the box by 1/3 or so, wholly, and not at all.
    found = detect(painted((12, 10), (10, 2), (2, 10, 12)), smooth=False)
    expected = torch.tensor(SQUARE * SIDE + [100, 20], dtype=torch.float32)
    assert found.keypoints2d.source == 'painted'
    assert found.keypoints2d.skeleton == 'coco17'
    for t in range(3):
        assert torch.equal(found.keypoints2d.xy[t, :4], expected)
    assert torch.equal(found.keypoints2d.confidence[0], torch.tensor([1.0] * 4 + [0.0] * 13))
    assert torch.allclose(found.boxes, torch.tensor([[120.0, 40, 48]]).expand(3, 3))
    assert found.landmarks is None


def test_a_missed_person_is_absent_and_the_box_goes_on():
    # At 90, then 110 two frames later; between them only somebody far away, and at last nobody.
    found = detect(painted((9,), (2,), (11,), ()), smooth=False)
    assert found.keypoints2d.visible().any(1).tolist() == [True, False, True, False]
    assert not found.keypoints2d.xy[1].any()
    assert torch.allclose(found.boxes[:, 0], torch.tensor([110.0, 120, 130, 130]))


def test_boxes_are_smoothed_as_those_of_footage():
    smooth = detect(painted((9,), (10,), (11,), (10,))).boxes
    # VIBE's 11 frames and 8 frames at 30 Hz are 3 and 8 / 3 at 10 Hz.
    median = median_filter(np.array([110.0, 120, 130, 120]), 3, mode='nearest')
    expected = gaussian_filter1d(median, 8 / 3, mode='nearest')
    assert np.allclose(smooth[:, 0], expected, atol=1e-4)
    assert smooth[:, 2].tolist() == pytest.approx([48] * 4)


@pytest.mark.parametrize('people', [((2,), (), (1,)), ((), (), ())])
def test_nobody_is_found(caplog, people):
    sequence = painted(*people)
    with caplog.at_level(logging.WARNING):
        found = detect(sequence)
    assert 'walk: painted found the person in none of 3 frames' in caplog.text
    assert torch.equal(found.boxes, sequence.boxes)
    assert not found.keypoints2d.visible().any()
    assert found.keypoints2d.source == 'painted'
    assert found.landmarks is None


def test_how_much_must_overlap():
    sequence = painted((12,), (12,))  # 48 px wide, 20 px to the right: 28 / 68 of the union
    assert detect(sequence, min_iou=0.41).keypoints2d.visible().any()
    assert not detect(sequence, min_iou=0.42).keypoints2d.visible().any()


def test_doubtful_points_are_absent():
    found = detect(painted((10,), (10,)), detector=dict(type='PaintedPeople', confidence=0.29))
    assert found.keypoints2d.confidence[:, :4].tolist() == [[1, 1, 1, 0]] * 2


def test_every_sequence_is_looked_at_once():
    sequence = painted((10,), (10,), (2, 10))
    first = detect(sequence)
    assert PaintedPeople.calls == [2, 1]  # by batches
    again = detect(sequence)
    assert PaintedPeople.calls == [2, 1]
    assert torch.equal(first.keypoints2d.xy, again.keypoints2d.xy)
    detect(painted((10,), (10,), (10,)))  # other pixels
    assert PaintedPeople.calls == [2, 1, 2, 1]
    detect(sequence, detector=dict(type='PaintedPeople', batch_size=3))  # another detector
    assert PaintedPeople.calls == [2, 1, 2, 1, 3]


def test_detections_of_a_detector_without_a_fingerprint_are_not_stored(monkeypatch, tmp_path):
    monkeypatch.setattr(PaintedPeople, 'fingerprint', Detector.fingerprint)
    detect(painted((10,), (10,)))
    detect(painted((10,), (10,)))
    assert PaintedPeople.calls == [2, 2]
    assert not list(tmp_path.rglob('*.npz'))


@pytest.mark.parametrize('damage', ['truncated', 'names', 'shape', 'joints'])
def test_a_damaged_stored_file_is_computed_again(tmp_path, damage):
    sequence = painted((10,), (10,))
    first = detect(sequence)
    (path,) = tmp_path.rglob('*.npz')
    arrays = dict(np.load(path))
    if damage == 'truncated':
        path.write_bytes(path.read_bytes()[:100])
    elif damage == 'names':
        np.savez(path, frames=arrays['frames'], points=arrays['keypoints'])
    elif damage == 'shape':
        np.savez(path, frames=arrays['frames'][:1], keypoints=arrays['keypoints'])
    else:
        np.savez(path, frames=arrays['frames'], keypoints=arrays['keypoints'][:, :16])
    again = detect(sequence)
    assert torch.equal(first.keypoints2d.xy, again.keypoints2d.xy)
    assert PaintedPeople.calls == [2, 2]


@pytest.mark.parametrize('box_scale', [0.9, 1.2, 2.4])
def test_boxes_of_another_scale(box_scale):
    sequence = painted((10,), (2,), (10,))
    found = detect(sequence, box_scale=box_scale)
    assert found.keypoints2d.visible().any(1).tolist() == [True, False, True]
    expected = torch.tensor([[120.0, 40, 40 * box_scale]]).expand(3, 3)
    assert torch.allclose(found.boxes, expected)
    unseen = detect(painted((2,), (2,)), box_scale=box_scale)
    assert torch.allclose(unseen.boxes, expected[:2])
    options = dict(domain='studio', sequences=1, frames=2, detector='blazepose')
    stream = OpenStream(box_scale=box_scale, **options)[0]
    sides = stream.boxes[:, 2] / OpenStream(**options)[0].boxes[:, 2]
    assert torch.allclose(sides, torch.tensor(box_scale / 1.2).expand(2))


class Answering(Detector):
    """Answers with what a test gives it.

    Args:
        answers: of every image.
        batches: whether it takes batches, and not one frame after the other.
    """

    skeleton = 'coco17'
    source = 'answers'

    def __init__(self, answers, batches=True):
        self.answers = answers
        self.batch_size = len(answers)
        self.batches = batches

    def __call__(self, images):
        return self.answers

    def session(self, fps, state=None):
        if self.batches:
            return None
        answers = iter(self.answers)
        return lambda image: next(answers)


NOBODY = np.empty((0, POINTS, 3), np.float32)


@pytest.mark.parametrize(
    'answer, message',
    [
        (None, r'Answering returned no numbers .*\(P, 17, 3\)|returned an array \(\)'),
        (np.zeros((17, 3)), r'an array \(17, 3\) for an image; a detector of coco17 returns'),
        (np.zeros((1, 16, 3)), r'an array \(1, 16, 3\)'),
        (np.zeros((1, 17, 2)), r'an array \(1, 17, 2\)'),
        ([['a']], 'Answering returned no numbers'),
    ],
)
@pytest.mark.parametrize('batches', [True, False])
def test_detectors_that_answer_wrongly(answer, message, batches):
    answers = [answer]
    if not batches and answer is not None:
        answers = [Findings(answer)]
    with pytest.raises(RuntimeError, match=message):
        detect(painted((10,)), detector=Answering(answers, batches))


def test_numbers_of_other_kinds():
    person = np.zeros((1, POINTS, 3))
    person[0, :4, :2] = SQUARE * SIDE + [100, 20]
    person[0, :4, 2] = [1, 7, 0.5, np.nan]
    whole = np.nan_to_num(person).astype(int)
    found = detect(painted((), (), ()), detector=Answering([person, whole, []]))
    assert found.keypoints2d.xy.dtype == torch.float32
    assert found.keypoints2d.confidence[0, :4].tolist() == [1, 1, 0.5, 0]
    assert not found.keypoints2d.visible()[2].any()


def test_landmarks_of_some_frames():
    seen = OpenStream('studio', sequences=1, frames=1, detector='blazepose')[0].landmarks
    landmarks = FoundLandmarks(
        xyz=seen.xyz.numpy(),
        world=seen.world.numpy(),
        visibility=seen.visibility.numpy(),
        flag=np.ones(1, np.float32),
        region=np.zeros((1, 4), np.float32),
        mirrored=np.full((1, 12, 3), np.nan, np.float32),
    )
    person = np.zeros((1, POINTS, 3), np.float32)
    person[0, :4] = np.column_stack([SQUARE * SIDE + [100, 20], np.ones(4)])
    answers = [
        Findings(person, None, landmarks),
        Findings(NOBODY),
        Findings(person),
        Findings(person, None, landmarks),
    ]
    found = detect(painted((), (), (), ()), detector=Answering(answers, batches=False))
    assert found.landmarks.valid.tolist() == [True, False, False, True]
    assert torch.equal(found.landmarks.world[3], seen.world[0])


def test_a_sequence_without_frames():
    sequence = painted((10,)).part(0, 0)
    assert detect(sequence) is sequence


def test_everything_else_stays():
    sequence = painted((10,), (10,))
    found = detect(sequence)
    for field in ('name', 'frames', 'truth', 'masks', 'frame_ids', 'fps', 'focal', 'times'):
        assert getattr(found, field) is getattr(sequence, field)
    assert float(sequence.keypoints2d.xy.unique()) == 7  # nothing is changed in place


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(min_iou=0.0), 'min_iou is above 0 and at most 1, not 0.0'),
        (dict(min_confidence=1.0), r'min_confidence is a confidence in \[0, 1\), not 1.0'),
        (dict(box_scale=-1.0), 'box_scale is above 0, not -1.0'),
        (dict(detector='blazepos'), "no 2D detector called 'blazepos'. Did you mean 'blazepose'"),
        (dict(detector='blazepose', device='tpu9'), "the device 'tpu9' cannot be used here"),
        (dict(detector=3), "a detector is a name, e.g. 'blazepose', a config .*, not 3"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        detect(painted((10,)), **options)


def test_the_stream_is_seen_by_blazepose():
    options = dict(domain='studio', sequences=1, frames=3)
    exact = OpenStream(noise='clean', **options)
    stream = OpenStream(detector='blazepose', **options)
    truth = exact[0]
    found = stream[0]
    keypoints = found.keypoints2d
    assert keypoints.source == 'blazepose'
    visible = keypoints.visible()
    assert visible.float().mean() > 0.7
    error = (keypoints.xy - truth.keypoints2d.xy).norm(dim=-1) / truth.boxes[:, 2:]
    assert 224 * error[visible].median() < 10
    assert (iou_of(found.boxes, truth.boxes) > 0.7).all()
    assert found.landmarks.valid.all()
    assert stream.names() == [found.name] == [truth.name]
    assert set(stream.fingerprint()) == {'open_stream', 'weights', 'options'}
    repaired = OpenStream(detector='blazepose', repair_sides=True, **options)[0]
    assert repaired.keypoints2d.source == 'blazepose, left and right repaired'


def iou_of(a, b):
    """Of square boxes (F, 3)."""
    low = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    common = (high - low).clamp_min(0).prod(1)
    return common / (a[:, 2] ** 2 + b[:, 2] ** 2 - common)


def test_exchanged_sides_are_repaired():
    stream = OpenStream('studio', sequences=1, frames=12, noise='clean')
    sequence = stream[0]

    class Exchanging(Detector):
        """The exact points, left and right exchanged in frames 5 and 6."""

        skeleton = 'coco17'
        source = 'exact'
        batch_size = 12

        def __call__(self, images):
            points = np.concatenate(
                [sequence.keypoints2d.xy.numpy(), np.ones((12, 17, 1), np.float32)], axis=-1
            )
            pairs = np.array([0, *(k + 1 if k % 2 else k - 1 for k in range(1, 17))])
            points[5:7] = points[5:7, pairs]
            return list(points[:, None])

    repaired = detect(sequence, detector=Exchanging(), repair_sides=True)
    assert repaired.keypoints2d.source == 'exact, left and right repaired'
    assert torch.allclose(repaired.keypoints2d.xy, sequence.keypoints2d.xy)
    plain = detect(sequence, detector=Exchanging())
    wrong = (plain.keypoints2d.xy - sequence.keypoints2d.xy).norm(dim=-1).amax(1) > 1
    assert wrong.nonzero().flatten().tolist() == [5, 6]


def test_a_single_frame_is_a_photograph():
    stream = OpenStream('studio', sequences=1, frames=1, detector='blazepose')
    assert stream[0].landmarks.valid.tolist() == [True]
    sequence = dataclasses.replace(stream[0], fps=25.0)
    assert detect(sequence, detector='blazepose', repair_sides=True).landmarks.valid.all()


def test_contracts():
    check_dataset(dict(type='OpenStream', sequences=1, frames=2, size=128, detector='blazepose'))
