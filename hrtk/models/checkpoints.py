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

from hrtk.structures import InputError

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


def load_official(module: nn.Module, state_dict: Mapping[str, Tensor], name: str = 'state_dict') -> LoadReport:
    """Copies a state dict with official key names into one of our networks.

    ``module.`` prefixes are stripped, and those of hrtk's own trainings; a wrapper dict (``{'model': ...}``) is opened,
    embedded SMPL buffers are left out. The module's ``official_key`` says which key becomes which.

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
    translate = getattr(module, 'official_key', lambda key: key)
    own = module.state_dict()
    matched, loaded, unexpected, dropped, wrong = {}, [], [], [], []
    for key, value in _unwrap(state_dict).items():
        plain = key.removeprefix('module.')
        if '.smpl.' in key or plain.startswith('smpl.'):
            dropped.append(key)
            continue
        target = translate(plain)
        for wrapper in TRAINED:
            if target not in own and plain.startswith(wrapper):
                target = translate(plain.removeprefix(wrapper))
        if target not in own:
            (dropped if plain.endswith('num_batches_tracked') else unexpected).append(key)
        elif not isinstance(value, Tensor) or value.shape != own[target].shape:
            wrong.append(f'{key} {tuple(getattr(value, "shape", ()))}, expected {tuple(own[target].shape)}')
        else:
            matched[target] = value
            loaded.append(key)
    if wrong or not matched:
        what = f'{len(wrong)} of its values have another shape (first: {wrong[0]})' if wrong else 'no key matches'
        raise InputError(f'{name}: not a checkpoint of {type(module).__name__} as configured: {what}. Name the '
                         f'checkpoint of this network, or change the backbone and head to the checkpoint\'s.')
    module.load_state_dict(matched, strict=False)
    missing = [key for key in own if key not in matched and not key.endswith('num_batches_tracked')]
    return LoadReport(tuple(loaded), tuple(missing), tuple(unexpected), tuple(dropped))


def load_weights(module: nn.Module, weights: str | Path) -> LoadReport:
    """Loads ``'open:<name>'`` (bundled) or a checkpoint file into a module and insists that every key matches.

    Raises:
        InputError: the file is missing or unreadable, would need full unpickling, or its keys do not match.
    """
    path = find_weights(weights)
    report = load_official(module, read_checkpoint(path), name=str(path))
    if report.missing_keys or report.unexpected_keys:
        raise InputError(f'{path}: not a checkpoint of {type(module).__name__} as configured: '
                         f'{_some("missing", report.missing_keys)}{_some("unexpected", report.unexpected_keys)}')
    return report


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
            raise InputError(f'weights={text!r}: hrtk bundles {have or "no weights"}'
                             + (f'; did you mean open:{near[0]}?' if near else ''))
        return path
    path = Path(text).expanduser()
    if not path.is_file():
        raise InputError(f'{path}: no such checkpoint. Put the file there, set `weights` to where it is, or use '
                         f'bundled ones with their configs: {", ".join(f"weights=open:{name}" for name in bundled())}.')
    return path


def read_checkpoint(path: str | Path) -> dict:
    """Reads a checkpoint without running code from it.

    Numpy scalars, which VIBE's and TCMR's files hold, are allowed; everything else beyond tensors and plain
    containers is refused.

    Raises:
        InputError: unreadable, truncated, or it holds something that would have to be executed.
    """
    scalar = np.dtype('f4').type(0).__reduce__()[0]
    allowed = [(scalar, 'numpy.core.multiarray.scalar'), scalar, np.dtype, type(np.dtype('f4')),
               type(np.dtype('f8')), type(np.dtype('i8'))]
    try:
        with torch.serialization.safe_globals(allowed) if hasattr(torch.serialization, 'safe_globals') \
                else contextlib.nullcontext():
            content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f'{path}: holds something other than tensors, which hrtk does not execute '
                         f'({_first_line(error)}). If you trust its author, load it with plain torch and save '
                         f'its state dict alone.') from error
    except Exception as error:  # damage shows in zipfile, in struct or in the unpickler, as any error
        raise InputError(f'{path}: not a readable checkpoint, perhaps truncated ({_first_line(error)}); download or '
                         f'copy it again') from error
    if not isinstance(content, dict):
        raise InputError(f'{path}: expected a state dict, found a {type(content).__name__}')
    return content


def _unwrap(state_dict: Mapping) -> Mapping:
    for wrapper in WRAPPERS:
        inner = state_dict.get(wrapper)
        if isinstance(inner, Mapping):
            return inner
    return state_dict


def _some(what: str, keys: tuple[str, ...]) -> str:
    return f'{len(keys)} {what} ({", ".join(keys[:4])}{", ..." if len(keys) > 4 else ""}). ' if keys else ''


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
