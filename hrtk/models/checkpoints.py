"""Network weights from files: official key names to ours, without running code, with a report of unmatched keys."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any, Mapping

from torch import Tensor, nn

from hrtk.errors import InputError, OptionError, suggestion
from hrtk.models.tensor_pickle import load_tensors
from hrtk.reading.tensors import read_tensors

_log = logging.getLogger(__name__)
BUNDLED = Path(__file__).parent / 'weights'
WRAPPERS = ('model', 'state_dict', 'gen_state_dict')
# Prefixes of the trained network in the checkpoints of hrtk's trainings.
TRAINED = ('estimator.', 'network.')
CLASSIFIERS = ('fc.', 'classifier.', 'head.')  # key prefixes in networks that classify images
COUNTER = 'num_batches_tracked'  # of batch norms, of no use for predictions


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """How a checkpoint's keys matched a module.

    Attributes:
        loaded: keys (official names) whose values were copied into the module.
        missing_keys: keys (our names) of the module that the checkpoint lacks; their values are unchanged.
        unexpected_keys: keys (official names) that the module lacks.
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

    ``module.`` prefixes are stripped, and those of hrtk's own trainings; a wrapper dict (``{'model': ...}``) is opened;
    embedded SMPL buffers are left out, and so are the other parts of one of hrtk's trainings, e.g. its critic. The
    module's ``official_key`` translates keys. Its ``ignored_keys`` are prefixes of keys that are no weights of the
    network.

    Args:
        module: one of hrtk's networks.
        state_dict: official or own key names to tensors.
        name: of the state dict in messages, e.g. its path.

    Returns:
        The report; nothing is missing and nothing unexpected when the checkpoint is that of this network.

    Raises:
        InputError: a value has another shape than the module's, or no key matches: it is another network's checkpoint.
            The module is left as it was.
    """
    ignored = ('smpl.', *getattr(module, 'ignored_keys', ()))
    own = module.state_dict()
    matched: dict[str, Tensor] = {}
    loaded: list[str] = []
    unexpected: list[str] = []
    dropped: list[str] = []
    mismatched: list[str] = []
    content = _unwrap(state_dict)
    other_parts = _other_parts(module, content, own)
    for key, value in content.items():
        plain = key.removeprefix('module.')
        if '.smpl.' in key or plain.startswith(ignored) or key in other_parts:
            dropped.append(key)
            continue
        target = _own_key(module, plain, own)
        if target in own and _fits(value, own[target]):
            matched[target] = value
            loaded.append(key)
        elif target in own:
            shape = tuple(getattr(value, 'shape', ()))
            mismatched.append(f'{key} {shape}, expected {tuple(own[target].shape)}')
        elif plain.endswith(COUNTER):
            dropped.append(key)
        else:
            unexpected.append(key)
    _check_match(module, name, matched, mismatched)
    check_weights(matched, name)
    module.load_state_dict(matched, strict=False)
    missing = _unmatched(own, matched)
    return LoadReport(tuple(loaded), missing, tuple(unexpected), tuple(dropped))


def check_weights(state_dict: Mapping[str, Tensor], name: str) -> None:
    """Refuses weights that are not finite, e.g. of a training that diverged.

    Args:
        state_dict: key names to tensors.
        name: of the state dict in the message, e.g. its path.

    Raises:
        InputError: names the first such key.
    """
    for key, value in state_dict.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(
                f'{name}: {key} has values that are not finite: the file is damaged, or its training diverged; take '
                f'an earlier checkpoint'
            )


def load_weights(
    module: nn.Module, weights: str | Path, optional: tuple[str, ...] = ()
) -> LoadReport:
    """Loads ``'open:<name>'`` (bundled) or a checkpoint file into a module; every key must match.

    Args:
        module: one of hrtk's networks.
        weights: the name or path.
        optional: prefixes of keys (ours) that the file may lack, since other files provide them.

    Raises:
        InputError: the file is missing or unreadable, would need full unpickling, or its keys do not match.
    """
    path = find_weights(weights)
    report = load_official(module, read_checkpoint(path), name=str(path))
    missing = tuple(key for key in report.missing_keys if not key.startswith(optional))
    require_match(module, path, missing, report.unexpected_keys)
    return report


def require_match(
    module: nn.Module, path: Path, missing: tuple[str, ...], unexpected: tuple[str, ...]
) -> None:
    """Checks that a checkpoint matched a module completely.

    Raises:
        InputError: a key is missing or unexpected.
    """
    if missing or unexpected:
        raise InputError(
            f'{path}: not a checkpoint of {type(module).__name__} as configured: '
            f'{_listing("missing", missing)}{_listing("unexpected", unexpected)}'
        )


def load_pretrained(
    module: nn.Module, weights: str | Path, heads: tuple[str, ...]
) -> tuple[str, ...]:
    """Loads all of a module but its heads from the checkpoint of a network that was trained for something else.

    Keys of heads are loaded where the checkpoint has them in the right shape; keys that the module lacks are ignored.

    Args:
        module: one of hrtk's networks.
        weights: the name or path of the checkpoint.
        heads: prefixes of keys (ours) that may be missing or have another shape.

    Returns:
        Keys of the module whose values are unchanged.

    Raises:
        InputError: the file is missing or unreadable, or its network differs before the heads.
    """
    path = find_weights(weights)
    own = module.state_dict()
    matched = {}
    for key, value in _unwrap(read_checkpoint(path)).items():
        target = _own_key(module, key.removeprefix('module.'), own)
        if target in own and _fits(value, own[target]):
            matched[target] = value
    unmatched = _unmatched(own, matched)
    differing = tuple(key for key in unmatched if not key.startswith(heads))
    check_weights(matched, str(path))
    if differing:
        raise InputError(
            f'{path}: not a network that {type(module).__name__} can start from: before its heads, '
            f'{_listing("missing or of another shape", differing)}Name one of the same sizes'
        )
    module.load_state_dict(matched, strict=False)
    return unmatched


def load_backbone(backbone: nn.Module, weights: str | Path) -> LoadReport:
    """Loads a backbone from the file of a classifier, e.g. torchvision's ``resnet50-*.pth`` of ImageNet.

    The file is a state dict, bare or wrapped, under the backbone's own key names or those that its ``official_key``
    translates. The classifier's keys, :data:`CLASSIFIERS`, are dropped, and the log says so.

    Args:
        backbone: a backbone of the registry, also a plugin's.
        weights: path of the file.

    Raises:
        InputError: the file is missing or unreadable, or holds another network.
    """
    path = find_weights(weights)
    content = _unwrap(read_checkpoint(path))
    dropped = []
    kept = {}
    for key, value in content.items():
        if key.removeprefix('module.').startswith(CLASSIFIERS):
            dropped.append(key)
        else:
            kept[key] = value
    report = load_official(backbone, kept, name=str(path))
    # Weights that no classifier has, by a part of their names, e.g. the gains of RSC-Net.
    optional = tuple(getattr(backbone, 'optional_keys', ()))
    missing = tuple(key for key in report.missing_keys if not _has_part(key, optional))
    require_match(backbone, path, missing, report.unexpected_keys)
    name = type(backbone).__name__
    message = f'{name} starts from {path}: {len(report.loaded)} of its values'
    if dropped:
        message += f'; dropped {", ".join(dropped)}, a classifier that {name} does not have'
    _log.warning(message)  # at this level it is printed without any set-up of logging
    return dataclasses.replace(report, dropped=(*dropped, *report.dropped))


def bundled() -> list[str]:
    """Returns the names of the weights that ship with hrtk."""
    return sorted(path.stem for path in BUNDLED.glob('*.pt'))


def find_weights(weights: str | Path) -> Path:
    """Returns the file of a ``weights`` setting.

    Raises:
        OptionError: there is no such file.
    """
    text = str(weights)
    settings = [f'open:{name}' for name in bundled()]
    if text.startswith('open:'):
        path = BUNDLED / f'{text.removeprefix("open:")}.pt'
        if not path.exists():
            raise OptionError(
                f'weights={text!r}: hrtk bundles no such weights. '
                f'{suggestion(text, settings, cutoff=0.6)}'
            )
        return path
    path = Path(text).expanduser()
    if not path.is_file():
        raise OptionError(
            f'{path}: no such checkpoint. Put the file there, set `weights` to its path, or use '
            f'bundled ones with their configs: {", ".join(settings)}.'
        )
    return path


def read_checkpoint(path: str | Path) -> dict:
    """Reads a checkpoint without running code from it.

    Tensors, plain containers and numpy scalars, which VIBE's and TCMR's files hold, are read. Objects of other classes,
    such as the configs in Lightning's ``hyper_parameters``, are left out, and the log names their classes; nothing of
    them is imported. A file that names a function that runs commands is refused.

    Raises:
        InputError: the file is unreadable, truncated, or holds something that would have to be executed.
    """
    path = Path(path)
    content = read_tensors(path, foreign=load_tensors)
    if not isinstance(content, dict):
        raise InputError(f'{path}: expected a state dict, found a {type(content).__name__}')
    for key in [*content, *_unwrap(content)]:
        if not isinstance(key, str):
            raise InputError(f'{path}: no checkpoint: {str(key)[:40]!r} is no name of a weight')
    return content


def _check_match(
    module: nn.Module, name: str, matched: Mapping[str, Tensor], mismatched: list[str]
) -> None:
    if matched and not mismatched:
        return
    reason = 'no key matches'
    if mismatched:
        reason = f'{len(mismatched)} of its values have another shape (first: {mismatched[0]})'
    raise InputError(
        f'{name}: not a checkpoint of {type(module).__name__} as configured: {reason}. Name the '
        f"checkpoint of this network, or change the backbone and head to the checkpoint's."
    )


def _own_key(module: nn.Module, key: str, own: Mapping[str, Tensor]) -> str:
    """Returns our name of an official key, also where one of hrtk's trainings added a prefix."""
    translate = getattr(module, 'official_key', lambda name: name)
    target = translate(key)
    for prefix in TRAINED:
        if target not in own and key.startswith(prefix):
            target = translate(key.removeprefix(prefix))
    return target


def _has_part(key: str, parts: tuple[str, ...]) -> bool:
    return any(part in key for part in parts)


def _other_parts(
    module: nn.Module, content: Mapping[str, Any], own: Mapping[str, Tensor]
) -> set[str]:
    """The keys of a checkpoint of hrtk's trainings that do not belong to the trained network; else none."""
    translate = getattr(module, 'official_key', lambda name: name)
    trained = {key for key in content if key.startswith(TRAINED) and translate(key) not in own}
    if not trained:
        return set()
    return {key for key in content if key not in trained and translate(key) not in own}


def _fits(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _unmatched(own: Mapping[str, Tensor], matched: Mapping[str, Tensor]) -> tuple[str, ...]:
    return tuple(key for key in own if key not in matched and not key.endswith(COUNTER))


def _unwrap(state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    for wrapper in WRAPPERS:
        inner = state_dict.get(wrapper)
        if isinstance(inner, Mapping):
            return inner
    return state_dict


def _listing(title: str, keys: tuple[str, ...]) -> str:
    """Returns ``'5 missing (a, b, c, d, ...). '``, or nothing without keys."""
    if not keys:
        return ''
    names = ', '.join(keys[:4])
    if len(keys) > 4:
        names += ', ...'
    return f'{len(keys)} {title} ({names}). '
