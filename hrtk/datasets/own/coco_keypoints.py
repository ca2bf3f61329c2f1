"""People's own pictures or video with a keypoint file beside them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.own.footage import Footage, Place, natural
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.registry import DATASETS, MASK_SOURCES
from hrtk.structures import Keypoints2D, Sequence

_log = logging.getLogger(__name__)


@DATASETS.register_module()
class CocoKeypointsDataset(SequenceDataset):
    """Tracks of people in a folder of pictures or in a video, one :class:`Sequence` per person.

    A track has only the frames in which the person was annotated. A person is known by ``track_id`` (COCO),
    ``idx`` (AlphaPose) or ``person_id`` (OpenPose); a file without any of these gives one track of the largest person
    of every frame. Where an identity occurs twice in a frame the larger one counts. Pictures in different subfolders
    belong to different tracks.

    Args:
        images: a folder of pictures, one picture, or a video file;
            :meth:`~hrtk.datasets.own.footage.Footage.places` says how frames are found in it.
        keypoints: a file or folder that :func:`hrtk.datasets.own.keypoint_files.read_keypoints` reads.
        source: who made the keypoints, printed beside every result; None takes it from the layout.
        min_confidence: points below it get confidence 0.
        box_scale: side of the crop box over the larger extent of the visible points, 1.2 in SPIN.
        name: of the data set, the beginning of every sequence's name; default: the keypoint file's.
        skeleton: joint list of the points; None takes it from the file.
        masks: config of a mask source, see :mod:`hrtk.datasets.mask_sources`; None for no masks.

    Raises:
        InputError: a file or folder is missing or broken, a picture is missing, or nobody is visible. A picture that
            cannot be read, or has another size than the keypoint file notes, raises when its frame is read.
    """

    def __init__(
        self,
        images: str | Path,
        keypoints: str | Path,
        source: Optional[str] = None,
        min_confidence: float = 0.0,
        box_scale: float = 1.2,
        name: Optional[str] = None,
        skeleton: Optional[str] = None,
        masks: Optional[dict] = None,
    ) -> None:
        self.images, self.keypoints = Path(images), Path(keypoints)
        self.name = name or self.keypoints.stem
        self.table = read_keypoints(keypoints, skeleton)
        self.source = source or self.table.source
        self.masks = MASK_SOURCES.build(masks) if masks is not None else None
        points = torch.from_numpy(self.table.points)
        self._xy, confidence = points[..., :2], points[..., 2]
        self._confidence = confidence.where(confidence >= min_confidence, 0)
        self._boxes = boxes_from_keypoints(self._xy, self._confidence, scale=box_scale)
        self.footage = Footage(images)
        self._tracks = self._find_tracks(self.footage.places(self.table))
        if not self._tracks:
            raise InputError(
                f'{self.keypoints}: no frame has two visible points of a person (confidence > 0 and >= '
                f'min_confidence = {min_confidence:g}); annotate somebody or lower min_confidence'
            )

    def __len__(self) -> int:
        return len(self._tracks)

    def __getitem__(self, index: int) -> Sequence:
        name, places, rows = self._tracks[index]
        frames = self.footage.frames(places, [self.table.frames[row].size for row in rows])
        evidence = Keypoints2D(
            self._xy[rows].clone(), self._confidence[rows].clone(), self.table.skeleton, self.source
        )
        sequence = Sequence(
            name,
            frames,
            self._boxes[rows].clone(),
            evidence,
            frame_ids=self.footage.labels(places),
            fps=self.footage.fps or 25.0,
        )
        return sequence if self.masks is None else self.masks.attach(sequence)

    def fingerprint(self) -> dict[str, str]:
        """A hash over the names and sizes in bytes of the pictures or the video, and the mask source's own hashes.

        Keypoints are compared by value.
        """
        used = {place for _, places, _ in self._tracks for place in places}
        of_masks = {} if self.masks is None else self.masks.fingerprint()
        return {'images': self.footage.fingerprint(used), **of_masks}

    def _find_tracks(self, places: list) -> list[tuple[str, list, list[int]]]:
        """Name, places in order of time, and rows of the table for every track."""
        sides = self._boxes[:, 2].tolist()
        seen = [side > 0 for side in sides]  # one point, or none (NaN), makes no box
        identified = any(person is not None for person in self.table.persons)
        kept = [
            seen[row] and not (identified and person is None)
            for row, person in enumerate(self.table.persons)
        ]
        found: dict[tuple, dict] = {}
        for row in np.flatnonzero(kept).tolist():
            place, person = places[row], self.table.persons[row]
            clip = self.footage.folder(place)
            track = found.setdefault((clip, person if identified else 0), {})
            if place not in track or sides[row] > sides[track[place]]:
                track[place] = row
        self._report(seen, kept, sum(map(len, found.values())))
        tracks = []
        for clip, person in sorted(found):
            track = found[clip, person]
            order = sorted(track, key=lambda place: self._time(place, track[place]))
            parts = [self.name, clip.replace('/', '_'), f'person{person}' if identified else '']
            tracks.append(('_'.join(filter(None, parts)), order, [track[place] for place in order]))
        return tracks

    def _time(self, place: Place, row: int) -> tuple:
        number = self.table.frames[row].number
        return (
            (place,)
            if self.footage.video
            else (-1 if number is None else number, natural(place.name))
        )

    def _report(self, seen: list[bool], kept: list[bool], used: int) -> None:
        lost = {
            'with fewer than two visible points': seen.count(False),
            'without an identity, beside people who have one': sum(seen) - sum(kept),
            'smaller than another of the same identity in the same frame': sum(kept) - used,
        }
        for why, count in lost.items():
            if count:
                _log.warning(
                    '%s: left out %d of %d people %s', self.keypoints, count, len(seen), why
                )
