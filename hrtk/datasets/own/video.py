"""People followed through a video, one sequence per person, from a file of 2D keypoints."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.own.footage import Footage, Place
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.tracking import fill, smooth_boxes, track
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.registry import DATASETS, MASK_SOURCES
from hrtk.structures import Keypoints2D, Sequence

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Track:
    """One person without longer gaps.

    Attributes:
        name: of the sequence.
        places: of its F consecutive frames.
        boxes: (F, 3) float32 ``[cx, cy, side]``, px.
        rows: F rows of the keypoint table, -1 where the person was not found.
    """

    name: str
    places: tuple[Place, ...]
    boxes: np.ndarray
    rows: tuple[int, ...]


@DATASETS.register_module()
class VideoDataset(SequenceDataset):
    """Every person of a video, or of pictures, with 2D keypoints in a file.

    **Who is whom.** If every person of the file has an identity it counts, and of two with one identity in a frame the
    larger; else people are followed by :func:`hrtk.datasets.own.tracking.track`.

    **Gaps.** A person may be missing for ``max_gap`` frames: their box is linear between its neighbours and the
    keypoints of these frames get confidence 0, so that no position is invented. A longer gap begins a new sequence.

    **Boxes** are SPIN's, the middle of the visible points and ``box_scale`` times their larger extent, then smoothed
    over time as in VIBE's script for 3DPW, see :func:`hrtk.datasets.own.tracking.smooth_boxes`.

    Pictures are photographs, each person in each a sequence of one frame, unless ``fps`` says that the pictures of a
    folder are the frames of a film, in natural order of their names; subfolders are films of their own.

    Args:
        images: a video, a folder of pictures or one picture, see :class:`~hrtk.datasets.own.footage.Footage`.
        keypoints: a file or folder that :func:`hrtk.datasets.own.keypoint_files.read_keypoints` reads.
        fps: frames per second of pictures, None for photographs; of a video it replaces what the file says.
        name: the beginning of every sequence's name; default that of ``images``.
        source: who made the keypoints, printed beside every result; None takes it from the file.
        skeleton: joint list of the points; None takes it from the file.
        min_confidence: points below it get confidence 0; 0.3 is VIBE's.
        box_scale: side of the crop box over the larger extent of the visible points.
        smooth: whether to smooth boxes.
        max_gap: frames.
        min_length: tracks with fewer frames in which the person was found are left out; never more than there are
            frames.
        min_similarity: of :func:`hrtk.datasets.own.tracking.track`.
        max_people: keep so many tracks, those with the largest sum of box sides over all frames; None for all.
        masks: config of a mask source, see :mod:`hrtk.datasets.mask_sources`; None for no masks.

    Raises:
        InputError: a file is missing or broken, keypoints and frames do not fit each other, or no track is left.
    """

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
    ) -> None:
        if fps is not None and not fps > 0:
            raise InputError(f'VideoDataset: fps must be above 0, not {fps!r}')
        if max_people is not None and max_people < 1:
            raise InputError(f'VideoDataset: max_people must be at least 1, not {max_people!r}')
        self.footage, self.keypoints = Footage(images), Path(keypoints)
        self.table = read_keypoints(keypoints, skeleton)
        self.name, self.source = name or self.footage.path.stem, source or self.table.source
        self.film = self.footage.video is not None or fps is not None
        self.fps = fps or self.footage.fps or 25.0
        self.smooth, self.max_gap, self.min_length = smooth, max_gap, min_length
        self.min_similarity = min_similarity
        self.masks = MASK_SOURCES.build(masks) if masks is not None else None
        self._points = self.table.points.copy()
        self._points[self._points[..., 2] < min_confidence, 2] = 0
        xy, confidence = torch.from_numpy(self._points).split((2, 1), dim=-1)
        self._boxes = boxes_from_keypoints(xy, confidence[..., 0], scale=box_scale).numpy()
        self.tracks = self._largest(list(self._find()), max_people)

    def __len__(self) -> int:
        return len(self.tracks)

    def __getitem__(self, index: int) -> Sequence:
        found = self.tracks[index]
        rows = np.array(found.rows)
        points = torch.from_numpy(
            np.where((rows < 0)[:, None, None], np.float32(0), self._points[rows])
        )
        evidence = Keypoints2D(
            points[..., :2].contiguous(),
            points[..., 2].contiguous(),
            self.table.skeleton,
            self.source,
        )
        frames = self.footage.frames(found.places, self._sizes(found))
        sequence = Sequence(
            found.name,
            frames,
            torch.from_numpy(found.boxes.copy()),
            evidence,
            frame_ids=self.footage.labels(found.places),
            fps=self.fps,
        )
        return sequence if self.masks is None else self.masks.attach(sequence)

    def fingerprint(self) -> dict[str, str]:
        """A hash over the names and sizes in bytes of the pictures or the video, and the mask source's own hashes.

        Keypoints and boxes are compared by value.
        """
        used = {place for found in self.tracks for place in found.places}
        of_masks = {} if self.masks is None else self.masks.fingerprint()
        return {'images': self.footage.fingerprint(used), **of_masks}

    def _sizes(self, found: Track) -> list[Optional[tuple[int, int]]]:
        return [self.table.frames[row].size if row >= 0 else None for row in found.rows]

    def _find(self) -> Iterator[Track]:
        """All tracks, clip by clip."""
        places = self.footage.places(self.table)
        seen = np.flatnonzero(self._boxes[:, 2] > 0)  # one point, or none (NaN), makes no box
        if len(seen) < len(places):
            _log.warning(
                '%s: left out %d of %d people with fewer than two visible points',
                self.keypoints,
                len(places) - len(seen),
                len(places),
            )
        films: dict[str, list[Place]] = {}
        for place in self.footage.all():
            films.setdefault(self._clip(place), []).append(place)
        rows: dict[str, list[int]] = {}
        for row in seen.tolist():
            rows.setdefault(self._clip(places[row]), []).append(row)
        for clip, found in sorted(rows.items()):
            time = {place: t for t, place in enumerate(films[clip])}
            yield from self._follow(
                clip, films[clip], np.array(found), np.array([time[places[r]] for r in found])
            )

    def _clip(self, place: Place) -> str:
        if self.film:
            return self.footage.folder(place)
        return place.relative_to(self.footage.root).with_suffix('').as_posix()

    def _follow(
        self, clip: str, film: list[Place], rows: np.ndarray, times: np.ndarray
    ) -> Iterator[Track]:
        """The tracks of one film or photograph."""
        persons = [self.table.persons[row] for row in rows]
        if None in persons:
            persons = track(
                times,
                self._points[rows],
                self._boxes[rows],
                self.table.skeleton,
                self.max_gap,
                self.min_similarity,
            ).tolist()
        short, least = 0, min(self.min_length, len(film))
        for person in sorted(set(persons)):
            best: dict[int, int] = {}
            for row, t in (
                (r, t) for r, t, p in zip(rows.tolist(), times.tolist(), persons) if p == person
            ):
                if t not in best or self._boxes[row, 2] > self._boxes[best[t], 2]:
                    best[t] = row
            at = np.array(sorted(best))
            parts = np.split(at, np.flatnonzero(np.diff(at) > self.max_gap + 1) + 1)
            kept = [part for part in parts if len(part) >= least]
            short += len(parts) - len(kept)
            for number, part in enumerate(kept, 1):
                labels = [
                    self.name,
                    clip.replace('/', '_'),
                    f'person{person}',
                    f'part{number}' if number > 1 else '',
                ]
                yield self._track(
                    '_'.join(filter(None, labels)), part, [best[t] for t in part], film
                )
        if short:
            _log.warning(
                '%s: left out %d tracks%s of fewer than %d frames (min_length)',
                self.keypoints,
                short,
                f' in {clip}' if clip else '',
                least,
            )

    def _track(self, name: str, times: np.ndarray, rows: list[int], film: list[Place]) -> Track:
        wanted = np.arange(times[0], times[-1] + 1)
        boxes = fill(times, self._boxes[rows], wanted)
        if self.smooth:
            boxes = smooth_boxes(boxes, self.fps)
        known = dict(zip(times.tolist(), rows))
        return Track(
            name,
            tuple(film[t] for t in wanted),
            boxes.astype(np.float32),
            tuple(known.get(t, -1) for t in wanted.tolist()),
        )

    def _largest(self, tracks: list[Track], count: Optional[int]) -> list[Track]:
        if not tracks:
            raise InputError(
                f'{self.keypoints}: nobody is left of {len(self.table.persons)} people: a track needs two '
                f'visible points per frame in {self.min_length} frames; lower min_confidence or '
                f'min_length'
            )
        if count is None or len(tracks) <= count:
            return tracks
        kept = sorted(
            sorted(range(len(tracks)), key=lambda i: -float(tracks[i].boxes[:, 2].sum()))[:count]
        )
        _log.warning(
            '%s: left out %d of %d tracks (max_people = %d)',
            self.keypoints,
            len(tracks) - count,
            len(tracks),
            count,
        )
        return [tracks[i] for i in kept]
