"""2D keypoints of footage by a detector, stored in a file while they are computed."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np
from rich.progress import track

from hrtk.datasets.own.footage import Footage
from hrtk.detectors import Detector, Findings, batched, checked, detect_batch
from hrtk.errors import InputError
from hrtk.files import write_text_atomically
from hrtk.models.blazepose import SMALL_TILES
from hrtk.reading import parse_json, read_bytes, read_json

_log = logging.getLogger(__name__)
STATE = 'state'  # of a session after a frame; only in the unfinished file
# Tracks of a session that are shorter or less certain are taken for mistakes of the detector.
LEAST_SECONDS = 0.2
LEAST_FRAMES = 3
LEAST_FLAG = 0.6  # mean over the track
SMALL = 0.25  # of the image's longer side, or of a tile's; smaller people BlazePose finds by chance
NAMED = 5  # images in a message


def detect(
    footage: Footage,
    detector: Detector | Callable,
    path: str | Path,
    fps: Optional[float] = None,
    frames: Optional[range] = None,
) -> Path:
    """Detects the people of every frame and writes a file that :mod:`hrtk.datasets.own.keypoint_files` reads.

    One line per frame is stored in ``<path>.part``, so that an interrupted run resumes after its last frame. A
    finished file of the same footage and detector is not written again. A detector with a
    :meth:`~hrtk.detectors.Detector.session` follows people through every clip of the footage; its tracks that are
    shorter than 0.2 seconds, or with a mean flag below 0.6, are left out and counted under ``left_out``.

    Args:
        footage: the frames.
        detector: a :class:`~hrtk.detectors.Detector`; other callables as in
            :func:`hrtk.detectors.build_detector`.
        path: of the json.
        fps: declares images to be the frames of clips; replaces the rate of a video's header. Images without it are
            photographs.
        frames: indices of the frames that are looked at; None for all. Each keeps its number.

    Returns:
        ``path``.

    Raises:
        InputError: a frame cannot be read, or nobody is found.
        RuntimeError: the detector does not return one array per image.
    """
    path = Path(path)
    detector = batched(detector)
    fps = fps or footage.fps
    header = _header(footage, detector, fps)
    first = 0
    if frames is not None:
        first = frames.start
        header['range'] = [frames.start, frames.stop]
    if not _is_finished(path, header):
        part = path.with_name(f'{path.name}.part')
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = _stored_entries(part, header)
        with open(part, 'a', encoding='utf-8') as file:
            if not entries:
                file.truncate(0)
                file.write(f'{json.dumps(header)}\n')
            for entry in _remaining_entries(footage, detector, fps, frames, entries):
                file.write(f'{json.dumps(entry)}\n')
                file.flush()
                entries.append(entry)
        for entry in entries:
            entry.pop(STATE, None)
        clips = [footage.clip(first + index) for index in range(len(entries))]
        notes = _leave_out_false_tracks(entries, clips, fps, path)
        write_text_atomically(path, json.dumps({**header, **notes, 'frames': entries}))
        part.unlink()
    entries = _check_somebody(path, detector)
    _warn_of_missing_people(entries, footage, detector, path, first)
    return path


def _header(footage: Footage, detector: Detector, fps: Optional[float]) -> dict[str, Any]:
    """What the keypoints depend on."""
    header: dict[str, Any] = dict(
        source=detector.source, skeleton=detector.skeleton, footage=footage.fingerprint()
    )
    hashes = detector.fingerprint()
    if hashes:
        header['detector'] = hashes
    if detector.session(fps) is not None:
        header['fps'] = fps
    return header


def _is_finished(path: Path, header: dict[str, Any]) -> bool:
    if not path.exists():
        return False
    content = read_json(path, 'delete it, and the keypoints are detected again', dict)
    content.pop('frames', None)
    content.pop('left_out', None)
    return content == header


def _stored_entries(part: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames of an interrupted run of the same footage and detector; a truncated last line is removed."""
    if not part.exists():
        return []
    lines = read_bytes(part).splitlines(keepends=True)
    complete = [line for line in lines if line.endswith(b'\n')]
    remedy = 'delete it, and the keypoints are detected again'
    if not complete or parse_json(complete[0], part, remedy) != header:
        return []
    part.write_bytes(b''.join(complete))
    return [parse_json(line, part, remedy) for line in complete[1:]]


def _remaining_entries(
    footage: Footage,
    detector: Detector,
    fps: Optional[float],
    chosen: Optional[range],
    stored: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """The entries of the frames behind those that are stored."""
    state = None
    if stored:
        state = stored[-1].get(STATE)
    session = detector.session(fps, state)
    first = 0
    stop = None
    if chosen is not None:
        first = chosen.start
        stop = chosen.stop
    images = _images_from(footage, first + len(stored), stop)
    if session is None:
        for batch in _batches(images, detector.batch_size):
            findings = detect_batch(detector, [image for _, image in batch])
            for (index, _), found in zip(batch, findings):
                yield _entry(footage, index, found)
        return
    for index, image in images:
        if index > first and footage.clip(index) != footage.clip(index - 1):
            session = detector.session(fps)
        assert session is not None
        found = checked(detector, session(image))
        yield {**_entry(footage, index, found), STATE: session.state()}


def _images_from(
    footage: Footage, start: int, stop: Optional[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """The frames from one index on with their indices, up to ``stop`` or the end of the stream.

    The number of all frames is not asked for: a header may be wrong, and to count frames a video is decoded once more.
    """
    frames = footage.frames()
    indices: Iterable[int] = itertools.count(start)
    total = stop
    if stop is None:
        total = footage.expected()
    else:
        indices = range(start, stop)
    if total is not None:
        total = max(0, total - start)
    for index in track(indices, description='2D keypoints', total=total):
        try:
            image = frames[index]
        except IndexError:
            return
        yield index, image


def _batches(
    items: Iterator[tuple[int, np.ndarray]], size: int
) -> Iterator[list[tuple[int, np.ndarray]]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def _entry(footage: Footage, index: int, found: Findings) -> dict[str, Any]:
    """What the file stores for one frame."""
    reference = footage.reference(index)
    entry: dict[str, Any] = {}
    if reference.name:
        entry['image'] = reference.name
    else:
        entry['frame'] = reference.number
    entry['keypoints'] = _rounded(found.keypoints[..., :2], 2)
    entry['scores'] = _rounded(found.keypoints[..., 2], 4)
    if found.persons is not None:
        entry['persons'] = list(found.persons)
    if found.landmarks is not None:
        entry['landmarks'] = found.landmarks.to_json()
    return entry


def _rounded(values: np.ndarray, places: int) -> list:
    """Numbers with few digits; float32 would be written with many."""
    return values.astype(np.float64).round(places).tolist()


def _leave_out_false_tracks(
    entries: list[dict[str, Any]], clips: list[str], fps: Optional[float], path: Path
) -> dict[str, Any]:
    """Removes short and uncertain tracks from the entries, and says how many there were."""
    if fps is None:
        return {}
    flags: dict[tuple[str, int], list[float]] = {}
    lengths: dict[str, int] = {}
    for clip, entry in zip(clips, entries):
        lengths[clip] = lengths.get(clip, 0) + 1
        for position, person in enumerate(entry.get('persons', [])):
            flags.setdefault((clip, person), []).append(entry['landmarks']['flag'][position])
    shortest = max(LEAST_FRAMES, round(LEAST_SECONDS * fps))
    false = set()
    for (clip, person), values in flags.items():
        short = len(values) < min(shortest, lengths[clip])
        if short or np.mean(values) < LEAST_FLAG:
            false.add((clip, person))
    if not false:
        return {}
    for clip, entry in zip(clips, entries):
        _keep_people(entry, clip, false)
    frames = sum(len(flags[key]) for key in false)
    _log.info('%s: left out %d short or uncertain tracks of %d', path, len(false), len(flags))
    return {'left_out': dict(tracks=len(false), people=frames)}


def _keep_people(entry: dict[str, Any], clip: str, false: set[tuple[str, int]]) -> None:
    persons = entry['persons']
    kept = [index for index, person in enumerate(persons) if (clip, person) not in false]
    for key in ('keypoints', 'scores', 'persons'):
        entry[key] = [entry[key][index] for index in kept]
    for key, values in entry['landmarks'].items():
        entry['landmarks'][key] = [values[index] for index in kept]


def _check_somebody(path: Path, detector: Detector) -> list[dict[str, Any]]:
    """The frames of a finished file; raises InputError if nobody is in them."""
    content = read_json(path, kind=dict)
    entries = content['frames']
    if any(entry['keypoints'] for entry in entries):
        return entries
    remedy = 'give --keypoints a file of another program'
    if detector.source == 'blazepose':
        remedy = (
            'people below an eighth of the image need tiles, --pose2d blazepose:tiles=4; uncertain ones '
            f'--pose2d blazepose:min_score=0.3; or {remedy}'
        )
    left_out = content.get('left_out', {}).get('tracks', 0)
    short = ''
    if left_out:
        short = f' for longer than a moment ({left_out} short or uncertain tracks were left out)'
    raise InputError(
        f'{path}: {detector.source} found nobody in {len(entries)} frames{short}; {remedy}'
    )


def _warn_of_missing_people(
    entries: list[dict[str, Any]], footage: Footage, detector: Detector, path: Path, first: int
) -> None:
    """Names photographs without people, and says if people are so small that others may have been missed."""
    empty = [entry['image'] for entry in entries if 'image' in entry and not entry['keypoints']]
    if empty:
        more = ', ...' if len(empty) > NAMED else ''
        _log.warning(
            '%s: nobody found in %d of %d images: %s%s',
            path,
            len(empty),
            len(entries),
            ', '.join(empty[:NAMED]),
            more,
        )
    counts = [len(entry['keypoints']) for entry in entries]
    fullest = int(np.argmax(counts))
    if detector.source != 'blazepose' or counts[fullest] < 2:
        return
    points = np.array(entries[fullest]['keypoints'], np.float64)
    extents = (points.max(1) - points.min(1)).max(1)
    smallest = float(extents.min()) / max(footage.size(first + fullest))
    tiles = max(getattr(getattr(detector, 'network', None), 'tiles', 1), SMALL_TILES)
    if smallest < SMALL / tiles:
        _log.warning(
            '%s: people as small as %d %% of the image were found; others of this size may be missing, '
            'see --pose2d blazepose:tiles=%d',
            path,
            round(100 * smallest),
            tiles + 2,
        )
