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
from hrtk.datasets.own.choosing import choose_tracks, frame_range, parse_person
from hrtk.datasets.own.clip_identities import ClipIdentities, largest_of_each
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.identities import Identities
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.placing import place, shortest_track
from hrtk.datasets.own.sides import Sides
from hrtk.datasets.own.track import Track
from hrtk.datasets.own.track_sides import repair_message, repair_track
from hrtk.datasets.own.tracking import boxes_of_rows, points_of_rows, smooth_boxes
from hrtk.errors import InputError, OptionError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.camera import clip_focal
from hrtk.registry import DATASETS, MASK_SOURCES
from hrtk.structures import Keypoints2D, Landmarks, Sequence

_log = logging.getLogger(__name__)


@DATASETS.register_module()
class VideoDataset(SequenceDataset):
    """Every person of a video, or of images, with 2D keypoints in a file.

    **Identities** are chosen by ``people``. A file may give them as ``track_id`` (COCO), ``idx`` (AlphaPose),
    ``person_id`` (OpenPose) or ``persons`` (rtmlib).

    - ``'tracked'``: the identities of the file if every visible person of a clip has one and no frame of the clip
      holds one twice, else those of :func:`hrtk.datasets.own.identities.identify`, which also examines those that
      BlazePose noted. Where people overlap it reads some images.
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
        fps: frames per second of an image sequence, None for photographs; replaces the times of a video.
        name: the beginning of every sequence's name; default that of ``images``.
        source: origin of the keypoints, printed beside every result; None takes it from the file.
        skeleton: joint list of the points; None takes it from the file.
        min_confidence: points of lower confidence get confidence 0; 0.3 is VIBE's.
        box_scale: side of the crop box over the larger extent of the visible points, 1.2 in SPIN.
        box_aspect: of :func:`~hrtk.geometry.boxes.boxes_from_keypoints`; 0.75 for HMR2.
        smooth: whether to smooth boxes; needs ``fill_gaps``.
        max_gap: frames.
        min_length: tracks with fewer frames of the detected person are left out; at most the frames of the clip. None
            is 5, or 1 for COCO annotations that carry identities.
        min_similarity: of :func:`hrtk.datasets.own.identities.identify`.
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
        colours: whether the colours of clothes help to tell who is who after people overlapped.
        person: the only person who counts: the number in the names of tracks, or ``'largest'`` for that with the
            largest sum of box sides over all frames.
        begin, end: the frames from one time to another, which are the only ones that count; see
            :func:`~hrtk.datasets.own.choosing.frame_range`. Frames keep their numbers.
        first_frame: number of a video's first frame in the keypoint file; None finds out whether 0 or 1.

    Attributes:
        footage: the frames on disk.
        table: the keypoints of all people.
        range: indices of the frames that count.
        tracks: the :class:`~hrtk.datasets.own.track.Track` of every sequence.
        photographs: whether every frame is a clip of its own.
        fps: frames per second; of a video the mean rate of its frames, which is that of its header if that is right.
        seconds: (N,) seconds of every frame of a video after its first one; None for images, for videos without time
            stamps, and where ``fps`` was given.
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
        min_length: Optional[int] = None,
        min_similarity: float = 0.2,
        max_people: Optional[int] = None,
        masks: Optional[dict] = None,
        people: Literal['tracked', 'annotated'] = 'tracked',
        fill_gaps: bool = True,
        image_sequence: bool = False,
        focal: Optional[float] = None,
        fov: Optional[float] = None,
        repair_sides: bool = False,
        colours: bool = True,
        person: int | str | None = None,
        begin: float | str | None = None,
        end: float | str | None = None,
        first_frame: Optional[int] = None,
        box_aspect: float = 1.0,
    ) -> None:
        _check_options(type(self).__name__, fps, max_people, box_aspect, smooth, fill_gaps)
        if focal is not None or fov is not None:
            clip_focal((1, 1), focal, fov)  # raises for impossible values
        self.focal = focal
        self.fov = fov
        self.keypoints = Path(keypoints)
        table = read_keypoints(keypoints, skeleton)
        self.footage = open_footage(images)
        self.table, self._frame_of_row = place(table, self.footage, first_frame)
        self.name = name or self.footage.path.stem
        self.source = source or self.table.source
        self.fps, self.seconds = self.footage.clock(fps)
        self.photographs = self.footage.fps is None and fps is None and not image_sequence
        self.min_confidence = min_confidence
        self.smooth = smooth
        self.max_gap = max_gap
        self.min_length = shortest_track(self.table, min_length)
        self.min_similarity = min_similarity
        self.people = people
        self.fill_gaps = fill_gaps
        self.colours = colours
        self.person = parse_person(person)
        self.masks: Optional[MaskSource] = None
        if masks is not None:
            self.masks = MASK_SOURCES.build(masks)
        self._points = self.table.points.copy()
        self._points[self._points[..., 2] < min_confidence, 2] = 0
        xy, confidence = torch.from_numpy(self._points).split((2, 1), dim=-1)
        self._boxes = boxes_from_keypoints(xy, confidence[..., 0], box_scale, box_aspect).numpy()
        self._found = self.table.landmarks
        label = str(self.footage.path)
        self.range = frame_range(begin, end, len(self.footage), self._clock(), label, self.seconds)
        self.tracks = self._chosen(self._find_tracks(), max_people)
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
            times=self._times_of(track),
        )
        if self.masks is not None:
            sequence = self.masks.attach(sequence)
        return sequence

    def names(self) -> list[str]:
        """The names of all tracks."""
        return [track.name for track in self.tracks]

    def fingerprint(self) -> dict[str, str]:
        """A hash of the names and contents of the images or the video, and the mask source's own hashes."""
        frames: set[int] = set()
        for track in self.tracks:
            frames.update(track.frames)
        hashes = {'images': self.footage.fingerprint(frames)}
        if self.masks is not None:
            hashes.update(self.masks.fingerprint())
        return hashes

    def _clock(self) -> Optional[float]:
        """Frames per second; None for photographs, which have no times."""
        return None if self.photographs else self.fps

    def _times_of(self, track: Track) -> Optional[torch.Tensor]:
        """(F,) float64 seconds of the frames since the first one of the clip; None if they are even."""
        if self.seconds is None:
            return None
        return torch.from_numpy(self.seconds[list(track.frames)])

    def _focal(self, frame: int) -> Optional[float]:
        """The focal length of the camera of a frame, px; None if nothing is known about it."""
        if self.fov is None:
            return self.focal
        return clip_focal(self.footage.size(frame), fov=self.fov)

    def _noted_sizes(self, track: Track) -> list[Optional[tuple[int, int]]]:
        """The image size that the keypoint file notes for every frame; None where the person was not detected."""
        sizes = {row: self.table.frames[row].size for row in track.rows if row >= 0}
        return [sizes.get(row) for row in track.rows]

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
        return points_of_rows(np.array(track.rows), self._points)

    def _landmarks_of(self, track: Track) -> Optional[Landmarks]:
        """The landmarks of a track, zeros where the person was not detected; None if the file has none of them."""
        if self._found is None:
            return None
        return self._found.track(np.array(track.rows))

    def _repair_sides(self, track: Track) -> Sides:
        """Exchanges left and right of the frames in which the detector exchanged them, in points and landmarks."""
        times = np.array(track.frames) / self.fps
        if self.seconds is not None:
            times = self.seconds[list(track.frames)]
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
        rows_of_clip: dict[str, list[int]] = {}
        for row in self._usable_rows():
            if self._frame_of_row[row] in self.range:
                rows_of_clip.setdefault(self._clip(self._frame_of_row[row]), []).append(row)
        clip_lengths = Counter(self._clip(frame) for frame in self.range)
        find = ClipIdentities(
            self.table,
            self._points,
            self._boxes,
            self.footage,
            self.fps,
            self.people,
            self.colours,
            self.max_gap,
            self.min_similarity,
        )
        tracks: list[Track] = []
        duplicates = 0
        for clip in sorted(rows_of_clip):
            rows = rows_of_clip[clip]
            frames = [self._frame_of_row[row] for row in rows]
            found = find(clip, rows, frames)
            people = largest_of_each(found, rows, frames, self._boxes)
            duplicates += len(rows) - sum(map(len, people.values()))
            tracks.extend(self._tracks_of_clip(clip, people, clip_lengths[clip], found))
        self._warn_about_people(
            duplicates, 'smaller than another of the same identity in the same frame'
        )
        for clip, identity in list(find.contradicting.items())[:1]:
            who = f'{identity} in {clip or self.name}'
            effect = f'{len(find.contradicting)} clips are tracked without its identities'
            _log.warning('%s: a frame holds identity %s twice; %s', self.keypoints, who, effect)
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
        reason = 'without an identity, beside people who have one'
        self._warn_about_people(len(visible) - len(usable), reason)
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

    def _tracks_of_clip(
        self, clip: str, people: dict[int, dict[int, int]], clip_length: int, found: Identities
    ) -> list[Track]:
        min_length = min(self.min_length, clip_length)
        tracks = []
        short = 0
        for identity in sorted(people):
            segments = self._segments(people[identity])
            long = [segment for segment in segments if len(segment) >= min_length]
            short += len(segments) - len(long)
            for number, segment in enumerate(long, start=1):
                name = self._track_name(clip, identity, number)
                track = self._track(name, segment, identity)
                margin = found.margin(identity, track.frames)
                tracks.append(dataclasses.replace(track, identity_margin=margin))
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

    def _track(self, name: str, segment: dict[int, int], identity: int) -> Track:
        frames = list(segment)
        if self.fill_gaps:
            frames = list(range(frames[0], frames[-1] + 1))
        rows = tuple(segment.get(frame, -1) for frame in frames)
        boxes = boxes_of_rows(np.array(rows), self._boxes)
        if self.smooth:
            boxes = smooth_boxes(boxes, self.fps)
        return Track(name, tuple(frames), boxes.astype(np.float32), rows, identity)

    def _chosen(self, tracks: list[Track], count: Optional[int]) -> list[Track]:
        """The tracks of the person or people that are asked for."""
        if not tracks:
            raise InputError(
                f'{self.keypoints}: no track is left of {len(self.table.persons)} people: a track needs two visible '
                f'points per frame in {self.min_length} frames; lower min_confidence or min_length'
            )
        return choose_tracks(tracks, self.person, count, str(self.keypoints))


def _check_options(
    class_name: str,
    fps: Optional[float],
    max_people: Optional[int],
    box_aspect: float,
    smooth: bool,
    fill_gaps: bool,
) -> None:
    """Raises OptionError for a value out of its range."""
    if fps is not None and not fps > 0:
        raise OptionError(f'{class_name}: fps must be above 0, not {fps!r}')
    if max_people is not None and max_people < 1:
        raise OptionError(f'{class_name}: max_people must be at least 1, not {max_people!r}')
    if not 0 < box_aspect <= 1:
        raise OptionError(f'{class_name}: box_aspect is in (0, 1], not {box_aspect!r}')
    if smooth and not fill_gaps:
        raise OptionError(
            f'{class_name}: smooth needs consecutive frames, which fill_gaps=False does not give; set smooth=False'
        )
