"""2D keypoints and boxes of a detector, for data sets that come with others."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Optional

import numpy as np
import torch

from hrtk.body_models.person_similarity import iou
from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.arrays import cached_arrays
from hrtk.datasets.own.track_sides import repair_message, repair_track
from hrtk.datasets.own.tracking import boxes_of_rows, points_of_rows, smooth_boxes
from hrtk.datasets.transforms.base import Transform
from hrtk.detectors import Detector, Findings, FoundLandmarks, build_detector, find_people
from hrtk.detectors.findings import SHAPES
from hrtk.errors import OptionError
from hrtk.files import cache_folder
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.registry import TRANSFORMS
from hrtk.structures import Keypoints2D, Sequence

FORMAT = 2  # of the stored files; a change makes them obsolete
MATCHED_SCALE = 1.2  # of boxes that are compared: SPIN's, and that of most data sets
_log = logging.getLogger(__name__)


@TRANSFORMS.register_module()
class DetectKeypoints(Transform):
    """Replaces 2D keypoints and boxes by those that a detector finds in the frames, as on footage without annotation.

    **Who is who.** In every frame the person of the sequence is the detection whose box overlaps the given box most, if
    their intersection over union is at least ``min_iou``. The given boxes are taken to have SPIN's scale, 1.2. Ground
    truth decides nothing else.

    **Gaps.** Where the person is not found the box is interpolated and the keypoints have confidence 0. If no frame
    shows the person, the given boxes stay, brought to ``box_scale``, all keypoints have confidence 0, and the log says
    so.

    A sequence of one frame is a photograph to the detector; a longer one is a clip. Landmarks that the detector finds
    become those of the sequence. Detections are stored in ``$HRTK_CACHE/keypoints`` under a hash of the pixels and of
    the detector's config and fingerprint, so that a sequence is looked at once. Those of a detector without a
    fingerprint are not stored.

    Args:
        detector: name, config or object, see :func:`hrtk.detectors.build_detector`.
        min_iou: in (0, 1]. The default, 0.3, is reached by a detection of half of a person.
        min_confidence: points of lower confidence get confidence 0; 0.3 is VIBE's.
        box_scale: side of the crop box over the larger extent of the visible points, 1.2 in SPIN.
        smooth: whether boxes are smoothed over time as in VIBE's script for 3DPW.
        repair_sides: whether left and right are put right where the detector exchanged them for some frames, see
            :class:`~hrtk.datasets.own.sides.SideRepair`; the ``source`` of the keypoints says so.
        device: of detectors that have one.

    Raises:
        InputError: an option is out of its range, there is no such detector, or a frame cannot be read.
    """

    def __init__(
        self,
        detector: str | dict[str, Any] | Detector = 'blazepose',
        min_iou: float = 0.3,
        min_confidence: float = 0.3,
        box_scale: float = 1.2,
        smooth: bool = True,
        repair_sides: bool = False,
        device: str = 'cpu',
    ) -> None:
        if not 0 < min_iou <= 1:
            raise OptionError(f'DetectKeypoints: min_iou is above 0 and at most 1, not {min_iou!r}')
        if not 0 <= min_confidence < 1:
            raise OptionError(
                f'DetectKeypoints: min_confidence is a confidence in [0, 1), not {min_confidence!r}'
            )
        if not 0 < box_scale < np.inf:
            raise OptionError(f'DetectKeypoints: box_scale is above 0, not {box_scale!r}')
        self.detector = build_detector(detector, device)
        self.config = detector
        self.min_iou = min_iou
        self.min_confidence = min_confidence
        self.box_scale = box_scale
        self.smooth = smooth
        self.repair_sides = repair_sides

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence with detected keypoints, boxes and landmarks."""
        if not len(sequence):
            return sequence
        found = self._detections(sequence)
        detected = found['keypoints']
        detected[detected[..., 2] < self.min_confidence, 2] = 0
        xy, confidence = torch.from_numpy(detected).split((2, 1), dim=-1)
        detected_boxes = boxes_from_keypoints(xy, confidence[..., 0], MATCHED_SCALE).numpy()
        rows = _rows_of_person(
            sequence.boxes.numpy(), detected_boxes, found['frames'], self.min_iou
        )
        if not (rows >= 0).any():
            return self._unseen(sequence)
        boxes = boxes_of_rows(rows, detected_boxes)
        if self.smooth:
            boxes = smooth_boxes(boxes, sequence.fps)
        boxes[:, 2] *= self.box_scale / MATCHED_SCALE
        points = points_of_rows(rows, detected)
        landmarks = _landmarks_of(found)
        if self.repair_sides and len(rows) > 1:
            points, landmarks = self._repaired(sequence, points, landmarks, rows)
        return dataclasses.replace(
            sequence,
            boxes=torch.from_numpy(boxes.astype(np.float32)),
            keypoints2d=self._keypoints(points),
            landmarks=None if landmarks is None else landmarks.track(rows),
        )

    def fingerprint(self) -> dict[str, str]:
        """The hashes of the detector."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> dict[str, str]:
        """A hash of all weights, which every sequence needs."""
        return self.detector.fingerprint()

    def _unseen(self, sequence: Sequence) -> Sequence:
        """A sequence whose person is not found in any frame."""
        _log.warning(
            '%s: %s found the person in none of %d frames; the boxes are those of the data set, and there are no '
            'keypoints',
            sequence.name,
            self.detector.source,
            len(sequence),
        )
        points = np.zeros((len(sequence), len(joint_names(self.detector.skeleton)), 3), np.float32)
        boxes = sequence.boxes.clone()
        boxes[:, 2] *= self.box_scale / MATCHED_SCALE
        return dataclasses.replace(
            sequence, boxes=boxes, keypoints2d=self._keypoints(points), landmarks=None
        )

    def _repaired(
        self,
        sequence: Sequence,
        points: np.ndarray,
        landmarks: Optional[FoundLandmarks],
        rows: np.ndarray,
    ) -> tuple[np.ndarray, Optional[FoundLandmarks]]:
        """The points of the person, and the landmarks of all people, with exchanged sides of the person put right."""
        times = np.arange(len(rows)) / sequence.fps
        if sequence.times is not None:
            times = sequence.times.numpy()
        points, landmarks, sides = repair_track(
            points, self.detector.skeleton, times, sequence.fps, landmarks, rows
        )
        message = repair_message(sides, len(rows), sequence.name)
        if message:
            _log.warning('%s', message)
        return points, landmarks

    def _keypoints(self, points: np.ndarray) -> Keypoints2D:
        """(F, K, 3) points of the person as the keypoints of a sequence."""
        source = self.detector.source
        if self.repair_sides:
            source += ', left and right repaired'
        xy, confidence = torch.from_numpy(points).split((2, 1), dim=-1)
        return Keypoints2D(
            xy.contiguous(), confidence[..., 0].contiguous(), self.detector.skeleton, source
        )

    def _detections(self, sequence: Sequence) -> dict[str, np.ndarray]:
        """All people in the frames: ``frames`` (N,), ``keypoints`` (N, K, 3) and the fields of the landmarks."""
        fps = float(sequence.fps) if len(sequence) > 1 else None
        fingerprint = self._fingerprint
        # An object that is built already does not say what it depends on.
        if not fingerprint or not isinstance(self.config, (str, Mapping)):
            return dict(self._detect(sequence, fps))
        detector = [FORMAT, self.config, self.detector.source, fingerprint, fps]
        digest = hashlib.sha256(json.dumps(detector, sort_keys=True, default=repr).encode())
        for image in _images(sequence):
            digest.update(f'{image.shape}'.encode())
            digest.update(image.tobytes())
        path = cache_folder('keypoints') / f'{digest.hexdigest()[:20]}.npz'
        return dict(cached_arrays(path, lambda: self._detect(sequence, fps), self._fits))

    def _detect(self, sequence: Sequence, fps: Optional[float]) -> Mapping[str, np.ndarray]:
        findings = list(find_people(self.detector, _images(sequence), fps))
        counts = [len(finding.keypoints) for finding in findings]
        arrays = dict(
            frames=np.repeat(np.arange(len(findings)), counts),
            keypoints=np.concatenate([finding.keypoints for finding in findings]),
        )
        return {**arrays, **_landmark_arrays(findings)}

    def _fits(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether arrays are people of this detector."""
        count = len(arrays.get('frames', ()))
        shapes = {'frames': (), 'keypoints': (len(joint_names(self.detector.skeleton)), 3)}
        if len(arrays) > 2:
            shapes.update(SHAPES)
        return shapes.keys() == arrays.keys() and all(
            arrays[name].shape == (count, *shape) for name, shape in shapes.items()
        )


def _images(sequence: Sequence) -> Iterator[np.ndarray]:
    for t in range(len(sequence)):
        yield sequence.frames[t]


def _landmark_arrays(findings: list[Findings]) -> dict[str, np.ndarray]:
    """The landmarks of all people, NaN for people without; empty if nobody has any."""
    if all(finding.landmarks is None for finding in findings):
        return {}
    parts: list[Optional[FoundLandmarks]] = []
    for finding in findings:
        if finding.landmarks is None:
            parts += [None] * len(finding.keypoints)
        else:
            parts.append(finding.landmarks)
    return vars(FoundLandmarks.join(parts))


def _landmarks_of(arrays: Mapping[str, np.ndarray]) -> Optional[FoundLandmarks]:
    if not SHAPES.keys() <= arrays.keys():
        return None
    return FoundLandmarks(**{name: arrays[name] for name in SHAPES})


def _rows_of_person(
    boxes: np.ndarray, detected: np.ndarray, frames: np.ndarray, min_iou: float
) -> np.ndarray:
    """The detection of a person in every frame.

    Args:
        boxes: (F, 3) of the person.
        detected: (N, 3) of all people; NaN for those without a box.
        frames: (N,) frame of each.
        min_iou: least intersection over union.

    Returns:
        (F,) rows of ``detected``, -1 where nobody overlaps the person's box enough.
    """
    rows = np.full(len(boxes), -1)
    for t in range(len(boxes)):
        candidates = np.flatnonzero(frames == t)
        if not len(candidates):
            continue
        overlaps = np.nan_to_num(iou(boxes[t : t + 1], detected[candidates])[0])
        best = int(overlaps.argmax())
        if overlaps[best] >= min_iou:
            rows[t] = candidates[best]
    return rows
