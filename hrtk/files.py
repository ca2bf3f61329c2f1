"""Files that hrtk writes: cache folders, file names, hashes and atomic replacement."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from hrtk.errors import InputError

LONGEST_NAME = 240  # characters; file systems allow 255 bytes, and a suffix follows
READ_BYTES = 1 << 20


def cache_folder(kind: str) -> Path:
    """Returns the folder for one kind of files that can be computed again: ``$HRTK_CACHE/<kind>``.

    Without the environment variable the cache is ``~/.cache/hrtk``.
    """
    root = os.environ.get('HRTK_CACHE')
    if root:
        return Path(root) / kind
    return Path.home() / '.cache' / 'hrtk' / kind


def escaped_name(name: str) -> str:
    """Escapes the name of a sequence for a file name; ``urllib.parse.unquote`` inverts it.

    Raises:
        InputError: the name is too long for a file name.
    """
    escaped = quote(name, safe=' ()[]+=,@')
    if escaped.startswith('.'):
        escaped = '%2E' + escaped[1:]
    if len(escaped) > LONGEST_NAME:
        raise InputError(
            f'the sequence name {name[:60]!r}... is too long for a file name; shorten it'
        )
    return escaped


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key that places ``f2`` before ``f10``."""
    key: list[tuple[int, str]] = []
    for part in re.split(r'(\d+)', name):
        if part.isdecimal():
            key.append((int(part), ''))
        else:
            key.append((-1, part))
    return key


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Replaces a file atomically: after a crash the path holds the old file, the new file or nothing.

    Args:
        path: of the file.
        write: writes the content to an open binary file.
    """
    temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replaces a UTF-8 text file atomically, see :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def sha256(path: str | Path) -> str:
    """Returns the SHA-256 hash of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_all(paths: Iterable[str | Path]) -> str:
    """Returns one hash of several files; their order matters."""
    return hashlib.sha256(''.join(map(sha256, paths)).encode()).hexdigest()
