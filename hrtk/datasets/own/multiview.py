"""People in several calibrated views: their 2D keypoints per view, matched to a 3D reference or triangulated."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from hrtk.body_models.skeletons import flip_map, index_map, joint_names
from hrtk.datasets.own.footage import Footage
from hrtk.datasets.own.keypoint_table import KeypointTable, contradicting_identities
from hrtk.datasets.own.placing import place
from hrtk.errors import InputError
from hrtk.geometry.assignment import best_pairs
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.calibrated_camera import CalibratedCamera
from hrtk.geometry.triangulation import triangulate

SKELETON = 'body12'  # of every reference
FARTHEST = 0.5  # mean distance of a detection from its person, in sides of the person's extent
_FLIP = list(flip_map(SKELETON))
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Reference:
    """The joints of one person in the world.

    Attributes:
        person: number.
        frames: (F,) frame numbers of the project, ascending.
        joints: (F, 12, 3) float64 metres, the joints of ``body12``; NaN where one is unknown.
    """

    person: int
    frames: np.ndarray
    joints: np.ndarray


@dataclasses.dataclass(frozen=True)
class View:
    """The 2D keypoints of all people in one camera.

    Attributes:
        camera: its calibration.
        footage: its frames.
        offset: frames; frame t of the project is frame ``t + offset`` of the footage.
        table: the keypoints.
        frames: (N,) project frame of every row of the table.
        points: (N, K, 3) x and y in px and confidence, 0 below the least one.
        boxes: (N, 3) ``[cx, cy, side]`` px; NaN without a visible point.
    """

    camera: CalibratedCamera
    footage: Footage
    offset: int
    table: KeypointTable
    frames: np.ndarray
    points: np.ndarray
    boxes: np.ndarray

    def body12(self) -> np.ndarray:
        """(N, 12, 3) the points of ``body12``, a missing hip of the list replaced by the nearest one.

        Raises:
            InputError: the keypoints lack a joint.
        """
        indices = index_map(self.table.skeleton, SKELETON, nearest=True)
        if min(indices) < 0:
            raise InputError(
                f'{self.footage.path}: the keypoints {self.table.skeleton!r} lack some of the joints '
                f'{", ".join(joint_names(SKELETON))}'
            )
        return self.points[:, list(indices)]


def make_view(
    camera: CalibratedCamera,
    footage: Footage,
    offset: int,
    table: KeypointTable,
    min_confidence: float,
    box_scale: float,
) -> View:
    """Joins the parts of a view; points of lower confidence than the least one get confidence 0.

    Raises:
        InputError: keypoints and footage do not fit each other.
    """
    table, indices = place(table, footage)
    points = table.points.copy()
    points[points[..., 2] < min_confidence, 2] = 0
    xy, confidence = torch.from_numpy(points).split((2, 1), dim=-1)
    boxes = boxes_from_keypoints(xy, confidence[..., 0], scale=box_scale).numpy()
    frames = np.array(indices) - offset
    return View(camera, footage, offset, table, frames, points, boxes)


def match_people(view: View, references: Sequence[Reference]) -> list[dict[int, int]]:
    """Which detection of a view is which person.

    In every frame the Hungarian method minimises the mean distance in pixels between detected points and the projected
    reference, for each pair with left and right as detected or exchanged, whichever is nearer. So a detection with
    exchanged sides stays the person's detection.

    Returns:
        ``{frame: row}`` for every reference.
    """
    detected = view.body12()
    rows_of_frame: dict[int, list[int]] = {}
    for row, frame in enumerate(view.frames.tolist()):
        if view.boxes[row, 2] > 0:
            rows_of_frame.setdefault(frame, []).append(row)
    matches: list[dict[int, int]] = [{} for _ in references]
    projected = [_projected(view.camera, reference) for reference in references]
    for frame, rows in rows_of_frame.items():
        people = [index for index, points in enumerate(projected) if frame in points]
        costs = np.full((len(people), len(rows)), np.inf)
        for i, index in enumerate(people):
            for j, row in enumerate(rows):
                costs[i, j] = _distance(detected[row], projected[index][frame])
        costs = np.minimum(costs, 1e6)  # the Hungarian method takes finite numbers
        for i, j in best_pairs(-costs):
            if costs[i, j] <= FARTHEST:
                matches[people[i]][frame] = rows[j]
    return matches


def people_by_identity(view: View) -> dict[int, dict[int, int]]:
    """``{person: {frame: row}}`` by the identities of a keypoint file, the largest person of each in every frame.

    A file without identities has one person, number 1; people without one beside others who have one are left out.
    Identities that several people of one frame have are reported in the log.
    """
    contradicting = contradicting_identities(view.table.persons, view.frames.tolist())
    if contradicting:
        _log.warning(
            '%s: several people of one frame have the identity %s; the larger one counts, so the views may show '
            "different people. Track the people, or set reference='trc'",
            view.camera.name,
            ', '.join(map(str, contradicting[:5])),
        )
    anonymous = all(person is None for person in view.table.persons)
    people: dict[int, dict[int, int]] = {}
    for row, frame in enumerate(view.frames.tolist()):
        person = 1 if anonymous else view.table.persons[row]
        if person is None or not view.boxes[row, 2] > 0:
            continue
        row_of_frame = people.setdefault(person, {})
        rival = row_of_frame.get(frame)
        if rival is None or view.boxes[row, 2] > view.boxes[rival, 2]:
            row_of_frame[frame] = row
    return people


def triangulated_references(
    views: Sequence[View], people: Sequence[Mapping[int, Mapping[int, int]]]
) -> list[Reference]:
    """Triangulates every person whom two views or more see.

    Args:
        views: C views.
        people: :func:`people_by_identity` of each view.

    Returns:
        One reference per person, over the frames in which the person is detected anywhere.
    """
    references = []
    points_of_view = [view.body12() for view in views]
    for person in sorted(set[int]().union(*people)):
        rows = [by_person.get(person, {}) for by_person in people]
        if sum(map(bool, rows)) < 2:
            _log.warning('person %d is seen by one camera and left out', person)
            continue
        frames = np.array(sorted(set[int]().union(*rows)))
        pixels = np.zeros((len(frames), len(views), len(joint_names(SKELETON)), 3))
        for c, row_of_frame in enumerate(rows):
            for t, frame in enumerate(frames.tolist()):
                if frame in row_of_frame:
                    pixels[t, c] = points_of_view[c][row_of_frame[frame]]
        observed = np.swapaxes(pixels, 1, 2).reshape(-1, len(views), 3)
        found = triangulate([view.camera for view in views], observed[..., :2], observed[..., 2])
        joints = found.points.reshape(len(frames), -1, 3)
        _log.info(
            'person %d: %.1f px mean reprojection error, %.0f %% of the observations kept',
            person,
            float(np.nanmean(found.error_px)),
            100 * float(found.kept.sum() / max((observed[..., 2] > 0).sum(), 1)),
        )
        references.append(Reference(person, frames, joints))
    return references


def common_frames(reference: Reference, stride: int, ranges: Iterable[range]) -> list[int]:
    """The frames of a sequence: multiples of the stride between the first and last frame with a complete reference.

    Args:
        reference: of the person.
        stride: frames.
        ranges: of project frames that the footage has; frames outside any of them are left out.
    """
    complete = reference.frames[np.isfinite(reference.joints).all((1, 2))]
    if len(complete) == 0:
        return []
    frames = range(int(complete.min()), int(complete.max()) + 1)
    kept = []
    for frame in frames:
        if frame % stride == 0 and all(frame in span for span in ranges):
            kept.append(frame)
    return kept


def joints_at(reference: Reference, frames: Sequence[int]) -> np.ndarray:
    """(F, 12, 3) joints of a reference in some frames; NaN where it has none."""
    joints = np.full((len(frames), *reference.joints.shape[1:]), np.nan)
    position = {frame: index for index, frame in enumerate(reference.frames.tolist())}
    for t, frame in enumerate(frames):
        if frame in position:
            joints[t] = reference.joints[position[frame]]
    return joints


def _projected(camera: CalibratedCamera, reference: Reference) -> dict[int, np.ndarray]:
    """``{frame: (12, 2)}`` px of the frames in which the person is in front of the camera; NaN for unknown joints."""
    local = camera.to_camera(reference.joints)
    points: dict[int, np.ndarray] = {}
    for frame, joints in zip(reference.frames.tolist(), local):
        known = np.isfinite(joints).all(-1)
        if known.sum() > 1 and (joints[known, 2] > 0).all():
            points[frame] = camera.project(joints)
    return points


def _distance(detected: np.ndarray, projected: np.ndarray) -> float:
    """Mean distance of (12, 3) detected from (12, 2) projected points in shares of the person's extent; inf if none."""
    extent = (np.nanmax(projected, axis=0) - np.nanmin(projected, axis=0)).max()
    distances = []
    for points in (detected, detected[_FLIP]):
        common = (points[:, 2] > 0) & np.isfinite(projected).all(-1)
        if common.any():
            difference = points[common, :2] - projected[common]
            distances.append(float(np.linalg.norm(difference, axis=-1).mean()))
    if not distances:
        return float('inf')
    return min(distances) / float(extent)
