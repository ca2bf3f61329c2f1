"""People's own pictures or video with a keypoint file beside them."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hrtk.datasets.frames import ImageFrames, VideoFrames
from hrtk.datasets.tracks import FrameRef, KeypointTable, read_keypoints
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.registry import DATASETS, MASK_SOURCES
from hrtk.structures import InputError, Keypoints2D, Sequence

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
_log = logging.getLogger(__name__)


@DATASETS.register_module()
class CocoKeypointsDataset:
    """Tracks of people in a folder of pictures or in a video, one :class:`Sequence` per person.

    A track has only the frames in which the person was annotated. A person is known by ``track_id`` (COCO),
    ``idx`` (AlphaPose) or ``person_id`` (OpenPose); a file without any of these gives one track of the largest person
    of every frame. Where an identity occurs twice in a frame the larger one counts. Pictures in different subfolders
    belong to different tracks.

    Args:
        images: a folder of pictures, one picture, or a video file. File names of the keypoint file are looked up below
            the folder, OpenPose's by stem, whole-number ids of results by the number in the file name. A frame of a
            video is found by ``frame_index``, a whole-number id, or the last number in its name, counted from 0.
        keypoints: a file or folder that :func:`hrtk.datasets.tracks.read_keypoints` reads.
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

    def __init__(self, images: str | Path, keypoints: str | Path, source: Optional[str] = None,
                 min_confidence: float = 0.0, box_scale: float = 1.2, name: Optional[str] = None,
                 skeleton: Optional[str] = None, masks: Optional[dict] = None) -> None:
        self.images, self.keypoints = Path(images), Path(keypoints)
        self.name = name or self.keypoints.stem
        self.table = read_keypoints(keypoints, skeleton)
        self.source = source or self.table.source
        self.masks = MASK_SOURCES.build(masks) if masks is not None else None
        points = torch.from_numpy(self.table.points)
        self._xy, confidence = points[..., :2], points[..., 2]
        self._confidence = confidence.where(confidence >= min_confidence, 0)
        self._boxes = boxes_from_keypoints(self._xy, self._confidence, scale=box_scale)
        self._video = _video(self.images)
        places = _video_places(self.table, self._video) if self._video else _image_places(self.table, self.images)
        self._tracks = self._find_tracks(places)
        if not self._tracks:
            raise InputError(f'{self.keypoints}: no frame has two visible points of a person (confidence > 0 and >= '
                             f'min_confidence = {min_confidence:g}); annotate somebody or lower min_confidence')

    def __len__(self) -> int:
        return len(self._tracks)

    def __getitem__(self, index: int) -> Sequence:
        name, places, rows = self._tracks[index]
        if self._video:
            frames, fps = VideoFrames(self.images, places), self._video.fps
            labels = tuple(f'{place:06d}' for place in places)
        else:
            frames, fps = ImageFrames(places, [self.table.frames[row].size for row in rows]), 25.0
            labels = tuple(place.name for place in places)
        evidence = Keypoints2D(self._xy[rows].clone(), self._confidence[rows].clone(), self.table.skeleton, self.source)
        sequence = Sequence(name, frames, self._boxes[rows].clone(), evidence, frame_ids=labels, fps=fps)
        return sequence if self.masks is None else self.masks.attach(sequence)

    def fingerprint(self) -> dict[str, str]:
        """A hash over the names and sizes in bytes of the pictures or the video, and the mask source's own hashes.

        Keypoints are compared by value.
        """
        files = [self.images] if self._video else sorted({place for _, places, _ in self._tracks for place in places})
        listing = '\n'.join(f'{file.name} {file.stat().st_size}' for file in files)
        of_masks = {} if self.masks is None else self.masks.fingerprint()
        return {'images': hashlib.sha256(listing.encode()).hexdigest(), **of_masks}

    def _find_tracks(self, places: list) -> list[tuple[str, list, list[int]]]:
        """Name, places in order of time, and rows of the table for every track."""
        sides = self._boxes[:, 2].tolist()
        seen = [side > 0 for side in sides]  # one point, or none (NaN), makes no box
        identified = any(person is not None for person in self.table.persons)
        kept = [seen[row] and not (identified and person is None) for row, person in enumerate(self.table.persons)]
        found: dict[tuple, dict] = {}
        for row in np.flatnonzero(kept).tolist():
            place, person = places[row], self.table.persons[row]
            clip = '' if self._video else place.parent.relative_to(_root(self.images)).as_posix()
            track = found.setdefault((clip, person if identified else 0), {})
            if place not in track or sides[row] > sides[track[place]]:
                track[place] = row
        self._report(seen, kept, sum(map(len, found.values())))
        tracks = []
        for clip, person in sorted(found):
            track = found[clip, person]
            order = sorted(track, key=lambda place: self._time(place, track[place]))
            parts = [self.name, clip.replace('/', '_').strip('.'), f'person{person}' if identified else '']
            tracks.append(('_'.join(filter(None, parts)), order, [track[place] for place in order]))
        return tracks

    def _time(self, place: int | Path, row: int) -> tuple:
        number = self.table.frames[row].number
        return (place,) if self._video else (-1 if number is None else number, _natural(place.name))

    def _report(self, seen: list[bool], kept: list[bool], used: int) -> None:
        lost = {'with fewer than two visible points': seen.count(False),
                'without an identity, beside people who have one': sum(seen) - sum(kept),
                'smaller than another of the same identity in the same frame': sum(kept) - used}
        for why, count in lost.items():
            if count:
                _log.warning('%s: left out %d of %d people %s', self.keypoints, count, len(seen), why)


def _video(images: Path) -> Optional[VideoFrames]:
    if images.is_dir() or images.suffix.lower() in IMAGE_SUFFIXES:
        return None
    if not images.exists():
        raise InputError(f'{images}: there is no such folder or video; check the path')
    return VideoFrames(images)


def _video_places(table: KeypointTable, video: VideoFrames) -> list[int]:
    """The frame number of every row."""
    numbers = []
    for frame in table.frames:
        digits = re.findall(r'\d+', frame.name.rsplit('/')[-1])
        if frame.number is None and not digits:
            raise InputError(f'{video.path}: which frame is {frame.name!r}? The keypoint file must give `frame_index`, '
                             f'or end the name with the frame number, counted from 0')
        if frame.size not in (None, video.size):
            raise InputError(f'{video.path}: the video is {video.size[0]}x{video.size[1]} px, {frame.name!r} was '
                             f'annotated on {frame.size[0]}x{frame.size[1]} px; give the video that was annotated')
        numbers.append(int(digits[-1]) if frame.number is None else frame.number)
    VideoFrames(video.path, sorted(set(numbers)))  # complains about frames that the video does not have
    return numbers


def _image_places(table: KeypointTable, images: Path) -> list[Path]:
    """The picture of every row."""
    files = [images] if images.is_file() else [f for f in images.rglob('*') if f.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise InputError(f'{images}: no picture in this folder ({", ".join(IMAGE_SUFFIXES)}); check the path')
    root = _root(images)
    places: dict[FrameRef, Optional[Path]] = {}
    index = {kind: _index(files, key) for kind, key in {
        'path': lambda f: f.relative_to(root).as_posix(), 'name': lambda f: f.name, 'stem': lambda f: f.stem,
        'number': lambda f: int((re.findall(r'\d+', f.stem) or [-1])[-1])}.items()}
    for frame in table.frames:
        if frame in places:
            continue
        name = frame.name.rsplit('/')[-1]
        if not name:
            places[frame] = index['number'].get(frame.number)
        elif name.lower().endswith(IMAGE_SUFFIXES):
            places[frame] = index['path'].get(frame.name) or index['name'].get(name)
        else:
            places[frame] = index['stem'].get(name)
    missing = [frame.name or f'number {frame.number}' for frame, place in places.items() if place is None]
    if missing:
        raise InputError(f'{images}: {len(missing)} of {len(places)} annotated pictures are missing (or not unique) '
                         f'there: {", ".join(missing[:5])}; the folder has {len(files)} pictures like '
                         f'{min(files).name}. Copy them, or give the folder that was annotated')
    return [places[frame] for frame in table.frames]


def _root(images: Path) -> Path:
    return images if images.is_dir() else images.parent


def _index(files: Iterable[Path], key) -> dict:
    """Files by key; a key that several files share is left out."""
    found: dict = {}
    for file in files:
        found[key(file)] = None if key(file) in found else file
    return found


def _natural(name: str) -> list:
    return [(int(part), '') if part.isdigit() else (-1, part) for part in re.split(r'(\d+)', name)]
