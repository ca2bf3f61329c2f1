"""Results on disk: one file per sequence, under a fingerprint of everything that determines its numbers.

The results of a run lie in ``<work_dir>/results/<fingerprint>/``: ``<name>.npz`` per sequence (with signs that a file
system refuses percent-encoded), ``run.json`` (config, versions, seed, hashes) and, for adapters that carry weights on,
``state.pt``. Every file is written to a temporary name, synced and renamed, so a killed run leaves no partial file. The
schema of an npz is in :mod:`hrtk.results`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

import numpy as np
import torch
from mmengine.logging import print_log

from hrtk.errors import InputError
from hrtk.files import escaped_name, remove_leftovers, write_atomically, write_text_atomically
from hrtk.reading import read_json
from hrtk.reading.tensors import read_tensors
from hrtk.results import Result

# Signs that files kept in the days when all but ASCII letters were encoded.
EARLIER_SAFE = ' ()[]+=,@'


class ResultStore:
    """The results of one configuration.

    Args:
        work_dir: folder of the run.
        determinants: everything that determines the numbers, as plain types; see :func:`canonical`.
    """

    def __init__(self, work_dir: str | Path, determinants: dict[str, Any]) -> None:
        self.fingerprint = fingerprint(determinants)
        self.folder = Path(work_dir) / 'results' / self.fingerprint
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)

    def path(self, name: str) -> Path:
        """The file of a sequence's result; :func:`hrtk.files.unescaped_name` returns the name.

        A file of an earlier version, which encoded more characters, keeps its name.

        Raises:
            InputError: the name is too long for a file.
        """
        path = self.folder / f'{escaped_name(name)}.npz'
        earlier = self.folder / f'{quote(name, safe=EARLIER_SAFE, errors="surrogateescape")}.npz'
        try:
            if earlier.exists() and not path.exists():
                return earlier
        except OSError:  # too long a name for this disk
            pass
        return path

    def load(self, name: str) -> Optional[Result]:
        """Returns a stored result, or None; a damaged file is reported and counts as missing."""
        path = self.path(name)
        if not path.exists():
            return None
        try:
            return Result.load(path)
        except InputError as error:
            warn(f'{error}. It is computed again.')
            return None

    def save(self, result: Result) -> None:
        """Stores a result."""
        result.save(self.path(result.name))

    def save_state(self, state: dict[str, Any]) -> None:
        """Stores the state that an adapter carries from sequence to sequence: tensors and plain types only."""
        write_atomically(self.folder / 'state.pt', lambda file: torch.save(state, file))

    def load_state(self) -> Optional[dict[str, Any]]:
        """Returns the stored state, or None; a damaged file is reported and counts as missing."""
        return read_state(self.folder / 'state.pt', 'The run starts from its first sequence')

    def write_run(self, content: dict[str, Any]) -> None:
        """Writes ``run.json``; warns if other versions computed earlier results of this folder."""
        path = self.folder / 'run.json'
        try:
            previous = read_json(path, kind=dict)['versions']
            previous = dict(previous)
        except (InputError, KeyError, TypeError, ValueError):  # absent, or truncated on a full disk
            previous = content['versions']
        changed = []
        for name, version in content['versions'].items():
            if previous.get(name) != version:
                changed.append(f'{name} {previous.get(name)} (now {version})')
        if changed:
            warn(
                f'{self.folder} holds results made with {", ".join(changed)}; their digits may differ from what '
                f'this run would compute. --no-resume computes them again.'
            )
        write_text_atomically(path, json.dumps(content, indent=1, default=str))


def fingerprint(determinants: dict[str, Any]) -> str:
    """The name of the folder of results that are determined by plain values."""
    return hashlib.sha256(canonical(determinants).encode()).hexdigest()[:12]


def read_state(path: Path, consequence: str) -> Optional[dict[str, Any]]:
    """Reads stored tensors and plain types.

    Args:
        path: a file of ``torch.save``.
        consequence: the sentence that ends the warning about a damaged file.

    Returns:
        The content; None if the file is missing or damaged.
    """
    if not path.exists():
        return None
    try:
        return read_tensors(path)
    except InputError as error:
        warn(f'{error} {consequence}.')
        return None


def canonical(value: Any) -> str:
    """JSON with sorted keys, the same on every machine.

    Raises:
        InputError: a value has no lasting text form, e.g. an object that the caller built.
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


def plain_config(value: Any) -> Any:
    """Returns a config as JSON holds it: a class as its path, an array or tuple as a list, other objects as text."""
    if isinstance(value, dict):
        return {str(key): plain_config(member) for key, member in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain_config(member) for member in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        return _plain(value)
    except InputError:  # an object that the caller built cannot be built again from its text
        return str(value)


def warn(message: str) -> None:
    """Logs a warning."""
    print_log(message, logger='current', level=logging.WARNING)
