"""The convolutions of a TFLite file, read without a package of Google's.

A TFLite file is a flatbuffer (https://flatbuffers.dev/internals/) of the tables of TensorFlow Lite's ``schema.fbs``.
A table begins with the offset of its vtable, which holds the position of every field; a vector begins with its length.
Only what the weights of convolutions need is read: constants in float32 or float16, dense or sparse.
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Optional

import numpy as np

from hrtk.errors import InputError
from hrtk.reading import read_bytes

IDENTIFIER = b'TFL3'
# Numbers of schema.fbs.
DTYPES = {0: '<f4', 1: '<f2'}
CONV_2D = 3
DEPTHWISE_CONV_2D = 4
DEQUANTIZE = 6
DENSIFY = 124
DENSE = 0  # a format of a dimension; the other one is compressed rows
INDEX_DTYPES = {1: '<i4', 2: '<u2', 3: 'u1'}


@dataclasses.dataclass(frozen=True)
class ConvolutionWeights:
    """The weights of one convolution in torch's layout.

    Attributes:
        kernel: (outputs, inputs, H, W); inputs is 1 in a depthwise convolution.
        bias: (outputs,).
    """

    kernel: np.ndarray
    bias: np.ndarray


class Table:
    """A table of a flatbuffer.

    Args:
        data: the bytes of the file.
        position: of the table.
    """

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position
        self.vtable = position - self._unpack('<i', position)

    def scalar(self, field: int, code: str, default: int = 0) -> int:
        """A number; ``code`` is that of :mod:`struct`."""
        place = self._place(field)
        if place is None:
            return default
        return self._unpack(f'<{code}', place)

    def table(self, field: int) -> Optional[Table]:
        """A table, None if the field is not set."""
        place = self._place(field)
        if place is None:
            return None
        return Table(self.data, self._follow(place))

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        start, count = self._vector(field)
        places = range(start, start + 4 * count, 4)
        return [Table(self.data, self._follow(place)) for place in places]

    def array(self, field: int, dtype: str) -> np.ndarray:
        """A vector of numbers, empty if the field is not set."""
        start, count = self._vector(field)
        return np.frombuffer(self.data, dtype, count, start)

    def _place(self, field: int) -> Optional[int]:
        entry = 4 + 2 * field
        if entry >= self._unpack('<H', self.vtable):
            return None
        offset = self._unpack('<H', self.vtable + entry)
        if offset == 0:
            return None
        return self.position + offset

    def _vector(self, field: int) -> tuple[int, int]:
        """Position of the first element, and the number of elements."""
        place = self._place(field)
        if place is None:
            return 0, 0
        start = self._follow(place)
        return start + 4, self._unpack('<I', start)

    def _follow(self, place: int) -> int:
        return place + self._unpack('<I', place)

    def _unpack(self, code: str, place: int) -> int:
        return struct.unpack_from(code, self.data, place)[0]


def read_convolutions(path: str | Path) -> list[ConvolutionWeights]:
    """Returns the weights of all convolutions of a TFLite file in the order in which the file computes them.

    Raises:
        InputError: the file is missing, no TFLite file, truncated, or has constants of another type.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file; expected a .tflite')
    data = read_bytes(path)
    if data[4:8] != IDENTIFIER:
        raise InputError(f'{path}: not a TFLite file (no {IDENTIFIER!r} in bytes 4 to 8)')
    try:
        return _convolutions(data)
    except (struct.error, ValueError, IndexError, KeyError) as error:
        raise InputError(
            f'{path}: not a TFLite file of float convolutions, or truncated ({error!r}); '
            f'download it again'
        ) from error


def _convolutions(data: bytes) -> list[ConvolutionWeights]:
    model = Table(data, struct.unpack_from('<I', data)[0])
    buffers = model.tables(4)
    graph = model.tables(2)[0]
    kinds = [_operator_code(code) for code in model.tables(1)]
    constants = [_constant(tensor, buffers) for tensor in graph.tables(0)]
    found = []
    for operator in graph.tables(3):
        kind = kinds[operator.scalar(0, 'I')]
        inputs = operator.array(1, '<i4')
        if kind in (
            DEQUANTIZE,
            DENSIFY,
        ):  # of constants, which are stored in half precision and sparse
            constants[operator.array(2, '<i4')[0]] = constants[inputs[0]]
        elif kind in (CONV_2D, DEPTHWISE_CONV_2D):
            # TFLite stores (outputs, H, W, inputs), and (1, H, W, outputs) where channels are convolved separately.
            order = (0, 3, 1, 2) if kind == CONV_2D else (3, 0, 1, 2)
            kernel = _known(constants[inputs[1]])
            found.append(ConvolutionWeights(kernel.transpose(order), _known(constants[inputs[2]])))
    return found


def _operator_code(code: Table) -> int:
    """The number of an operator; numbers above 127 are only in the newer one of two fields."""
    return max(code.scalar(0, 'b'), code.scalar(3, 'i'))


def _known(constant: Optional[np.ndarray]) -> np.ndarray:
    if constant is None:
        raise ValueError('a convolution whose weights are no constants')
    return constant


def _constant(tensor: Table, buffers: list[Table]) -> Optional[np.ndarray]:
    """The value of a tensor, None where it is computed or no float."""
    content = buffers[tensor.scalar(2, 'I')].array(0, 'u1')
    dtype = DTYPES.get(tensor.scalar(1, 'b'))
    if len(content) == 0 or dtype is None:
        return None
    values = content.view(dtype)
    shape = tuple(int(size) for size in tensor.array(0, '<i4'))
    sparsity = tensor.table(6)
    if sparsity is None:
        return values.reshape(shape)
    return _sparse_constant(values, shape, sparsity)


def _sparse_constant(values: np.ndarray, shape: tuple[int, ...], sparsity: Table) -> np.ndarray:
    order = sparsity.array(0, '<i4')
    blocked = sparsity.array(1, '<i4')
    levels = []
    for level in sparsity.tables(2):
        if level.scalar(0, 'b') == DENSE:
            levels.append(Level(size=level.scalar(1, 'i')))
        else:
            segments = _indices(level, 2)
            levels.append(Level(segments=segments, indices=_indices(level, 4)))
    return densify(values, shape, order.tolist(), blocked.tolist(), levels)


def _indices(level: Table, field: int) -> np.ndarray:
    """A vector of one of three integer types: the number of the type stands in a field, its table in the next."""
    vector = level.table(field + 1)
    if vector is None:
        raise ValueError('a sparse dimension without indices')
    return vector.array(0, INDEX_DTYPES[level.scalar(field, 'B')]).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Level:
    """One dimension of a sparse tensor in the order of storage: dense, or compressed rows.

    Attributes:
        size: of a dense dimension.
        segments: of compressed rows: where the entries of every parent begin, and the end.
        indices: of compressed rows: the coordinate of every entry.
    """

    size: int = 0
    segments: Optional[np.ndarray] = None
    indices: Optional[np.ndarray] = None


def densify(
    values: np.ndarray,
    shape: tuple[int, ...],
    order: list[int],
    blocked: list[int],
    levels: list[Level],
) -> np.ndarray:
    """Expands a sparse constant (TFLite's ``SparsityParameters``).

    Args:
        values: the stored entries.
        shape: D sizes of the dense constant.
        order: the dimension of every level; numbers from D on are the dimensions within blocks.
        blocked: for every dimension within blocks, the dimension of ``shape`` that it divides.
        levels: of storage, the blocks' last.

    Returns:
        The array of this shape.

    Raises:
        ValueError: the levels do not describe as many entries as are stored.
    """
    # Coordinates of all entries in the levels so far, in the order of storage.
    nodes = np.zeros((1, 0), np.int64)
    for level in levels:
        if level.segments is None or level.indices is None:
            children = np.tile(np.arange(level.size), len(nodes))
            counts = np.full(len(nodes), level.size)
        else:
            children = level.indices
            counts = np.diff(level.segments)
        nodes = np.concatenate([np.repeat(nodes, counts, axis=0), children[:, None]], axis=1)
    if len(nodes) != len(values):
        raise ValueError(f'{len(values)} stored values for {len(nodes)} entries')
    places = [nodes[:, order.index(dimension)] for dimension in range(len(shape))]
    for block, dimension in enumerate(blocked, start=len(shape)):
        column = order.index(block)
        places[dimension] = places[dimension] * levels[column].size + nodes[:, column]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(places)] = values
    return dense
