"""Weights from files: official key layouts to ours, safely, with a report of every key that did not match."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import pickle
from pathlib import Path
from typing import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.errors import InputError

BUNDLED = Path(__file__).parent / 'weights'
WRAPPERS = ('model', 'state_dict', 'gen_state_dict')
TRAINED = ('estimator.', 'network.')  # what hrtk's trainings call the network that they train


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint's keys.

    Attributes:
        loaded: keys (official names) whose values are in the module now.
        missing_keys: keys (our names) that the module has and the checkpoint has not; their values are unchanged.
        unexpected_keys: keys (official names) that the module has no place for.
        dropped: keys left out on purpose (embedded body models, batch counters).
    """

    loaded: tuple[str, ...]
    missing_keys: tuple[str, ...]
    unexpected_keys: tuple[str, ...]
    dropped: tuple[str, ...]


def load_official(
    module: nn.Module, state_dict: Mapping[str, Tensor], name: str = 'state_dict'
) -> LoadReport:
    """Copies a state dict with official key names into one of our networks.

    ``module.`` prefixes are stripped, and those of hrtk's own trainings; a wrapper dict (``{'model': ...}``) is opened,
    embedded SMPL buffers are left out. The module's ``official_key`` says which key becomes which, its ``ignored_keys``
    with which prefixes a checkpoint's keys are no weights of the network.

    Args:
        module: one of hrtk's networks.
        state_dict: official or own key names to tensors.
        name: what to call it in messages, e.g. its path.

    Returns:
        The report; nothing is missing and nothing unexpected when the checkpoint is that of this network.

    Raises:
        InputError: a value has another shape than its place, or no key matches: it is another network's checkpoint.
            The module is left as it was.
    """
    ignored = ('smpl.', *getattr(module, 'ignored_keys', ()))
    own = module.state_dict()
    matched, loaded, unexpected, dropped, wrong = {}, [], [], [], []
    for key, value in _unwrap(state_dict).items():
        plain = key.removeprefix('module.')
        if '.smpl.' in key or plain.startswith(ignored):
            dropped.append(key)
            continue
        target = _place(module, plain, own)
        if target not in own:
            (dropped if plain.endswith('num_batches_tracked') else unexpected).append(key)
        elif not isinstance(value, Tensor) or value.shape != own[target].shape:
            wrong.append(
                f'{key} {tuple(getattr(value, "shape", ()))}, expected {tuple(own[target].shape)}'
            )
        else:
            matched[target] = value
            loaded.append(key)
    if wrong or not matched:
        what = (
            f'{len(wrong)} of its values have another shape (first: {wrong[0]})'
            if wrong
            else 'no key matches'
        )
        raise InputError(
            f'{name}: not a checkpoint of {type(module).__name__} as configured: {what}. Name the '
            f"checkpoint of this network, or change the backbone and head to the checkpoint's."
        )
    module.load_state_dict(matched, strict=False)
    missing = [key for key in own if key not in matched and not key.endswith('num_batches_tracked')]
    return LoadReport(tuple(loaded), tuple(missing), tuple(unexpected), tuple(dropped))


def load_weights(
    module: nn.Module, weights: str | Path, optional: tuple[str, ...] = ()
) -> LoadReport:
    """Loads ``'open:<name>'`` (bundled) or a checkpoint file into a module and insists that every key matches.

    Args:
        module: one of hrtk's networks.
        weights: what to load.
        optional: prefixes of keys (ours) that the file may lack, since other files bring them.

    Raises:
        InputError: the file is missing or unreadable, would need full unpickling, or its keys do not match.
    """
    path = find_weights(weights)
    report = load_official(module, read_checkpoint(path), name=str(path))
    missing = tuple(key for key in report.missing_keys if not key.startswith(optional))
    if missing or report.unexpected_keys:
        raise InputError(
            f'{path}: not a checkpoint of {type(module).__name__} as configured: '
            f'{_some("missing", missing)}{_some("unexpected", report.unexpected_keys)}'
        )
    return report


def load_pretrained(
    module: nn.Module, weights: str | Path, heads: tuple[str, ...]
) -> tuple[str, ...]:
    """Loads all of a module but its heads from the checkpoint of a network that was trained for something else.

    Keys of heads are taken as far as they are there in the right shape; keys that have no place are left out.

    Args:
        module: one of hrtk's networks.
        weights: what to load.
        heads: prefixes of keys (ours) that may be missing or have another shape.

    Returns:
        Keys of the module that stay as they were.

    Raises:
        InputError: the file is missing or unreadable, or its network differs before the heads.
    """
    path = find_weights(weights)
    own, state_dict = module.state_dict(), _unwrap(read_checkpoint(path))
    found = {
        _place(module, key.removeprefix('module.'), own): value for key, value in state_dict.items()
    }
    fitting = {
        key: found[key]
        for key, value in own.items()
        if isinstance(found.get(key), Tensor) and found[key].shape == value.shape
    }
    left = tuple(
        key for key in own if key not in fitting and not key.endswith('num_batches_tracked')
    )
    wrong = tuple(key for key in left if not key.startswith(heads))
    if wrong:
        raise InputError(
            f'{path}: not a network that {type(module).__name__} can start from: before its heads, '
            f'{_some("missing or of another shape", wrong)}Name one of the same sizes'
        )
    module.load_state_dict(fitting, strict=False)
    return left


def bundled() -> list[str]:
    """Names of the weights that ship with hrtk."""
    return sorted(path.stem for path in BUNDLED.glob('*.pt'))


def find_weights(weights: str | Path) -> Path:
    """The file behind a weights setting.

    Raises:
        InputError: there is none.
    """
    text = str(weights)
    if text.startswith('open:'):
        path = BUNDLED / f'{text[5:]}.pt'
        if not path.exists():
            have = bundled()
            near = difflib.get_close_matches(text[5:], have, n=1)
            raise InputError(
                f'weights={text!r}: hrtk bundles {have or "no weights"}'
                + (f'; did you mean open:{near[0]}?' if near else '')
            )
        return path
    path = Path(text).expanduser()
    if not path.is_file():
        raise InputError(
            f'{path}: no such checkpoint. Put the file there, set `weights` to where it is, or use '
            f'bundled ones with their configs: {", ".join(f"weights=open:{name}" for name in bundled())}.'
        )
    return path


def read_checkpoint(path: str | Path) -> dict:
    """Reads a checkpoint without running code from it.

    Numpy scalars, which VIBE's and TCMR's files hold, are allowed; everything else beyond tensors and plain
    containers is refused.

    Raises:
        InputError: unreadable, truncated, or it holds something that would have to be executed.
    """
    scalar = np.dtype('f4').type(0).__reduce__()[0]
    allowed = [
        (scalar, 'numpy.core.multiarray.scalar'),
        scalar,
        np.dtype,
        type(np.dtype('f4')),
        type(np.dtype('f8')),
        type(np.dtype('i8')),
    ]
    try:
        with (
            torch.serialization.safe_globals(allowed)
            if hasattr(torch.serialization, 'safe_globals')
            else contextlib.nullcontext()
        ):
            content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f'{path}: holds something other than tensors, which hrtk does not execute '
            f'({_first_line(error)}). If you trust its author, load it with plain torch and save '
            f'its state dict alone.'
        ) from error
    except (
        Exception
    ) as error:  # damage shows in zipfile, in struct or in the unpickler, as any error
        raise InputError(
            f'{path}: not a readable checkpoint, perhaps truncated ({_first_line(error)}); download or '
            f'copy it again'
        ) from error
    if not isinstance(content, dict):
        raise InputError(f'{path}: expected a state dict, found a {type(content).__name__}')
    return content


def _place(module: nn.Module, key: str, own: Mapping[str, Tensor]) -> str:
    """Our name of an official key, also where one of hrtk's trainings put its own before it."""
    translate = getattr(module, 'official_key', lambda name: name)
    target = translate(key)
    for wrapper in TRAINED:
        if target not in own and key.startswith(wrapper):
            target = translate(key.removeprefix(wrapper))
    return target


def _unwrap(state_dict: Mapping) -> Mapping:
    for wrapper in WRAPPERS:
        inner = state_dict.get(wrapper)
        if isinstance(inner, Mapping):
            return inner
    return state_dict


def _some(what: str, keys: tuple[str, ...]) -> str:
    return (
        f'{len(keys)} {what} ({", ".join(keys[:4])}{", ..." if len(keys) > 4 else ""}). '
        if keys
        else ''
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
