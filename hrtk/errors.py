"""The error class for wrong input, and suggestions for misspelt names in its messages."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from typing import Optional

MOST_NAMES = 40  # in a message
# In errors of torch, which raises no MemoryError.
NO_MEMORY = ("can't allocate memory", 'out of memory', 'calculation overflowed', 'size overflow')


class InputError(ValueError):
    """A user's file or setting is wrong.

    The message names the file, the key, the expected value and the remedy. Commands print it without a traceback and
    exit with code 2.
    """


class OptionError(InputError):
    """A name or a value in a config is wrong, or values that do not fit together.

    The message names class and option; whoever has read the config adds its file, see :func:`named_config`. A class
    that has read a file and finds a fault there raises :class:`InputError` instead, and names that file.
    """


@contextlib.contextmanager
def named_config(file: Optional[object]) -> Iterator[None]:
    """Within this context an :class:`OptionError` names the file of the config.

    Args:
        file: of the config; None if it comes from no file.
    """
    try:
        yield
    except OptionError as error:
        if file is None or str(file) in str(error):
            raise
        raise OptionError(f'{file}: {error}') from error


@contextlib.contextmanager
def located(place: str) -> Iterator[None]:
    """Within this context the message of every :class:`InputError` begins with a place, e.g. the row of a table."""
    try:
        yield
    except InputError as error:
        raise InputError(f'{place}: {error}') from error


def memory_shortage(error: BaseException) -> Optional[str]:
    """What did not fit into the memory, in the words of an error that says so; None for any other error."""
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        reason = text.splitlines()[0] if text else 'MemoryError'
        return f'not enough memory ({reason}); smaller batches, images or networks need less'
    return None


def nearest(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.5) -> list[str]:
    """Returns the known names that resemble a misspelt one, the most similar first.

    Args:
        name: the misspelt name.
        known: every valid name.
        count: maximum number of returned names.
        cutoff: similarity in [0, 1] that a name must reach, see :func:`difflib.get_close_matches`.
    """
    return difflib.get_close_matches(name, list(known), n=count, cutoff=cutoff)


def suggestion(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.5) -> str:
    """Returns the last sentence of a message about an unknown name.

    Returns:
        ``"Did you mean 'ResNet'?"``, or ``'Known: HMR, RSCNet.'`` where no name is similar; of many names the first.
    """
    known = list(known)
    similar = nearest(name, known, count, cutoff)
    if similar:
        return f'Did you mean {" or ".join(map(repr, similar))}?'
    if len(known) > MOST_NAMES:
        return f'Known: {", ".join(known[:MOST_NAMES])} and {len(known) - MOST_NAMES} others.'
    return f'Known: {", ".join(known)}.'
