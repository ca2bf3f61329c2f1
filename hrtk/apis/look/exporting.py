"""``export``: stored results as files of other programs."""

from __future__ import annotations

import difflib
import fnmatch
import io
from pathlib import Path
from typing import Callable, Iterable, Iterator, Optional
from urllib.parse import unquote

import numpy as np

from hrtk.apis.look.stored import result_folders, stored_body
from hrtk.errors import InputError
from hrtk.files import write_atomically
from hrtk.results import Result
from hrtk.visualization import export as files

# By format: the endings of its files and what makes their content.
FORMATS: dict[str, dict[str, Callable]] = {
    'glb': {'.glb': files.to_glb},
    'bvh': {'.bvh': files.to_bvh},
    'amass': {'.npz': files.to_amass, '_smplx.npz': files.to_amass_smplx},
    'joints': {'.csv': files.to_csv, '.json': files.to_json},
    'obj': {'': files.to_obj},
}
WITH_WORLD = ('bvh', 'amass', 'obj')
ROWS = ('after', 'before')
DEFAULT = ('glb', 'bvh', 'amass', 'joints')


def export(
    results: str | Path | Iterable[str | Path],
    formats: Iterable[str] = DEFAULT,
    *,
    row: str = 'after',
    sequences: str = '*',
    out: Optional[str | Path] = None,
    world: Optional[str] = None,
    focal: Optional[float] = None,
) -> list[Path]:
    """Writes stored results as files that other programs read.

    Args:
        results: folders of results, ``<work_dir>/results/<fingerprint>``, or work dirs, of which every folder of
            results is taken.
        formats: of ``'glb'``, ``'bvh'``, ``'amass'``, ``'joints'`` (csv and json) and ``'obj'`` (a file per frame).
        row: ``'after'`` adaptation, or ``'before'``, by the frozen source model.
        sequences: pattern of the shell; only sequences whose name fits.
        out: folder; the files of a folder of results lie in ``<out>/<fingerprint>/<row>/<format>/``. Default
            ``exports`` in that folder of results, ``exports/<row>/<format>/``.
        world: ``'camera'``, ``'y-up'`` or ``'z-up'``, for amass (default z-up), bvh and obj (default y-up). GLB is
            always y-up and joints are always in the camera frame.
        focal: focal length of the pictures, px, if it is known; depth is proportional to it.

    Returns:
        What was written: files, and for obj a folder per sequence.

    Raises:
        InputError: there are no results or none that fits, one is damaged, an option is unknown, or the body file is
            missing or another than the results were computed with. Everything is read before anything is written.
    """
    formats = _known(
        'format', dict.fromkeys([formats] if isinstance(formats, str) else formats), FORMATS
    )
    row, *_ = _known('row', [row], ROWS)
    given = [results] if isinstance(results, (str, Path)) else results
    folders = [found for folder in given for found in result_folders(Path(folder))]
    options = {} if world is None else dict(world=_known('world', [world], files.WORLDS)[0])
    jobs = [(folder, _motions(folder, row, sequences, focal)) for folder in folders]
    if not any(motions for _, motions in jobs):
        names = [unquote(path.stem) for folder in folders for path in sorted(folder.glob('*.npz'))]
        raise InputError(
            f'{folders[0]}: no result fits {sequences!r}; there are {", ".join(names[:8])}'
            if names
            else f'{folders[0]}: has a run.json and no results; run tools/adapt.py again to finish it'
        )
    bodies = [stored_body(folder).double() for folder in folders]
    written = []
    for (folder, motions), body in zip(jobs, bodies):
        target = (folder / 'exports' if out is None else Path(out) / folder.name) / row
        for stem, motion in motions.items():
            for name in formats:
                (target / name).mkdir(parents=True, exist_ok=True)
                for ending, content in FORMATS[name].items():
                    chosen = options if name in WITH_WORLD else {}
                    written.append(
                        _write(target / name / f'{stem}{ending}', content(motion, body, **chosen))
                    )
    return written


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    names = list(names)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1)
            hint = f'did you mean {near[0]!r}?' if near else f'use {", ".join(known)}'
            raise InputError(f'there is no {what} {name!r}; {hint}')
    if not names:
        raise InputError(f'no {what} was named; use {", ".join(known)}')
    return names


def _motions(
    folder: Path, row: str, pattern: str, focal: Optional[float]
) -> dict[str, files.Motion]:
    """The motions of all sequences that fit, by the stem of their files."""
    chosen = [
        path
        for path in sorted(folder.glob('*.npz'))
        if fnmatch.fnmatchcase(unquote(path.stem), pattern)
    ]
    return {path.stem: _motion(Result.load(path), row, focal) for path in chosen}


def _motion(result: Result, row: str, focal: Optional[float]) -> files.Motion:
    prediction = result.after if row == 'after' else result.before
    return files.motion_of_crops(
        result.name,
        prediction.rotmat,
        prediction.betas,
        prediction.camera,
        result.boxes,
        result.frame_ids,
        result.fps,
        result.image_size,
        focal,
    )


def _write(path: Path, content: bytes | str | dict[str, np.ndarray] | Iterator[str]) -> Path:
    """Writes a file, or a folder of numbered ones from an iterator."""
    if isinstance(content, Iterator):
        path.mkdir(exist_ok=True)
        for old in path.glob('[0-9]*.obj'):  # of a longer result: they must not mix
            old.unlink()
        for frame, text in enumerate(content):
            _write(path / f'{frame:06d}.obj', text)
        return path
    if isinstance(content, dict):
        buffer = io.BytesIO()
        np.savez(buffer, **content)
        content = buffer.getvalue()
    data = content.encode() if isinstance(content, str) else content
    write_atomically(path, lambda file: file.write(data))
    return path
