"""Detectors from what users write: a name, a config, or an object."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hrtk.detectors.base import Detector
from hrtk.detectors.rtmlib import MODES
from hrtk.errors import OptionError, suggestion
from hrtk.registry import DETECTORS


def build_detector(detector: str | dict | Detector | Callable, device: str) -> Detector:
    """Builds a detector.

    Args:
        detector: one of

            - a registered name in any case, alone, with the value of the detector's :attr:`Detector.option`, or with
              arguments of its class: ``'rtmlib'``, ``'rtmlib:performance'``, ``'blazepose:tiles=3,passes=1'``;
            - a mode of rtmlib, ``'balanced'`` for ``'rtmlib:balanced'``;
            - a config, ``dict(type='RTMLib', mode='balanced')``;
            - a :class:`Detector`, which is returned;
            - until the next release, a callable for single images, see :class:`SingleImageDetector`.
        device: for detectors that take a device and whose config gives none.

    Raises:
        InputError: the name is unknown (similar ones are suggested), or the class refuses its arguments.
    """
    if isinstance(detector, str):
        detector = _config_of(detector)
    if isinstance(detector, dict):
        return _build(detector, device)
    return batched(detector)


def batched(detector: Detector | Callable) -> Detector:
    """Returns a :class:`Detector` unchanged, and any other callable as a :class:`SingleImageDetector`.

    Raises:
        InputError: it is neither.
    """
    if isinstance(detector, Detector):
        return detector
    if not all(hasattr(detector, name) for name in ('__call__', 'source', 'skeleton')):
        raise OptionError(
            f"a detector is a name, e.g. 'blazepose', a config or a hrtk.detectors.Detector, not {detector!r}"
        )
    return SingleImageDetector(detector)


class SingleImageDetector(Detector):
    """Adapts a detector with the call signature of the first release; deprecated, it stays for one release.

    Args:
        detector: a callable with ``source`` and ``skeleton``: (H, W, 3) uint8 RGB -> (P, K, 3).
    """

    def __init__(self, detector: Any) -> None:
        warnings.warn(
            f'{type(detector).__name__} takes single images; derive it from hrtk.detectors.Detector, '
            f'which takes a list of images',
            DeprecationWarning,
            stacklevel=3,
        )
        self.source = detector.source
        self.skeleton = detector.skeleton
        self._detector = detector

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self._detector(image) for image in images]


def _config_of(text: str) -> dict[str, Any]:
    """The config that a name stands for."""
    if text in MODES:
        return dict(type='RTMLib', mode=text)
    name, _, value = text.partition(':')
    registered = {known.lower(): known for known in DETECTORS.names()}
    if name.lower() not in registered:
        hint = suggestion(name, [*registered, *MODES])
        raise OptionError(
            f'there is no 2D detector called {name!r}. {hint} A plugin that offers it must be installed '
            f'in this environment.'
        )
    config: dict[str, Any] = dict(type=registered[name.lower()])
    if '=' in value:
        return {**config, **_arguments(value, name)}
    if value:
        option = getattr(DETECTORS.get(config['type']), 'option', '')
        if not option:
            raise OptionError(
                f'the 2D detector {name!r} has no option to set to {value!r}; write only {name!r}'
            )
        config[option] = value
    return config


def _arguments(text: str, name: str) -> dict[str, Any]:
    """``'tiles=3,passes=1'`` -> ``{'tiles': 3, 'passes': 1}``; what is no Python literal is a string."""
    arguments = {}
    for pair in text.split(','):
        key, sign, value = pair.partition('=')
        if not key.strip().isidentifier() or not sign or not value.strip():
            raise OptionError(
                f'the 2D detector {name!r} is given {pair!r}; write arguments like {name}:key=value,key=value'
            )
        try:
            arguments[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            arguments[key.strip()] = value.strip()
    return arguments


def _build(config: dict, device: str) -> Detector:
    kind = config.get('type')
    cls = DETECTORS.get(kind) if isinstance(kind, str) else kind
    if cls is not None and 'device' in inspect.signature(cls).parameters:
        config = {'device': device, **config}
    return batched(DETECTORS.build(config))
