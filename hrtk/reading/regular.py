"""Bytes and text of regular files: what is no file, too large or no UTF-8 gets a message that names it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from hrtk.errors import InputError, OptionError

CHECK = 'check the path'
LARGEST = 1 << 34  # bytes; larger files are memory-mapped or streamed, never read at once
LARGEST_TEXT = 1 << 28  # bytes of a text file that is written by hand or by a tool
SMALL = 1 << 28  # bytes that a file of any size may expand to
EXPANSION = 40  # times the size of the file; arrays of measured numbers compress 1.1 to 10 times
KINDS = {
    stat.S_IFDIR: 'a folder',
    stat.S_IFIFO: 'a named pipe',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device',
    stat.S_IFSOCK: 'a socket',
}


def regular_file(path: str | Path, remedy: str = CHECK, noun: str = 'file') -> Path:
    """Returns the path of a regular file, or of a link to one.

    A pipe would block, a device such as ``/dev/zero`` would never end.

    Args:
        path: the file.
        remedy: end of the message for a missing file.
        noun: what the file is, for the same message.

    Raises:
        OptionError: there is no such file; where a config gives the path, its value there is wrong.
        InputError: the links to the file form a circle, the name is no valid text, or it is a folder, a pipe, a device
            or a socket.
    """
    path = Path(path)
    shown = str(path).encode('utf-8', 'backslashreplace').decode()
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OptionError(f'{shown}: there is no such {noun}; {remedy}') from error
    except (OSError, ValueError) as error:  # a circle of links, no permission, a zero in the name
        if getattr(error, 'errno', None) == errno.ELOOP:
            raise InputError(f'{shown}: its symbolic links form a circle; {CHECK}') from error
        reason = getattr(error, 'strerror', None) or error
        raise InputError(f'{shown}: cannot be opened ({reason}); {CHECK}') from error
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), 'no regular file')
        raise InputError(f'{shown}: this is {kind}, not a file; {CHECK}')
    return path


def most_expanded(size: int) -> int:
    """Number of bytes that the arrays or tensors of a file of ``size`` bytes may claim."""
    return max(SMALL, EXPANSION * size)


def utf8_name(path: Path) -> str:
    """Returns a path as text for libraries in C, which crash or fail on names that are not UTF-8.

    Raises:
        InputError: the name is not UTF-8.
    """
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text.encode('utf-8', 'backslashreplace').decode()
        raise InputError(f'{shown}: the name is not UTF-8; rename the file or folder') from error
    return text


def read_bytes(path: str | Path, remedy: str = CHECK, largest: int = LARGEST) -> bytes:
    """Reads a regular file.

    Args:
        path: the file.
        remedy: end of the message for a missing file.
        largest: number of bytes above which the file is refused.

    Raises:
        InputError: the path is no regular file (see :func:`regular_file`), or the file is too large or unreadable.
    """
    path = regular_file(path, remedy)
    try:
        size = path.stat().st_size
        if size > largest:
            raise InputError(
                f'{path}: has {size / 1e6:.0f} MB, files of this kind have at most {largest / 1e6:.0f} MB; '
                f'check that it is the right file'
            )
        with open(path, 'rb') as file:
            return file.read(size)  # a read without end could follow a file that grows
    except (OSError, MemoryError) as error:
        reason = getattr(error, 'strerror', None) or type(error).__name__
        raise InputError(f'{path}: cannot be read ({reason}); copy the file again') from error


def read_text(path: str | Path, remedy: str = CHECK, largest: int = LARGEST_TEXT) -> str:
    """Reads a text file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: as of :func:`read_bytes`, or the file is not UTF-8.
    """
    data = read_bytes(path, remedy, largest)
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(
            f'{path}: not text in UTF-8 (byte {error.start}); save it as UTF-8'
        ) from error
