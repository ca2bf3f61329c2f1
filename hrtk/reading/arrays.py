"""npz and npy files of plain arrays, without unpickling, within limits on what a file may claim.

A header of a few bytes can claim any number of values, and zlib expands zeros a thousand times. The reader therefore
compares the size that every header claims with the size of its member, and the size of all members with that of the
file, before it reserves memory. zip stores a CRC for every member, which is checked.
"""

from __future__ import annotations

import contextlib
import io
import math
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Optional

import numpy as np

from hrtk.errors import InputError
from hrtk.reading.regular import CHECK, EXPANSION, most_expanded, regular_file

AGAIN = 'copy or download it again'
MEMBERS = 100_000
HEADER = 1 << 16  # bytes of the header of an array
CHUNK = 1 << 20  # bytes
EMPTY = 1_000_000  # values of an array whose values have no bytes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that numpy writes
ENCRYPTED = 1  # bit of a member's flags
OBJECTS = 'holds Python objects, which are not read; save it as a plain array of numbers or strings'


class Header(NamedTuple):
    """Shape, order in memory and type of an array, as its file claims them."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Archive:
    """The arrays of an npz file, read one by one; use it in a ``with`` statement.

    Args:
        path: the file; of ``content``, if it is given, for messages.
        remedy: end of the message for a missing file.
        content: the bytes of the file, if they are read already.

    Attributes:
        names: of the arrays.

    Raises:
        InputError: the file is missing, no zip, encrypted, or claims too much.
    """

    def __init__(
        self, path: str | Path, remedy: str = CHECK, content: Optional[bytes] = None
    ) -> None:
        self.path = Path(path)
        if content is None:
            regular_file(self.path, remedy)
        try:
            self._zip = zipfile.ZipFile(self.path if content is None else io.BytesIO(content))
        except Exception as error:  # a damaged file can make the reader of zips fail in any way
            raise self.broken('the list of arrays', _reason(error)) from error
        try:
            self._check_members(self.path.stat().st_size if content is None else len(content))
        except InputError:
            self._zip.close()
            raise
        files = self._zip.namelist()
        self.names = [name.removesuffix('.npy') for name in files if name.endswith('.npy')]

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._zip.close()

    def array(self, name: str) -> np.ndarray:
        """Reads one array.

        Raises:
            InputError: the member is damaged, or holds Python objects.
        """
        with self._open(name) as (file, claimed):
            header = _read_header(file)
            if header.dtype.hasobject:
                raise InputError(f'{self.path}: {name} {OBJECTS}')
            _check_size(header, claimed - file.tell())
            array = _read_values(file, header)
            if file.read(1):  # also compares the CRC at the end of the member
                raise EOFError('values behind the array')
        return array

    def pickled(self, name: str) -> tuple[Header, bytes]:
        """Returns the header and the bytes of an array that is stored as a pickle.

        Raises:
            InputError: the member is damaged.
        """
        with self._open(name) as (file, _):
            return _read_header(file), file.read()

    def broken(self, position: str, reason: Any) -> InputError:
        """The message about a damaged file."""
        return InputError(
            f'{self.path}: cannot be read as an npz at {position} ({reason}); {AGAIN}'
        )

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[tuple[Any, int]]:
        """An open member and its size; whatever goes wrong inside ``with`` is reported with the member's name."""
        try:
            member = self._zip.getinfo(f'{name}.npy')
            with self._zip.open(member) as file:
                yield file, member.file_size
        except InputError:
            raise
        except Exception as error:
            raise self.broken(name, _reason(error)) from error

    def _check_members(self, size: int) -> None:
        members = self._zip.infolist()
        if len(members) > MEMBERS:
            raise self.broken('the list of arrays', f'{len(members)} members')
        claimed = sum(member.file_size for member in members)
        if claimed > most_expanded(size):
            raise self.broken(
                'the list of arrays',
                f'its {size} bytes claim to expand to {claimed}; at most {EXPANSION} times its size is read',
            )
        names = [member.filename for member in members]
        if len(set(names)) < len(names):
            raise self.broken('the list of arrays', 'two members have one name')
        for member in members:
            if member.flag_bits & ENCRYPTED:
                raise self.broken(member.filename, 'it is encrypted')
            if member.compress_type not in METHODS:
                raise self.broken(member.filename, 'a compression that numpy does not write')


def read_arrays(
    path: str | Path,
    keys: Optional[Iterable[str]] = None,
    remedy: str = CHECK,
    content: Optional[bytes] = None,
) -> dict[str, np.ndarray]:
    """Reads arrays of an npz file.

    Args:
        path: the file.
        keys: arrays to read if the file has them; None for all.
        remedy: end of the message for a missing file.
        content: the bytes of the file, if they are read already.

    Raises:
        InputError: the file is missing, damaged or encrypted, claims more than its size allows, or an array holds
            Python objects.
    """
    with Archive(path, remedy, content) as archive:
        if keys is None:
            keys = archive.names
        return {key: archive.array(key) for key in keys if key in archive.names}


def read_npy(path: str | Path, remedy: str = CHECK, content: Optional[bytes] = None) -> np.ndarray:
    """Reads an npy file; the arguments are those of :func:`read_arrays`.

    Raises:
        InputError: the file is missing, damaged or no npy, or holds Python objects.
    """
    if content is None:
        size = regular_file(path, remedy).stat().st_size
        stream: BinaryIO = open(path, 'rb')
    else:
        size = len(content)
        stream = io.BytesIO(content)
    with stream:
        try:
            header = _read_header(stream)
            if header.dtype.hasobject:
                raise InputError(f'{path}: the array {OBJECTS}')
            _check_size(header, size - stream.tell())
            return _read_values(stream, header)
        except InputError:
            raise
        except Exception as error:  # as of a damaged npz
            raise _not_an_npy(path, error) from error


def map_npy(path: str | Path, mode: str = 'r', remedy: str = CHECK) -> np.ndarray:
    """Maps an npy file into memory.

    Args:
        path: the file.
        mode: ``'r'`` to read, ``'c'`` for copies on writing.
        remedy: end of the message for a missing file.

    Raises:
        InputError: the file is missing, damaged or no npy, or holds Python objects.
    """
    regular_file(path, remedy)
    try:
        return np.lib.format.open_memmap(path, mode=mode)
    except Exception as error:
        raise _not_an_npy(path, error) from error


def _not_an_npy(path: str | Path, error: Exception) -> InputError:
    return InputError(f'{path}: not a plain .npy array ({_reason(error)}); {AGAIN}')


def _read_header(file: Any) -> Header:
    """Shape, order and dtype; raises what numpy's parser raises."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, HEADER)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file, HEADER)
    if any(length < 0 for length in shape):
        raise ValueError(f'a shape of {shape}')
    return Header(shape, fortran, dtype)


def _check_size(header: Header, available: int) -> None:
    """Raises ValueError unless the values that a header claims are there."""
    count = math.prod(header.shape)
    empty = header.dtype.itemsize == 0 and count > EMPTY
    if header.size != available or empty or len(header.shape) > 32:
        shape = str(header.shape)[:80]
        raise ValueError(
            f'{shape} values of {header.dtype.itemsize} bytes are claimed, {available} bytes are there'
        )


def _read_values(file: Any, header: Header) -> np.ndarray:
    """The array behind a header, in the byte order of this machine."""
    array = np.empty(math.prod(header.shape), header.dtype)
    if header.size:
        buffer = memoryview(array.view(np.uint8))  # type: ignore[arg-type]  # an array has a buffer
        start = 0
        while start < header.size:
            read = file.readinto(buffer[start : start + CHUNK])
            if not read:
                raise EOFError('the values are cut off')
            start += read
    if not header.dtype.isnative:
        array = array.astype(header.dtype.newbyteorder('='))
    if header.fortran:
        return array.reshape(header.shape[::-1]).transpose()
    return array.reshape(header.shape)


def _reason(error: Exception) -> str:
    """What went wrong, in one short line."""
    text = ' '.join(str(error).split())[:200]
    if text:
        return text
    return type(error).__name__
