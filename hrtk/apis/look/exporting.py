"""``export``: stored results as files of other programs."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional

import numpy as np

from hrtk.apis.look.still_camera import background_shifts
from hrtk.apis.look.stored import result_folders, stored_body
from hrtk.body_models import BodyModel
from hrtk.errors import InputError, suggestion
from hrtk.files import (
    escaped_name,
    unescaped_name,
    write_atomically,
    write_text_atomically,
)
from hrtk.reading import read_json
from hrtk.results import Result
from hrtk.visualization import export as files

# By format: the suffixes of its files, and the functions that return their content.
FORMATS: dict[str, dict[str, Callable[..., Any]]] = {
    'glb': {'.glb': files.to_glb},
    'bvh': {'.bvh': files.to_bvh},
    'fbx': {'.fbx': files.to_fbx},
    'amass': {'.npz': files.to_amass, '_smplx.npz': files.to_amass_smplx},
    'joints': {'.csv': files.to_csv, '.json': files.to_json},
    'trc': {'.trc': files.to_trc},
    'c3d': {'.c3d': files.to_c3d},
    'obj': {'': files.to_obj},
}
WITH_WORLD = ('bvh', 'amass', 'obj')
ROWS = ('after', 'before')
FACTS = 'motion.json'
DEFAULT = ('glb', 'bvh', 'amass', 'joints')


def export(
    results: str | Path | Iterable[str | Path],
    formats: str | Iterable[str] = DEFAULT,
    *,
    row: str = 'after',
    sequences: str = '*',
    out: Optional[str | Path] = None,
    world: Optional[str] = None,
    focal: Optional[float] = None,
    fov: Optional[float] = None,
    viewing_ray: bool = True,
    smooth: float = files.SMOOTH_SECONDS,
    floor: bool = True,
    lock_feet: bool = True,
) -> list[Path]:
    """Writes stored results as files that other programs read, and numbers about the motions in ``motion.json``.

    Args:
        results: folders of results, ``<work_dir>/results/<fingerprint>``, or work dirs, of which every folder of
            results is exported.
        formats: any of ``'glb'``, ``'bvh'``, ``'fbx'`` (needs Blender), ``'amass'``, ``'joints'`` (csv and json),
            ``'trc'``, ``'c3d'`` and ``'obj'`` (a file per frame).
        row: ``'after'`` for the adapted model, ``'before'`` for the frozen source model.
        sequences: shell pattern; only sequences whose name matches are exported.
        out: folder; the files of a folder of results lie in ``<out>/<fingerprint>/<row>/<format>/``. Default
            ``exports`` in that folder of results, ``exports/<row>/<format>/``.
        world: ``'camera'``, ``'y-up'`` or ``'z-up'``, for amass (default z-up), bvh and obj (default y-up). GLB, FBX,
            TRC and C3D are always y-up and joints are always in the camera frame. Where a floor is found, it has height
            zero in the worlds y-up and z-up, and the camera stands above the origin.
        focal: focal length of the images, px, if it is known; depth is proportional to it. Default that of the result,
            or else the diagonal of the image.
        fov: field of view along the longer side of the image, degrees, instead of ``focal``.
        viewing_ray: whether bodies are turned by the viewing ray of their crop, see ``docs/en/camera.md``.
        smooth: seconds of the window of the filter over time; 0 for none.
        floor: whether gravity and the floor are estimated, which needs a camera that does not move.
        lock_feet: whether standing feet stay at their places on that floor.

    Returns:
        The written files, and for obj a folder per sequence; without ``motion.json``, which lies above the folders of
        the formats.

    Raises:
        InputError: there are no results or none that matches, a result is damaged, an option is unknown, or the body
            file is missing or differs from the one that the results were computed with. All inputs are read before
            anything is written.
    """
    if isinstance(formats, str):
        formats = [formats]
    if isinstance(results, (str, Path)):
        results = [results]
    formats = list(dict.fromkeys(formats))
    check_formats(formats)
    _check_known('row', [row], ROWS)
    if world is not None:
        _check_known('world', [world], files.WORLDS)
    folders: list[Path] = []
    for path in results:
        folders += result_folders(Path(path))
    placing = files.Placing(focal, fov, viewing_ray, smooth, floor, lock_feet)
    bodies, people = _placed_people(folders, sequences, row, placing)
    written = []
    for folder, placed, body in zip(folders, people, bodies):
        root = folder / 'exports'
        if out is not None:
            root = Path(out) / folder.name
        for stem, person in placed.items():
            for name in formats:
                written += _write_format(name, root / row / name, stem, person.motion, body, world)
        if placed:
            _write_facts(root / row / FACTS, placed)
    return written


def _placed_people(
    folders: list[Path], sequences: str, row: str, placing: files.Placing
) -> tuple[list[BodyModel], list[dict[str, files.Placed]]]:
    """The body model and the people, by file stem, of every folder of results."""
    matching = [_matching_results(folder, sequences) for folder in folders]
    if not any(matching):
        raise _nothing_matches(folders, sequences)
    bodies = [stored_body(folder).double() for folder in folders]
    people = []
    for folder, by_stem, body in zip(folders, matching, bodies):
        shifts = {}
        if placing.floor:
            shifts = background_shifts(folder)
        people.append(files.place_people(by_stem, row, body, placing, shifts))
    return bodies, people


def motion_lines(written: Iterable[Path]) -> list[str]:
    """One line about every motion beside the files that :func:`export` wrote: focal length, jitter, sliding, floor."""
    lines = []
    for folder in sorted({path.parents[1] for path in written}):
        for name, facts in read_json(folder / FACTS, kind=dict).items():
            lines.append(files.describe(name, facts))
    return lines


def check_formats(formats: Iterable[str]) -> None:
    """Raises an InputError for an unknown format, and for one whose program is not installed."""
    formats = list(formats)
    _check_known('format', formats, FORMATS)
    if 'fbx' in formats:
        files.blender_command()


def _check_known(kind: str, names: list[str], known: Iterable[str]) -> None:
    """Raises an InputError for an unknown name, and if there is no name."""
    known = list(known)
    for name in names:
        if name not in known:
            raise InputError(f'there is no {kind} {name!r}. {suggestion(name, known)}')
    if not names:
        raise InputError(f'no {kind} was named; use {", ".join(known)}')


def _nothing_matches(folders: list[Path], pattern: str) -> InputError:
    paths: list[Path] = []
    for folder in folders:
        paths += sorted(folder.glob('*.npz'))
    if not paths:
        return InputError(
            f'{folders[0]}: has a run.json and no results; run tools/adapt.py again to finish it'
        )
    names = [unescaped_name(path.stem) for path in paths[:8]]
    return InputError(f'{folders[0]}: no result fits {pattern!r}; there are {", ".join(names)}')


def _matching_results(folder: Path, pattern: str) -> dict[str, Result]:
    """The results of all sequences that match, by the stem of the files that are written for them."""
    results = {}
    for path in sorted(folder.glob('*.npz')):
        name = unescaped_name(path.stem)
        if fnmatch.fnmatchcase(name, pattern):
            results[escaped_name(name)] = Result.load(path)
    return results


def _write_facts(path: Path, placed: Mapping[str, files.Placed]) -> None:
    """Writes the facts of motions, beside those of other motions that the file has already."""
    facts = {}
    if path.is_file():
        facts = read_json(path, 'delete it', dict)
    facts.update({stem: person.facts for stem, person in placed.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps(facts, indent=1) + '\n')


def _write_format(
    name: str,
    folder: Path,
    stem: str,
    motion: files.Motion,
    body: BodyModel,
    world: Optional[str],
) -> list[Path]:
    """Writes all files of one format and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {}
    if world is not None and name in WITH_WORLD:
        options['world'] = world
    written = []
    for suffix, content_of in FORMATS[name].items():
        path = folder / f'{stem}{suffix}'
        _write(path, content_of(motion, body, **options))
        written.append(path)
    return written


def _write(path: Path, content: bytes | str | dict[str, Any] | Iterator[str]) -> None:
    """Writes a file, or a folder of numbered files from an iterator."""
    if isinstance(content, bytes):
        write_atomically(path, lambda file: file.write(content))
    elif isinstance(content, str):
        write_text_atomically(path, content)
    elif isinstance(content, dict):
        write_atomically(path, lambda file: np.savez(file, **content))
    else:
        path.mkdir(exist_ok=True)
        for old in path.glob('[0-9]*.obj'):  # an earlier result may have had more frames
            old.unlink()
        for frame, text in enumerate(content):
            write_text_atomically(path / f'{frame:06d}.obj', text)
