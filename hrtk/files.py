"""Files that hrtk writes: cache folders, file names and atomic replacement."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Optional
from urllib.parse import unquote

import numpy as np

from hrtk.errors import InputError

LONGEST_NAME = 240  # bytes; file systems allow 255, and a suffix follows
# What some file system refuses (Microsoft, "Naming Files, Paths, and Namespaces"), and the sign that escapes it.
REFUSED = re.compile(r'[<>:"/\\|?*%\x00-\x1f\x7f-\x9f\udc80-\udcff]')
DEVICES = re.compile(r'(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|$)', re.IGNORECASE)
ROOM = 1 << 20  # free bytes of a disk that is not full
BLOCK = 512  # bytes of what `st_blocks` counts
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
# Names of unfinished files: the process, and its kind.
LEFTOVER = re.compile(r'\.(\d+)\.(tmp|part)(\.\w+)?$')
LEFTOVER_AGE = 3600.0  # s; a process on another machine writes no file for so long


class DiskError(InputError, OSError):
    """A file cannot be written: the disk is full, or read-only. The message names file and disk."""


def cache_folder(kind: str) -> Path:
    """Returns the folder for one kind of files that can be computed again: ``$HRTK_CACHE/<kind>``.

    Without the environment variable the cache is ``~/.cache/hrtk``.
    """
    root = os.environ.get('HRTK_CACHE')
    if root:
        return Path(root) / kind
    return Path.home() / '.cache' / 'hrtk' / kind


def escaped_name(name: str) -> str:
    """The name of a sequence as a file name; :func:`unescaped_name` inverts it.

    Only what a file system refuses is percent-encoded: separators and other signs with a meaning, control characters,
    a leading full stop, a full stop or space at the end, and names of devices.

    Raises:
        InputError: the name is too long for a file name.
    """
    escaped = REFUSED.sub(lambda match: _percent(match[0]), name)
    if escaped.startswith('.') or DEVICES.match(escaped):
        escaped = _percent(escaped[0]) + escaped[1:]
    if escaped.endswith(('.', ' ')):
        escaped = escaped[:-1] + _percent(escaped[-1])
    if len(escaped.encode()) > LONGEST_NAME:
        raise InputError(
            f'the sequence name {name[:60]!r}... is too long for a file name; shorten it'
        )
    return escaped


def unescaped_name(stem: str) -> str:
    """Inverts :func:`escaped_name`, and the encoding of all but ASCII letters of earlier versions."""
    return unquote(stem, errors='surrogateescape')


def _percent(character: str) -> str:
    return ''.join(f'%{byte:02X}' for byte in character.encode(errors='surrogateescape'))


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

    Raises:
        DiskError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        remove_leftovers(path.parent, path.name)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as a RuntimeError
        if isinstance(error, RuntimeError) and _free_bytes(path) > ROOM:
            raise
        raise disk_error(path, error) from error
    finally:
        _remove(temporary)


def disk_error(path: str | Path, error: Exception) -> DiskError:
    """Returns the message about a file that cannot be written.

    Args:
        path: the file.
        error: what writing it raised.
    """
    reason = getattr(error, 'strerror', None) or error
    folder = Path(path).absolute().parent
    return DiskError(
        f'{path}: cannot be opened or written ({reason}); the disk of {folder} has {_free_bytes(folder) / 1e6:.0f} MB '
        f'free. Files that were finished before are kept: free some space or allow writing, and run again'
    )


def written_error(error: Optional[BaseException]) -> Optional[OSError]:
    """The error of a disk that cannot be written among an error and its causes, or None.

    torch.save and zipfile raise errors of their own from it, and the first one need not name a file.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return error
        if isinstance(error, RuntimeError) and 'PytorchStreamWriter' in str(error):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        error = error.__cause__ or error.__context__
    return None


def reserve(path: Path) -> None:
    """Reserves the blocks of a sparse file: writing to a mapped one on a full disk would end the process (SIGBUS).

    Raises:
        OSError: the disk has too little space. Nothing is reserved then, so that other programs keep what is free.
    """
    if not hasattr(os, 'posix_fallocate'):  # macOS and Windows
        return
    with open(path, 'r+b') as file:
        status = os.fstat(file.fileno())
        missing = status.st_size - status.st_blocks * BLOCK
        if missing <= 0:
            return
        if missing > shutil.disk_usage(path.absolute().parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.posix_fallocate(file.fileno(), 0, status.st_size)


def remove_leftovers(folder: Path, name: Optional[str] = None) -> list[Path]:
    """Removes unfinished files of processes that were killed, and returns their paths.

    Args:
        folder: it is searched without its subfolders. A file stays if its process is alive, or if it was changed in the
            last hour, because a process of another machine may write it.
        name: only the unfinished files of this one; None for all, in a folder that holds files of hrtk alone.
    """
    removed: list[Path] = []
    if not folder.is_dir():
        return removed
    for path in map(Path, os.scandir(folder)):
        match = LEFTOVER.search(path.name)
        if match is not None and name is not None and path.name[: match.start()] != name:
            continue
        if match is None or _is_alive(int(match[1])):
            continue
        try:
            if time.time() - path.lstat().st_mtime > LEFTOVER_AGE:
                _remove(path)
                removed.append(path)
        except OSError:  # another process has removed it
            continue
    return removed


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:  # the folder cannot be written
        pass


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True


def _free_bytes(path: Path) -> int:
    """Free bytes of the disk of a path that need not exist."""
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            return shutil.disk_usage(folder).free
    return 0


def write_text_atomically(path: Path, text: str) -> None:
    """Replaces a UTF-8 text file atomically, see :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def trc_text(
    title: str,
    names: Sequence[str],
    points: np.ndarray,
    rate: float,
    frames: Sequence[int] | np.ndarray,
) -> str:
    """Returns the text of a TRC file (Motion Analysis; read by OpenSim and Pose2Sim) in metres.

    Args:
        title: the name that the file states.
        names: of the M markers.
        points: (F, M, 3) metres, y up.
        rate: frames per second; frame n has the time ``n / rate``.
        frames: F numbers of the frames.
    """
    count = len(frames)
    columns = '\t'.join(f'X{i}\tY{i}\tZ{i}' for i in range(1, len(names) + 1))
    sizes = [rate, rate, count, len(names), 'm', rate, frames[0], count]
    lines = [
        f'PathFileType\t4\t(X/Y/Z)\t{title}',
        'DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames',
        '\t'.join(f'{value:g}' if isinstance(value, float) else str(value) for value in sizes),
        'Frame#\tTime\t' + '\t\t\t'.join(names) + '\t\t\t',
        f'\t\t{columns}\t',
    ]
    for frame, places in zip(frames, points):
        numbers = '\t'.join(f'{value:.7f}' for value in places.ravel())
        lines.append(f'{frame}\t{frame / rate:.6f}\t{numbers}')
    return '\n'.join(lines) + '\n'


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file, or a folder between it and ``folder``, has a name that begins with a dot.

    macOS keeps a file ``._name`` with its attributes beside every file on disks of other systems.
    """
    return any(part.startswith('.') for part in path.relative_to(folder).parts)


def visible(folder: Path, pattern: str = '*') -> list[Path]:
    """The paths below a folder that fit a pattern of ``Path.glob`` and are not hidden, sorted."""
    return sorted(path for path in folder.glob(pattern) if not is_hidden(path, folder))
