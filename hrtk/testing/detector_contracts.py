"""The contracts of 2D detectors, as checks for the tests of plugins."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.detectors import Detector, build_detector
from hrtk.errors import InputError
from hrtk.testing.contracts import Contracts

BASE = 'hrtk/detectors/base.py'
TUTORIAL = 'docs/en/tutorials/add_a_detector.md'
TOLERANCE = 0.01  # px, and of confidences: float32 sums in another order
SIZES = ((48, 64), (80, 56), (64, 64))  # (height, width), px

DETECTOR_CONTRACTS = Contracts()


class DetectorSubject:
    """A detector under test.

    Args:
        config: of the detector.
        images: (H, W, 3) uint8 RGB each; default three of noise, which differ in size.

    Attributes:
        detector: built from the config, for the processor.
        answers: of the detector for every image in a batch of its own.
    """

    def __init__(self, config: dict, images: Optional[Sequence[np.ndarray]]) -> None:
        self.config = config
        if images is None:
            noise = np.random.default_rng(0)
            images = [noise.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
        self.images = list(images)
        self.detector = self.build()
        self.answers: list[np.ndarray] = []
        for image in self.images:
            self.answers += self.ask([image])

    def build(self) -> Detector:
        """A new detector of the config."""
        return build_detector(copy.deepcopy(self.config), 'cpu')

    def ask(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the detector finds in copies of images: one that writes into them breaks one contract, not all."""
        return self.detector([image.copy() for image in images])


def check_detector(
    detector: dict, images: Optional[Sequence[np.ndarray]] = None, skip: Iterable[str] = ()
) -> None:
    """Checks that a detector keeps every contract that ``hrtk infer`` relies on; for the tests of plugins.

    Args:
        detector: config, e.g. ``dict(type='MyDetector', weights='my.pt')``.
        images: (H, W, 3) uint8 RGB each, two or more; default small images of noise. Give images in which it finds
            people: an answer without people says little.
        skip: names of :data:`DETECTOR_CONTRACTS` to leave out.

    Raises:
        BrokenContract: an ``AssertionError`` that names the contract, the deviation, and where it is documented.
        InputError: the detector cannot be built.
    """
    subject = DetectorSubject(detector, images)
    DETECTOR_CONTRACTS.examine(subject, str(detector.get('type')), skip)


@DETECTOR_CONTRACTS.add('building it leaves its config unchanged', TUTORIAL)
def config(subject: DetectorSubject) -> Iterator[str]:
    given = copy.deepcopy(subject.config)
    build_detector(given, 'cpu')
    if given != subject.config:
        yield f'the config is {given} after building, {subject.config} before'


@DETECTOR_CONTRACTS.add('it is a Detector with a skeleton, a source and a batch size', BASE)
def attributes(subject: DetectorSubject) -> Iterator[str]:
    detector = subject.detector
    if not isinstance(detector, Detector):
        yield f'it is a {type(detector).__name__}'
    try:
        joint_names(detector.skeleton)
    except InputError as error:
        yield str(error)
    if not isinstance(detector.source, str) or not detector.source.strip():
        yield f'source is {detector.source!r}, expected a name that stands beside every result'
    if not isinstance(detector.batch_size, int) or detector.batch_size < 1:
        yield f'batch_size is {detector.batch_size!r}, expected a positive number'


@DETECTOR_CONTRACTS.add('it answers every image with a float32 array (P, K, 3)', BASE)
def shapes(subject: DetectorSubject) -> Iterator[str]:
    joints = len(joint_names(subject.detector.skeleton))
    if len(subject.answers) != len(subject.images):
        yield f'{len(subject.answers)} answers to {len(subject.images)} batches of one image'
    for number, answer in enumerate(subject.answers):
        if not isinstance(answer, np.ndarray) or answer.dtype != np.float32:
            yield f'image {number}: a {type(answer).__name__} of {getattr(answer, "dtype", "no dtype")}'
        elif answer.ndim != 3 or answer.shape[1:] != (joints, 3):
            yield f'image {number}: {answer.shape}, expected (P, {joints}, 3) for {subject.detector.skeleton}'


@DETECTOR_CONTRACTS.add(
    'positions are finite where a confidence is above 0, and it is at most 1', BASE
)
def values(subject: DetectorSubject) -> Iterator[str]:
    for number, answer in enumerate(subject.answers):
        confidence = answer[..., 2]
        if not ((confidence >= 0) & (confidence <= 1)).all():
            yield f'image {number}: confidences from {confidence.min()} to {confidence.max()}'
        if not np.isfinite(answer[confidence > 0]).all():
            yield f'image {number}: a point with a confidence above 0 is not finite'


@DETECTOR_CONTRACTS.add('positions are px of the image that was given', BASE)
def pixels(subject: DetectorSubject) -> Iterator[str]:
    for number, (image, answer) in enumerate(zip(subject.images, subject.answers)):
        height, width = image.shape[:2]
        points = answer[answer[..., 2] > 0]
        if len(points) == 0:
            continue
        farthest = np.abs(points[:, :2] - [(width - 1) / 2, (height - 1) / 2]).max()
        if farthest > 2 * max(height, width):
            yield f'image {number}, {width} x {height} px: a point is {farthest:.0f} px from its centre'
        if max(height, width) > 8 and np.abs(points[:, :2]).max() <= 1:
            yield f'image {number}, {width} x {height} px: all points are in [-1, 1], as if they were normalised'


@DETECTOR_CONTRACTS.add(
    'the answer to an image does not depend on its batch or on earlier images', BASE
)
def independence(subject: DetectorSubject) -> Iterator[str]:
    size = subject.detector.batch_size
    for images, answers in (
        (subject.images, subject.answers),
        (subject.images[::-1], subject.answers[::-1]),
    ):
        found: list[np.ndarray] = []
        for first in range(0, len(images), size):
            found += subject.ask(images[first : first + size])
        if len(found) != len(images):
            yield f'{len(found)} answers to {len(images)} images in batches of {size}'
        for number, (ours, alone) in enumerate(zip(found, answers)):
            if ours.shape != alone.shape or not np.allclose(
                ours, alone, atol=TOLERANCE, rtol=0, equal_nan=True
            ):
                yield f'image {number} of {len(images)} has another answer than by itself'


@DETECTOR_CONTRACTS.add('it does not write into the images', BASE)
def images(subject: DetectorSubject) -> Iterator[str]:
    for number, image in enumerate(subject.images):
        given = image.copy()
        subject.detector([given])
        if not np.array_equal(given, image):
            yield f'image {number} was changed'


@DETECTOR_CONTRACTS.add(
    'fingerprint() is a dict of strings, the same for two detectors of one config', BASE
)
def fingerprint(subject: DetectorSubject) -> Iterator[str]:
    hashes = subject.detector.fingerprint()
    if not isinstance(hashes, dict):
        yield f'not a dict: {hashes!r}'
        return
    if not all(isinstance(text, str) for text in (*hashes, *hashes.values())):
        yield f'not only strings: {hashes!r}'
    if hashes != subject.build().fingerprint():
        yield 'two detectors of one config have different fingerprints: no stored keypoints are found again'


@DETECTOR_CONTRACTS.add(
    'the state of a session is json, and a session that has it goes on the same', BASE
)
def session(subject: DetectorSubject) -> Iterator[str]:
    whole = subject.detector.session(25.0)
    if whole is None:
        return
    whole(subject.images[0].copy())
    state = json.loads(json.dumps(whole.state()))
    resumed = subject.build().session(25.0, state)
    if resumed is None:
        yield 'session() returns None when it is given a state'
        return
    for image in subject.images[1:]:
        expected = whole(image.copy())
        found = resumed(image.copy())
        if expected.persons != found.persons or not np.allclose(
            expected.keypoints, found.keypoints, atol=TOLERANCE, rtol=0, equal_nan=True
        ):
            yield 'a resumed session finds something else'
