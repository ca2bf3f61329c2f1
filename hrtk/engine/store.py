"""Results on disk: one file per sequence, under a fingerprint of everything that determines its numbers.

A run's results lie in ``<work_dir>/results/<fingerprint>/``: ``<name>.npz`` per sequence (the name percent-encoded),
``run.json`` (config, versions, seed, hashes) and, for adapters that carry weights on, ``state.pt``. Every file is
written to a temporary name, synced and renamed, so a killed run leaves whole files only.

Schema ``hrtk-result-1`` of a sequence of F frames and K keypoints (read it with ``np.load``, no pickle needed):

====================  ==============  ================================================================================
key                   shape           content
====================  ==============  ================================================================================
rotmat                (F, 24, 3, 3)   float32, adapted: global_orient (camera frame), then body_pose
betas                 (F, 10)         float32
camera                (F, 3)          float32 weak-perspective ``[s, tx, ty]`` of the crop box
before_rotmat, ...                    the same three of the frozen source model
boxes                 (F, 3)          float32 ``[cx, cy, side]``, px
keypoints2d           (F, K, 3)       float32 x, y (px) and confidence that were adapted to
keypoints_source      ()              who made them
skeleton              ()              their joint list
frame_ids             (F,)            labels of the frames, e.g. file names
image_size            (2,)            width and height of the first frame, px
fps                   ()              frames per second
ms_per_frame          ()              wall time of the adapter; before_ms_per_frame of the source model
report_<key>          ()              numbers that the adapter counted, e.g. skipped_updates
name, schema          ()              name of the sequence; ``hrtk-result-1``
====================  ==============  ================================================================================
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import logging
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, Callable, Optional
from urllib.parse import quote

import numpy as np
import torch
from mmengine.logging import print_log

from hrtk.structures import InputError, Sequence

SCHEMA = 'hrtk-result-1'
REPORT = 'report_'
BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished sequence; fields as in the schema above, ``report`` gathers its ``report_<key>``."""

    name: str
    rotmat: np.ndarray
    betas: np.ndarray
    camera: np.ndarray
    before_rotmat: np.ndarray
    before_betas: np.ndarray
    before_camera: np.ndarray
    boxes: np.ndarray
    keypoints2d: np.ndarray
    keypoints_source: str
    skeleton: str
    frame_ids: tuple[str, ...]
    image_size: tuple[int, int]
    fps: float
    ms_per_frame: float
    before_ms_per_frame: float
    report: dict[str, float] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rotmat)

    def save(self, path: Path) -> None:
        """Writes the npz atomically."""
        arrays = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != 'report'
        }
        arrays.update({REPORT + key: value for key, value in self.report.items()}, schema=SCHEMA)
        write_atomically(
            path, lambda file: np.savez(file, **{k: np.asarray(v) for k, v in arrays.items()})
        )

    @staticmethod
    def load(path: Path) -> Result:
        """Reads an npz back.

        Raises:
            InputError: the file is damaged, or not of this schema.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                if data['schema'].item() != SCHEMA:
                    raise ValueError(f'schema {data["schema"].item()!r}')
                values = {k: data[k] for k in data.files if k != 'schema'}
            values = {k: v.item() if v.ndim == 0 else v for k, v in values.items()}
            report = {k[len(REPORT) :]: values.pop(k) for k in list(values) if k.startswith(REPORT)}
            values.update(
                frame_ids=tuple(values['frame_ids'].tolist()),
                report=report,
                image_size=tuple(values['image_size'].tolist()),
            )
            return Result(**values)
        except (*BROKEN, TypeError) as error:
            raise InputError(
                f'{path}: not a whole {SCHEMA} file ({error}); delete it and run again'
            ) from error

    def matches(self, sequence: Sequence) -> bool:
        """Whether the sequence still has the frames, boxes and keypoints that this result was computed from."""
        xy, confidence = (
            sequence.keypoints2d.xy.cpu().numpy(),
            sequence.keypoints2d.confidence.cpu().numpy(),
        )
        keypoints = np.concatenate([xy, confidence[..., None]], axis=-1)
        return (
            self.frame_ids == tuple(sequence.frame_ids)
            and np.array_equal(self.boxes, sequence.boxes.cpu().numpy())
            and np.array_equal(self.keypoints2d, keypoints, equal_nan=True)
        )


class ResultStore:
    """The results of one configuration.

    Args:
        work_dir: folder of the run.
        determinants: everything that determines the numbers, as plain types; see :func:`canonical`.
    """

    def __init__(self, work_dir: str | Path, determinants: dict[str, Any]) -> None:
        self.fingerprint = hashlib.sha256(canonical(determinants).encode()).hexdigest()[:12]
        self.folder = Path(work_dir) / 'results' / self.fingerprint
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the result of a sequence lies; the name can be read back with ``urllib.parse.unquote``.

        Raises:
            InputError: the name is too long for a file.
        """
        escaped = quote(name, safe=' ()[]+=,@')
        escaped = '%2E' + escaped[1:] if escaped.startswith('.') else escaped
        if len(escaped) > 240:
            raise InputError(
                f'the sequence name {name[:60]!r}... is too long for a file name; shorten it'
            )
        return self.folder / f'{escaped}.npz'

    def load(self, name: str) -> Optional[Result]:
        """The stored result, or None; a damaged file is reported and counts as missing."""
        path = self.path(name)
        if not path.exists():
            return None
        try:
            return Result.load(path)
        except InputError as error:
            print_log(f'{error}. It is computed again.', logger='current', level=logging.WARNING)
            return None

    def save(self, result: Result) -> None:
        """Stores a result."""
        result.save(self.path(result.name))

    def save_state(self, state: dict[str, Any]) -> None:
        """Stores what an adapter carries from sequence to sequence: tensors and plain types only."""
        write_atomically(self.folder / 'state.pt', lambda file: torch.save(state, file))

    def load_state(self) -> Optional[dict[str, Any]]:
        """The stored state, or None; a damaged file is reported and counts as missing."""
        return read_state(self.folder / 'state.pt', 'The run starts from its first sequence')

    def write_run(self, content: dict[str, Any]) -> None:
        """Writes ``run.json``; says so if earlier results of this folder were made with other versions."""
        path = self.folder / 'run.json'
        try:
            versions = json.loads(path.read_text())['versions']
        except BROKEN:  # absent, or cut off on a full disk
            versions = content['versions']
        changed = [
            f'{k} {versions.get(k)} (now {v})'
            for k, v in content['versions'].items()
            if versions.get(k) != v
        ]
        if changed:
            print_log(
                f'{self.folder} holds results made with {", ".join(changed)}; their digits may differ from what '
                f'this run would compute. --no-resume computes them again.',
                logger='current',
                level=logging.WARNING,
            )
        text = json.dumps(content, indent=1, default=str)
        write_atomically(path, lambda file: file.write(text.encode()))


def read_state(path: Path, consequence: str) -> Optional[dict[str, Any]]:
    """Tensors and plain types that were stored, or None; a damaged file is reported and counts as missing."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except (*BROKEN, RuntimeError, pickle.UnpicklingError) as error:
        print_log(
            f'{path}: damaged ({error}). {consequence}.', logger='current', level=logging.WARNING
        )
        return None


def write_atomically(path: Path, write: Callable[[io.BufferedIOBase], Any]) -> None:
    """Writes a file so that it is, at any moment and after any crash, either absent, the old one or the new one."""
    temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def canonical(value: Any) -> str:
    """JSON with sorted keys, the same on every machine.

    Raises:
        InputError: a value has no lasting text form (an object made by the caller, say).
    """
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, type) or callable(value) and hasattr(value, '__qualname__'):
        return f'{value.__module__}.{value.__qualname__}'
    raise InputError(
        f'a config may hold plain types, arrays and classes only, not {value!r}: results are stored under '
        f'a fingerprint of the config'
    )
