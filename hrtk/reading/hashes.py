"""Hashes of files."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from hrtk.reading.regular import regular_file

READ_BYTES = 1 << 20
WHOLE = 1 << 28  # bytes of a file that are hashed without exception
SAMPLED = 1 << 16  # bytes of every MiB of larger ones


def sha256(path: str | Path) -> str:
    """Returns the SHA-256 hash of a file's bytes, in hexadecimal digits.

    Raises:
        InputError: there is no such file, or it is no regular one; a device such as ``/dev/zero`` would never end.
    """
    digest = hashlib.sha256()
    with open(regular_file(path), 'rb') as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def content_hash(path: str | Path) -> str:
    """Returns a hash of what is in a file, in hexadecimal digits: of its size, and of its bytes.

    Of a file of more than 256 MiB the first 64 KiB of every MiB and the last MiB count. So every frame of a video of
    plain pixels counts, and of a compressed one the index of its packets, which has other sizes after any change. A
    file that did not change is read once in a process.

    Raises:
        InputError: as :func:`sha256`.
    """
    status = regular_file(path).stat()
    return _content_hash(
        str(Path(path).resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


@functools.lru_cache(maxsize=1 << 17)
def _content_hash(path: str, size: int, modified: int, changed: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    with open(path, 'rb') as file:
        if size <= WHOLE:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
        else:
            for start in range(0, size, READ_BYTES):
                file.seek(start)
                digest.update(file.read(SAMPLED))
            file.seek(size - READ_BYTES)
            digest.update(file.read())
    return digest.hexdigest()


def sha256_of_all(paths: Iterable[str | Path]) -> str:
    """Returns one hash of several files; their order matters."""
    return hashlib.sha256(''.join(map(sha256, paths)).encode()).hexdigest()
