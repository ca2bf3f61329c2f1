"""The tensors of a checkpoint that also holds objects of foreign classes, without importing or executing any of them.

Lightning stores ``hyper_parameters`` beside ``state_dict``: configs of yacs or omegaconf, paths, whole models. torch's
reader of tensors refuses such a file. The reader here puts an inert stand-in where such an object belongs, and leaves
the stand-ins out of the result.
"""

from __future__ import annotations

import collections
import logging
import pickle
import types
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch

from hrtk.body_models.safe_pickle import SafeUnpickler

# A checkpoint that names one of these was made to run commands; its tensors are not worth reading.
HOSTILE_MODULES = (
    'os',
    'io',
    '_io',
    'posix',
    'nt',
    'sys',
    'subprocess',
    'importlib',
    'runpy',
    'shutil',
    'socket',
    'ctypes',
    'commands',
    'pty',
)
HOSTILE_BUILTINS = ('eval', 'exec', 'execfile', 'compile', 'open', '__import__')
BUILTINS = ('builtins', '__builtin__')
_log = logging.getLogger(__name__)


def load_tensors(path: Path) -> Any:
    """Reads a checkpoint and leaves out every object that is no tensor, number, string or plain container.

    The log names the classes of what was left out.

    Raises:
        pickle.UnpicklingError: the file names a function that runs commands.
    """
    # torch reads both of its layouts with the unpickler of a module that it is given.
    reader = types.SimpleNamespace(Unpickler=TensorUnpickler, load=_load, __name__=__name__)
    content = torch.load(path, map_location='cpu', weights_only=False, pickle_module=reader)
    found: set[str] = set()
    kept = _without_foreign(content, found)
    if found:
        names = ', '.join(sorted(found))
        _log.warning('%s: left out objects of %s, which hrtk does not import', path, names)
    return kept


class Foreign:
    """Stands for a function or class that is not imported, and for its objects; ignores what the file does to them."""

    def __new__(cls, *args: Any, **keywords: Any) -> Foreign:
        return super().__new__(cls)

    def __init__(self, *args: Any, **keywords: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __call__(self, *args: Any, **keywords: Any) -> Foreign:
        return self

    def append(self, value: Any) -> None:
        """Ignores an entry of a list."""

    def extend(self, values: Any) -> None:
        """Ignores entries of a list."""

    def add(self, value: Any) -> None:
        """Ignores an entry of a set."""


def _reconstruct(cls: type, base: type, state: Any) -> Foreign:
    if not (isinstance(cls, type) and issubclass(cls, Foreign)):
        raise pickle.UnpicklingError(f'an object of {cls!r}')
    return cls()


def _allowed() -> dict[tuple[str, str], Any]:
    """The names that have a meaning here: those of plain arrays, and those of tensors."""
    names = {
        key: value
        for key, value in SafeUnpickler.allowed.items()
        if not key[0].startswith('chumpy')
    }
    names['collections', 'OrderedDict'] = collections.OrderedDict
    names['torch', 'Size'] = torch.Size
    names['torch._utils', '_rebuild_tensor_v2'] = torch._utils._rebuild_tensor_v2
    names['torch._utils', '_rebuild_parameter'] = torch._utils._rebuild_parameter
    for module in ('copyreg', 'copy_reg'):
        names[module, '_reconstructor'] = _reconstruct
    for name, value in vars(torch).items():
        if isinstance(value, torch.dtype):
            names['torch', name] = value
    return names


class TensorUnpickler(SafeUnpickler):
    """Builds tensors, arrays and plain containers; every other name becomes a :class:`Foreign` class."""

    allowed = _allowed()
    stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:
        """Returns what a name stands for.

        Raises:
            pickle.UnpicklingError: the name runs commands.
        """
        if (module, name) in self.allowed:
            return self.allowed[module, name]
        hostile = module.partition('.')[0] in HOSTILE_MODULES
        if hostile or (module in BUILTINS and name in HOSTILE_BUILTINS):
            raise pickle.UnpicklingError(f'it names {module}.{name}')
        return type(f'{module}.{name}', (Foreign,), {})

    def load_build(self) -> None:
        """Sets the state of an array; the attributes of other objects are not needed."""
        if isinstance(self.stack[-2], self.states):
            super().load_build()
        elif isinstance(self.stack[-2], (Foreign, collections.OrderedDict)):
            self.stack.pop()
        else:
            raise pickle.UnpicklingError(f'a state for {self.stack[-2]!r}')

    dispatch: ClassVar[dict[int, Any]] = {**SafeUnpickler.dispatch, pickle.BUILD[0]: load_build}


def _load(file: BinaryIO, **options: Any) -> Any:
    return TensorUnpickler(file, **options).load()


def _without_foreign(value: Any, found: set[str]) -> Any:
    """A value without its foreign parts; a list or tuple that contains one is foreign as a whole.

    Args:
        value: content of a checkpoint.
        found: names of foreign classes, to which those in the value are added.
    """
    if isinstance(value, Foreign) or (isinstance(value, type) and issubclass(value, Foreign)):
        stand_in = value if isinstance(value, type) else type(value)
        found.add(stand_in.__name__)
        return stand_in()
    if isinstance(value, (list, tuple)):
        parts = [_without_foreign(part, found) for part in value]
        foreign = [part for part in parts if isinstance(part, Foreign)]
        return foreign[0] if foreign else type(value)(parts)
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, part in value.items():
        clean = _without_foreign(part, found)
        if not isinstance(clean, Foreign) and not isinstance(key, Foreign):
            kept[key] = clean
    return kept
