"""The people of a user's video or images, one sequence per track, from a file of 2D keypoints."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from pathlib import Path
from typing import Literal, Optional

import numpy as np
import torch

from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.mask_sources.base import MaskSource
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.keypoint_table import contradicting_identities
from hrtk.datasets.own.sides import Sides
from hrtk.datasets.own.track_sides import repair_message, repair_track
from hrtk.datasets.own.tracking import interpolate, smooth_boxes, track_people
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.camera import clip_focal
from hrtk.registry import DATASETS, MASK_SOURCES
from hrtk.structures import Keypoints2D, Landmarks, Sequence

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Track:
    """One person in F frames of one clip.

    Attributes:
        name: of the sequence.
        frames: F indices in the footage.
        boxes: (F, 3) float32 ``[cx, cy, side]``, px.
        rows: F rows of the keypoint table, -1 where the person was not detected.
    """

    name: str
    frames: tuple[int, ...]
    boxes: np.ndarray
    rows: tuple[int, ...]


@DATASETS.register_module()
class VideoDataset(SequenceDataset):
    """Every person of a video, or of images, with 2D keypoints in a file.

    **Identities** are chosen by ``people``. A file may give them as ``track_id`` (COCO), ``idx`` (AlphaPose),
    ``person_id`` (OpenPose) or ``persons`` (rtmlib).

    - ``'tracked'``: the identities of the file if every visible person of a clip has one and no frame of the clip
      holds one twice, else those of :func:`hrtk.datasets.own.tracking.track_people`.
    - ``'annotated'``: the identities of the file; people without one are left out. A file without any identity gives
      one track, the largest person of every frame. Of two people with one identity in a frame the larger one counts.

    **Gaps.** With ``fill_gaps`` a track consists of consecutive frames: where its person is missing for at most
    ``max_gap`` frames, the box is interpolated linearly and the keypoints have confidence 0, so that no position is
    invented; a longer gap begins a new sequence. Without ``fill_gaps`` a track consists of the frames in which the
    person was detected, whatever their distance, in the order of the frame numbers in the keypoint file.

    **Boxes** are SPIN's: the middle of the visible points and ``box_scale`` times their larger extent. ``smooth``
    filters them over time as in VIBE's script for 3DPW, see :func:`hrtk.datasets.own.tracking.smooth_boxes`.

    **Images** are photographs, each a clip of one frame, unless ``fps`` or ``image_sequence`` declares the images of a
    folder to be the frames of one clip, in natural order of their names; every subfolder is a clip of its own.

    Args:
        images: a video, a folder of images or one image, see :func:`~hrtk.datasets.own.footage.open_footage`.
        keypoints: a file or folder that :func:`hrtk.datasets.own.keypoint_files.read_keypoints` reads.
        fps: frames per second of an image sequence, None for photographs; replaces the rate of a video's header.
        name: the beginning of every sequence's name; default that of ``images``.
        source: origin of the keypoints, printed beside every result; None takes it from the file.
        skeleton: joint list of the points; None takes it from the file.
        min_confidence: points of lower confidence get confidence 0; 0.3 is VIBE's.
        box_scale: side of the crop box over the larger extent of the visible points, 1.2 in SPIN.
        box_aspect: of :func:`~hrtk.geometry.boxes.boxes_from_keypoints`; 0.75 for HMR2.
        smooth: whether to smooth boxes; needs ``fill_gaps``.
        max_gap: frames.
        min_length: tracks with fewer frames of the detected person are left out; at most the frames of the clip.
        min_similarity: of :func:`hrtk.datasets.own.tracking.track_people`.
        max_people: the number of tracks that remain, those with the largest sum of box sides; None for all.
        masks: config of a mask source, see :mod:`hrtk.datasets.mask_sources`; None for no masks.
        people: ``'tracked'`` or ``'annotated'``.
        fill_gaps: whether tracks consist of consecutive frames.
        image_sequence: whether images without ``fps`` are frames of one clip, of 25 frames per second.
        focal: focal length of the camera, px, if it is known; see :func:`hrtk.geometry.camera.clip_focal`.
        fov: field of view along the longer side of the image, degrees, if that is known instead.
        repair_sides: whether left and right are put right where the detector exchanged them for some frames, see
            :class:`~hrtk.datasets.own.sides.SideRepair`; the log reports every repaired track. 3D landmarks and
            mirrored runs in the keypoint file are used, and landmarks are exchanged, too. Photographs stay.

    Attributes:
        footage: the frames on disk.
        table: the keypoints of all people.
        tracks: the :class:`Track` of every sequence.
        photographs: whether every frame is a clip of its own.
        sides: with ``repair_sides`` what was found about the sides of every track, by its name.

    Raises:
        InputError: an option is invalid, a file is missing or broken, keypoints and frames do not fit each other, or
            no track is left. An image that cannot be read, or has another size than the keypoint file notes, raises
            when its frame is read.
    """

    free_options = ('focal', 'fov')

    def __init__(
        self,
        images: str | Path,
        keypoints: str | Path,
        fps: Optional[float] = None,
        name: Optional[str] = None,
        source: Optional[str] = None,
        skeleton: Optional[str] = None,
        min_confidence: float = 0.3,
        box_scale: float = 1.2,
        smooth: bool = True,
        max_gap: int = 10,
        min_length: int = 5,
        min_similarity: float = 0.2,
        max_people: Optional[int] = None,
        masks: Optional[dict] = None,
        people: Literal['tracked', 'annotated'] = 'tracked',
        fill_gaps: bool = True,
        image_sequence: bool = False,
        focal: Optional[float] = None,
        fov: Optional[float] = None,
        repair_sides: bool = False,
        box_aspect: float = 1.0,
    ) -> None:
        class_name = type(self).__name__
        if fps is not None and not fps > 0:
            raise InputError(f'{class_name}: fps must be above 0, not {fps!r}')
        if max_people is not None and max_people < 1:
            raise InputError(f'{class_name}: max_people must be at least 1, not {max_people!r}')
        if not 0 < box_aspect <= 1:
            raise InputError(f'{class_name}: box_aspect is in (0, 1], not {box_aspect!r}')
        if smooth and not fill_gaps:
            raise InputError(
                f'{class_name}: smooth needs consecutive frames, which fill_gaps=False does not give; set smooth=False'
            )
        if focal is not None or fov is not None:
            clip_focal((1, 1), focal, fov)  # raises for impossible values
        self.focal = focal
        self.fov = fov
        self.keypoints = Path(keypoints)
        self.table = read_keypoints(keypoints, skeleton)
        self.footage = open_footage(images)
        self.name = name or self.footage.path.stem
        self.source = source or self.table.source
        self.fps = fps or self.footage.fps or 25.0
        self.photographs = self.footage.fps is None and fps is None and not image_sequence
        self.min_confidence = min_confidence
        self.smooth = smooth
        self.max_gap = max_gap
        self.min_length = min_length
        self.min_similarity = min_similarity
        self.people = people
        self.fill_gaps = fill_gaps
        self.masks: Optional[MaskSource] = None
        if masks is not None:
            self.masks = MASK_SOURCES.build(masks)
        self._points = self.table.points.copy()
        self._points[self._points[..., 2] < min_confidence, 2] = 0
        xy, confidence = torch.from_numpy(self._points).split((2, 1), dim=-1)
        self._boxes = boxes_from_keypoints(xy, confidence[..., 0], box_scale, box_aspect).numpy()
        self._found = self.table.landmarks
        self.tracks = self._largest_tracks(self._find_tracks(), max_people)
        self.sides: dict[str, Sides] = {}
        if repair_sides and not self.photographs:
            self.sides = {track.name: self._repair_sides(track) for track in self.tracks}

    def __len__(self) -> int:
        return len(self.tracks)

    def __getitem__(self, index: int) -> Sequence:
        track = self.tracks[index]
        sequence = Sequence(
            track.name,
            self.footage.frames(track.frames, self._noted_sizes(track)),
            torch.from_numpy(track.boxes.copy()),
            self._keypoints_of(track),
            frame_ids=tuple(self.footage.label(frame) for frame in track.frames),
            fps=self.fps,
            focal=self._focal(track.frames[0]),
            landmarks=self._landmarks_of(track),
        )
        if self.masks is not None:
            sequence = self.masks.attach(sequence)
        return sequence

    def names(self) -> list[str]:
        """The names of all tracks."""
        return [track.name for track in self.tracks]

    def fingerprint(self) -> dict[str, str]:
        """A hash over the names and sizes in bytes of the images or the video, and the mask source's own hashes."""
        frames: set[int] = set()
        for track in self.tracks:
            frames.update(track.frames)
        hashes = {'images': self.footage.fingerprint(frames)}
        if self.masks is not None:
            hashes.update(self.masks.fingerprint())
        return hashes

    def _focal(self, frame: int) -> Optional[float]:
        """The focal length of the camera of a frame, px; None if nothing is known about it."""
        if self.fov is None:
            return self.focal
        return clip_focal(self.footage.size(frame), fov=self.fov)

    def _noted_sizes(self, track: Track) -> list[Optional[tuple[int, int]]]:
        """The image size that the keypoint file notes for every frame."""
        sizes = [frame.size for frame in self.table.frames]
        sizes.append(None)  # row -1, where the person was not detected
        return [sizes[row] for row in track.rows]

    def _keypoints_of(self, track: Track) -> Keypoints2D:
        """The keypoints of a track; zeros where the person was not detected."""
        points = torch.from_numpy(self._points_of(track))
        return Keypoints2D(
            points[..., :2].contiguous(),
            points[..., 2].contiguous(),
            self.table.skeleton,
            self.source,
        )

    def _points_of(self, track: Track) -> np.ndarray:
        """(F, K, 3) points of a track; zeros where the person was not detected."""
        rows = np.array(track.rows)
        absent = (rows < 0)[:, None, None]
        return np.where(absent, np.float32(0), self._points[rows])

    def _landmarks_of(self, track: Track) -> Optional[Landmarks]:
        """The landmarks of a track, zeros where the person was not detected; None if the file has none of them."""
        if self._found is None:
            return None
        rows = np.array(track.rows)
        valid = (rows >= 0) & np.isfinite(self._found.flag[rows])
        if not valid.any():
            return None
        fields = {}
        for name in ('xyz', 'world', 'visibility'):
            values = getattr(self._found, name)[rows]
            values[~valid] = 0
            fields[name] = torch.from_numpy(values)
        return Landmarks(**fields, valid=torch.from_numpy(valid))

    def _repair_sides(self, track: Track) -> Sides:
        """Exchanges left and right of the frames in which the detector exchanged them, in points and landmarks."""
        times = np.array(track.frames) / self.fps
        # A keypoint file may order images otherwise than by their names.
        if (np.diff(times) <= 0).any():
            times = np.arange(len(times)) / self.fps
        rows = np.array(track.rows)
        points, landmarks, sides = repair_track(
            self._points_of(track), self.table.skeleton, times, self.fps, self._found, rows
        )
        seen = rows >= 0
        self._points[rows[seen]] = points[seen]
        self._found = landmarks
        message = repair_message(sides, len(rows), track.name)
        if message:
            _log.warning('%s: %s', self.keypoints, message)
        return sides

    def _find_tracks(self) -> list[Track]:
        """All tracks, ordered by clip and person."""
        frame_of_row = self.footage.locate(self.table)
        rows_of_clip: dict[str, list[int]] = {}
        for row in self._usable_rows():
            rows_of_clip.setdefault(self._clip(frame_of_row[row]), []).append(row)
        clip_lengths = Counter(self._clip(frame) for frame in range(len(self.footage)))
        tracks: list[Track] = []
        duplicates = 0
        tracked: list[str] = []
        for clip in sorted(rows_of_clip):
            rows = rows_of_clip[clip]
            frames = [frame_of_row[row] for row in rows]
            noted = [self.table.persons[row] for row in rows]
            contradicting = contradicting_identities(noted, frames)
            if contradicting and self.people == 'tracked':
                tracked.append(f'{contradicting[0]} in {clip or self.name}')
                noted = [None] * len(rows)
            people = self._group(self._identities(noted, rows, frames), rows, frames)
            duplicates += len(rows) - sum(map(len, people.values()))
            tracks.extend(self._tracks_of_clip(clip, people, clip_lengths[clip]))
        self._warn_about_people(
            duplicates, 'smaller than another of the same identity in the same frame'
        )
        if tracked:
            effect = f'{len(tracked)} clips are tracked without the identities of the file'
            _log.warning(
                '%s: a frame holds identity %s twice; %s', self.keypoints, tracked[0], effect
            )
        return tracks

    def _usable_rows(self) -> list[int]:
        """The rows with a box and, where identities of the file are asked for and exist, an identity."""
        has_box = self._boxes[:, 2] > 0  # one point, or none (NaN), makes no box
        visible = np.flatnonzero(has_box).tolist()
        if not visible:
            raise InputError(
                f'{self.keypoints}: no frame has two visible points of a person (confidence > 0 and >= '
                f'min_confidence = {self.min_confidence:g}); annotate people or lower min_confidence'
            )
        self._warn_about_people(len(has_box) - len(visible), 'with fewer than two visible points')
        if self.people == 'tracked' or self._lacks_identities():
            return visible
        usable = [row for row in visible if self.table.persons[row] is not None]
        self._warn_about_people(
            len(visible) - len(usable), 'without an identity, beside people who have one'
        )
        return usable

    def _lacks_identities(self) -> bool:
        return all(person is None for person in self.table.persons)

    def _warn_about_people(self, count: int, reason: str) -> None:
        if count:
            _log.warning(
                '%s: left out %d of %d people %s',
                self.keypoints,
                count,
                len(self.table.persons),
                reason,
            )

    def _clip(self, frame: int) -> str:
        if self.photographs:
            return self.footage.stem(frame)
        return self.footage.clip(frame)

    def _identities(
        self, noted: list[Optional[int]], rows: list[int], frames: list[int]
    ) -> list[int]:
        """The identity of every row of one clip, the noted ones if all rows have one."""
        identities = [person for person in noted if person is not None]
        if len(identities) == len(rows):
            return identities
        if self.people == 'annotated':
            return [0] * len(rows)
        return track_people(
            np.array(frames),
            self._points[rows],
            self._boxes[rows],
            self.table.skeleton,
            self.max_gap,
            self.min_similarity,
        ).tolist()

    def _group(
        self, identities: list[int], rows: list[int], frames: list[int]
    ) -> dict[int, dict[int, int]]:
        """``{identity: {frame: row}}`` with the largest person of an identity in each frame."""
        people: dict[int, dict[int, int]] = {}
        for identity, row, frame in zip(identities, rows, frames):
            row_of_frame = people.setdefault(identity, {})
            rival = row_of_frame.get(frame)
            if rival is None or self._boxes[row, 2] > self._boxes[rival, 2]:
                row_of_frame[frame] = row
        return people

    def _tracks_of_clip(
        self, clip: str, people: dict[int, dict[int, int]], clip_length: int
    ) -> list[Track]:
        min_length = min(self.min_length, clip_length)
        tracks = []
        short = 0
        for identity in sorted(people):
            segments = self._segments(people[identity])
            long = [segment for segment in segments if len(segment) >= min_length]
            short += len(segments) - len(long)
            for number, segment in enumerate(long, start=1):
                tracks.append(self._track(self._track_name(clip, identity, number), segment))
        if short:
            location = f' in {clip}' if clip else ''
            _log.warning(
                '%s: left out %d tracks%s of fewer than %d frames (min_length)',
                self.keypoints,
                short,
                location,
                min_length,
            )
        return tracks

    def _segments(self, row_of_frame: dict[int, int]) -> list[dict[int, int]]:
        """One person's ``{frame: row}`` in order of time, split at gaps that are too long to fill."""
        if not self.fill_gaps:
            order = sorted(
                row_of_frame,
                key=lambda frame: self.footage.time_key(
                    frame, self.table.frames[row_of_frame[frame]]
                ),
            )
            return [{frame: row_of_frame[frame] for frame in order}]
        segments: list[dict[int, int]] = []
        previous = None
        for frame in sorted(row_of_frame):
            if previous is None or frame - previous > self.max_gap + 1:
                segments.append({})
            segments[-1][frame] = row_of_frame[frame]
            previous = frame
        return segments

    def _track_name(self, clip: str, identity: int, number: int) -> str:
        """The name of the ``number``-th segment of a person."""
        parts = [self.name]
        if clip:
            parts.append(clip.replace('/', '_'))
        if self.people == 'tracked' or not self._lacks_identities():
            parts.append(f'person{identity}')
        if number > 1:
            parts.append(f'part{number}')
        return '_'.join(parts)

    def _track(self, name: str, segment: dict[int, int]) -> Track:
        detected = list(segment)
        frames = detected
        boxes = self._boxes[list(segment.values())]
        if self.fill_gaps:
            frames = list(range(detected[0], detected[-1] + 1))
            boxes = interpolate(np.array(detected), boxes, np.array(frames))
        if self.smooth:
            boxes = smooth_boxes(boxes, self.fps)
        rows = tuple(segment.get(frame, -1) for frame in frames)
        return Track(name, tuple(frames), boxes.astype(np.float32), rows)

    def _largest_tracks(self, tracks: list[Track], count: Optional[int]) -> list[Track]:
        if not tracks:
            raise InputError(
                f'{self.keypoints}: no track is left of {len(self.table.persons)} people: a track needs two visible '
                f'points per frame in {self.min_length} frames; lower min_confidence or min_length'
            )
        if count is None or len(tracks) <= count:
            return tracks
        _log.warning(
            '%s: left out %d of %d tracks (max_people = %d)',
            self.keypoints,
            len(tracks) - count,
            len(tracks),
            count,
        )
        sizes = np.array([float(track.boxes[:, 2].sum()) for track in tracks])
        largest = np.argsort(-sizes, kind='stable')[:count]
        return [tracks[index] for index in sorted(largest)]
