"""A pretend accelerator: a torch device that computes on the CPU, refuses to mix devices, and counts its traffic.

It finds on any machine what a GPU would suffer from: tensors on two devices in one operation, uploads and downloads,
and operations for whose result the program waits. It says nothing about speed or about digits of a GPU.

    device = install()                      # once per process; cannot be undone
    estimator.to(device)
    with record() as traffic:
        estimator(images.to(device))
    print(traffic.uploads, traffic.waits)   # by source line

The device is torch's PrivateUse1 backend for Python. A tensor of the device is a shell without data, and a table keeps
the CPU tensor that holds its numbers. Every operator of torch arrives at one fallback, which unwraps its arguments,
computes on the CPU and wraps the result. A few operators arrive differently and have their own functions below.

torch starts a thread for the backward pass of such a device, so a process that has used it must not fork. Not
supported: ``torch.compile``, data-parallel training, several devices, sparse tensors, mixed precision by autocast, and
gradients through a write into a slice (``y = x.clone(); y[:, 0] = 0``), which are wrong: autograd computes the place of
the slice from strides, which shells do not have. Use ``index_fill``, ``torch.where`` or ``torch.cat``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from hrtk.errors import InputError
from hrtk.testing.gru_cell import gru_cell, gru_cell_backward

NAME = 'pretend'
PACKAGE = Path(__file__).parents[1]
# Their callers are counted.
HELPERS = ('testing/pretend.py', 'geometry/uploads.py', 'geometry/constants.py')
aten = torch.ops.aten
# The shape of the result depends on values, so the program waits for them.
WAITING = ('aten::nonzero', 'aten::masked_select', 'aten::equal', 'aten::is_nonzero')
VIEWS = ('aten::view', 'aten::_unsafe_view', 'aten::_reshape_alias')
FACTORIES = ('eye', 'eye.m', 'arange', 'arange.start', 'arange.start_step', 'linspace')
_keep_alive: list[torch.library.Library] = []
_records: list[Traffic] = []
_numbers: dict[int, Tensor] = {}


@dataclasses.dataclass
class Traffic:
    """What crossed the border of the device, by ``file:line`` of the innermost line of hrtk, helpers left out.

    Attributes:
        uploads: copies of CPU tensors to the device.
        upload_bytes: their sizes.
        downloads: copies to the CPU; the program waits for each.
        waits: single numbers that were read (``item``, ``if tensor``), and results whose shape depends on values
            (masks as indices, ``nonzero``).
    """

    uploads: Counter[str] = dataclasses.field(default_factory=Counter)
    upload_bytes: Counter[str] = dataclasses.field(default_factory=Counter)
    downloads: Counter[str] = dataclasses.field(default_factory=Counter)
    waits: Counter[str] = dataclasses.field(default_factory=Counter)


def is_supported() -> bool:
    """Whether this torch can register a device that is written in Python; torch 2.13 can."""
    try:
        from torch.utils import backend_registration
    except ImportError:
        return False
    has_hook = hasattr(backend_registration, '_setup_privateuseone_for_python_backend')
    return has_hook and hasattr(torch._C, '_acc')


def install() -> torch.device:
    """Registers the device; further calls have no effect.

    Raises:
        InputError: this torch has no devices that are written in Python.
    """
    if not _keep_alive:
        if not is_supported():
            raise InputError(
                f'hrtk.testing.pretend: torch {torch.__version__} has no devices that are written in Python; '
                f'use torch 2.13'
            )
        _register()
    return torch.device(NAME, 0)


@contextlib.contextmanager
def record() -> Iterator[Traffic]:
    """Counts the traffic inside a ``with`` block."""
    traffic = Traffic()
    _records.append(traffic)
    try:
        yield traffic
    finally:
        _records.remove(traffic)


def _register() -> None:
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(NAME)
    # Asked for even by `torch.autocast(..., enabled=False)`.
    getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16]
    every = torch.library.Library('_', 'IMPL')
    every.fallback(_compute, 'PrivateUse1')
    own = torch.library.Library('aten', 'IMPL')
    _keep_alive.extend([every, own])
    for name in ('convolution_overrideable', 'convolution_backward_overrideable'):
        own.impl(name, _forwarded(getattr(aten, name).default), 'PrivateUse1')
    own.impl('_thnn_fused_gru_cell', _on_numbers(gru_cell), 'PrivateUse1')
    own.impl('_thnn_fused_gru_cell_backward', _on_numbers(gru_cell_backward), 'PrivateUse1')
    for name in FACTORIES:
        base, _, overload = name.partition('.')
        own.impl(name, _factory(getattr(getattr(aten, base), overload or 'default')), 'PrivateUse1')
    own.impl('index.Tensor', _index, 'PrivateUse1')
    for name in ('_index_put_impl_', 'index_put_'):
        own.impl(name, _index_put_in_place, 'PrivateUse1')
    for name in ('index_put', '_unsafe_index_put'):
        own.impl(name, _index_put, 'PrivateUse1')
    own.impl('as_strided', _as_strided, 'PrivateUse1')
    own.impl('as_strided_', _as_strided_in_place, 'PrivateUse1')
    _patch_copies()


def _forwarded(operator: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return _compute(operator, *args, **kwargs)

    return call


# -- shells and numbers ------------------------------------------------------------------------------------------------


def _is_here(tensor: Tensor) -> bool:
    return tensor.device.type == NAME


def _shell(numbers: Tensor) -> Tensor:
    """A tensor of the device for a CPU tensor."""
    # A view of an ordinary tensor cannot be one of inference mode.
    with torch.inference_mode(False):
        shell = torch._C._acc.create_empty_tensor(numbers.shape, numbers.dtype)
    # By storage, because autograd keeps copies that share the storage and are other Python objects.
    _numbers[shell.untyped_storage()._cdata] = numbers
    return shell


def _unwrapped(tensor: Tensor) -> Tensor:
    """The CPU tensor of a shell; CPU tensors as they are."""
    if not _is_here(tensor):
        return tensor
    numbers = _stored(tensor)
    as_stored = tensor.is_contiguous() and not tensor.storage_offset()
    if numbers.shape == tensor.shape and as_stored:
        return numbers
    # C++ has reshaped or transposed the shell without telling the fallback.
    return _strided(numbers, tensor.shape, tensor.stride(), int(tensor.storage_offset()))


def _stored(tensor: Tensor) -> Tensor:
    """The CPU tensor of a shell's storage."""
    numbers = _numbers[tensor.untyped_storage()._cdata]
    if numbers.dtype != tensor.dtype:  # the same bits, read as another type
        return numbers.contiguous().view(tensor.dtype)
    return numbers


def _strided(numbers: Tensor, size: Any, stride: Any, offset: int) -> Tensor:
    """A view of numbers. Strides and offset are those of the shell, which is contiguous; the numbers may be a view."""
    if numbers.is_contiguous():
        return numbers.as_strided(size, stride, numbers.storage_offset() + offset)
    shell_strides = torch.empty(numbers.shape, device='meta').stride()
    dimensions = [d for d in range(numbers.dim()) if numbers.shape[d] > 1]
    dimensions.sort(key=lambda d: -shell_strides[d])
    own_offset = numbers.storage_offset()
    rest = offset
    for d in dimensions:
        own_offset += rest // shell_strides[d] * numbers.stride(d)
        rest %= shell_strides[d]
    own_stride = []
    for step in stride:
        within = [d for d in dimensions if shell_strides[d] <= step]
        if not within or step % shell_strides[within[0]]:
            own_stride.append(0)
        else:
            d = within[0]
            own_stride.append(step // shell_strides[d] * numbers.stride(d))
    places = torch.arange(numbers.untyped_storage().nbytes() // numbers.element_size())
    expected = places.as_strided(numbers.shape, numbers.stride(), numbers.storage_offset())
    expected = expected.contiguous().as_strided(size, stride, offset)
    if torch.equal(places.as_strided(size, own_stride, own_offset), expected):
        return numbers.as_strided(size, own_stride, own_offset)
    return numbers.contiguous().as_strided(size, stride, offset)  # no view of a view: a copy


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nested lists, tuples and dicts with the results of a function; ``tree_map`` takes ten times as long."""
    kind = type(value)
    if kind in (list, tuple):
        return kind([_mapped(function, item) for item in value])
    if kind is dict:
        return {key: _mapped(function, item) for key, item in value.items()}
    if isinstance(value, (list, tuple, dict)):
        return tree_map(function, value)
    return function(value)


# -- counting ----------------------------------------------------------------------------------------------------------


def _line() -> str:
    """The innermost line of hrtk on the stack that is not a helper's, ``models/estimators/hmr.py:80``."""
    root = f'{PACKAGE}{os.sep}'
    for frame, line in traceback.walk_stack(None):
        file = frame.f_code.co_filename
        if not file.startswith(root):
            continue
        name = Path(file.removeprefix(root)).as_posix()
        if name not in HELPERS:
            return f'{name}:{line}'
    return 'outside of hrtk'


def _count(kind: str, tensor: Optional[Tensor] = None) -> None:
    if not _records:
        return
    line = _line()
    for traffic in _records:
        getattr(traffic, kind)[line] += 1
        if tensor is not None:
            traffic.upload_bytes[line] += tensor.numel() * tensor.element_size()


def _count_masks(indices: Any) -> None:
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            _count('waits')


# -- operators ---------------------------------------------------------------------------------------------------------


def _compute(operator: Any, *args: Any, **kwargs: Any) -> Any:
    """Any operator of torch on the device."""
    name = operator._schema.name
    if name == 'aten::_copy_from':
        return _copy(args[0], args[1])
    if name == 'aten::_local_scalar_dense':
        _count('waits')
        return operator(_unwrapped(args[0]))
    if name.startswith('aten::_fused_adam'):
        raise NotImplementedError(f'{name}: the pretend device has no fused kernels')
    if name in WAITING:
        _count('waits')
    shells: list[tuple[Tensor, Tensor]] = []  # their numbers stay alive while `wrap` compares them
    strangers: list[tuple[int, ...]] = []

    def unwrap(value: Any) -> Any:
        if isinstance(value, Tensor):
            # Numbers without dimensions may come from the CPU, as on a GPU.
            if value.dim() > 0 and not _is_here(value):
                strangers.append(tuple(value.shape))
            shells.append((_unwrapped(value), value))
            return shells[-1][0]
        if isinstance(value, torch.device):
            return torch.device('cpu')
        return value

    def wrap(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        for numbers, shell in shells:
            if numbers is value:
                return shell
        pointer = value.untyped_storage().data_ptr()
        if any(numbers.untyped_storage().data_ptr() == pointer for numbers, _ in shells):
            return _shell(value)  # a view, which must share its memory
        return _shell(value.contiguous())  # shells are contiguous

    cpu_args, cpu_kwargs = _mapped(unwrap, (args, kwargs))
    if strangers:
        raise RuntimeError(f'{name}: tensors on two devices, {NAME} and cpu {strangers}')
    if 'pin_memory' in cpu_kwargs:
        cpu_kwargs['pin_memory'] = None
    operator, cpu_args = _cpu_operator(operator, name, cpu_args)
    cpu_args = _with_tensors(operator, cpu_args)
    result = operator(*cpu_args, **cpu_kwargs)
    for key, value in kwargs.items():
        if 'out' in key and isinstance(value, Tensor) and _is_here(value):
            numbers = _numbers[value.untyped_storage()._cdata]
            if numbers.shape != value.shape:  # the operator has resized its output
                value.data = _shell(numbers)
    return _mapped(wrap, result)


def _cpu_operator(operator: Any, name: str, args: tuple) -> tuple[Any, tuple]:
    """The operator of the CPU and its arguments, where those of a new device differ."""
    if name == 'aten::convolution_overrideable':
        return aten.convolution.default, args
    if name == 'aten::convolution_backward_overrideable':
        gradient, inputs, weight, *rest, mask = args
        bias_sizes = [weight.shape[0]]
        arguments = (gradient, inputs, weight, bias_sizes, *rest, mask)
        return aten.convolution_backward.default, arguments
    if name in VIEWS:
        return aten.reshape.default, args[:2]
    return operator, args


def _with_tensors(operator: Any, args: tuple) -> tuple:
    """Arguments in which numbers are tensors where the operator expects them: torch passes Python's numbers so."""
    result = list(args)
    for position in _tensor_positions(operator):
        if position < len(result) and isinstance(result[position], (int, float)):
            result[position] = torch.tensor(result[position])
    return tuple(result)


@functools.cache
def _tensor_positions(operator: Any) -> tuple[int, ...]:
    """The positions of the arguments that an operator expects to be tensors."""
    types = [str(argument.type) for argument in operator._schema.arguments]
    return tuple(position for position, kind in enumerate(types) if kind == 'Tensor')


def _copy(source: Tensor, target: Tensor) -> Tensor:
    if not _is_here(target):
        _count('downloads')
    elif not _is_here(source):
        _count('uploads', source)
    _unwrapped(target).copy_(_unwrapped(source))
    return target


def _cpu_indices(indices: Any) -> list[Optional[Tensor]]:
    """The indices on the CPU; torch uploads those that are there already."""
    _count_masks(indices)
    cpu: list[Optional[Tensor]] = []
    for index in indices:
        if index is not None and not _is_here(index):
            _count('uploads', index)
        cpu.append(None if index is None else _unwrapped(index))
    return cpu


def _index(tensor: Tensor, indices: Any) -> Tensor:
    return _shell(aten.index.Tensor(_unwrapped(tensor), _cpu_indices(indices)))


def _index_put_in_place(
    tensor: Tensor, indices: Any, values: Tensor, accumulate: bool = False, unsafe: bool = False
) -> Tensor:
    numbers = _unwrapped(tensor)
    aten.index_put_.default(numbers, _cpu_indices(indices), _unwrapped(values), accumulate)
    return tensor


def _index_put(tensor: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    numbers = _unwrapped(tensor)
    cpu = _cpu_indices(indices)
    return _shell(aten.index_put.default(numbers, cpu, _unwrapped(values), accumulate))


def _factory(operator: Any) -> Callable[..., Tensor]:
    def make(
        *args: Any,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: Any = None,
    ) -> Tensor:
        return _shell(operator(*args, dtype=dtype, device='cpu'))

    return make


def _as_strided(
    tensor: Tensor, size: Any, stride: Any, storage_offset: Optional[int] = None
) -> Tensor:
    # Counted from the start of the storage, not from that of the tensor.
    return _shell(_strided(_stored(tensor), size, stride, storage_offset or 0))


def _as_strided_in_place(
    tensor: Tensor, size: Any, stride: Any, storage_offset: Optional[int] = None
) -> Tensor:
    tensor.data = _as_strided(tensor, size, stride, storage_offset)
    return tensor


def _on_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of CPU tensors as one of shells."""

    def call(*args: Any) -> Any:
        def unwrap(value: Any) -> Any:
            return _unwrapped(value) if isinstance(value, Tensor) else value

        def wrap(value: Any) -> Any:
            return _shell(value) if isinstance(value, Tensor) else value

        return _mapped(wrap, function(*_mapped(unwrap, args)))

    return call


def _patch_copies() -> None:
    """Makes ``copy.deepcopy`` and ``torch.save`` work on the device, whose storages torch cannot copy."""
    of_tensors = Tensor.__deepcopy__
    of_parameters = torch.nn.Parameter.__deepcopy__

    def copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        if id(tensor) in memo:
            return memo[id(tensor)]
        result = _shell(_unwrapped(tensor).detach().clone())
        if isinstance(tensor, torch.nn.Parameter):
            result = torch.nn.Parameter(result, tensor.requires_grad)
        else:
            result.requires_grad_(tensor.requires_grad)
        memo[id(tensor)] = result
        return result

    def copy_tensor(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        return copied(tensor, memo) if _is_here(tensor) else of_tensors(tensor, memo)

    def copy_parameter(parameter: Any, memo: dict[int, Any]) -> Any:
        return copied(parameter, memo) if _is_here(parameter) else of_parameters(parameter, memo)

    def reduced(tensor: Tensor, protocol: int) -> Any:
        if not _is_here(tensor) or isinstance(tensor, torch.nn.Parameter):
            return reduce_any(tensor, protocol)
        arguments = (tensor.detach().cpu(), tensor.dtype, str(tensor.device), tensor.requires_grad)
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, arguments

    reduce_any = Tensor.__reduce_ex__
    setattr(Tensor, '__reduce_ex__', reduced)
    setattr(Tensor, '__deepcopy__', copy_tensor)
    setattr(torch.nn.Parameter, '__deepcopy__', copy_parameter)
