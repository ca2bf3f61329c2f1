"""The calls of hrtk: adapting, scoring, testing, exporting, tables and the model zoo.

A call is imported when it is used for the first time (PEP 562), because a run needs networks and the training loop of
mmengine, which take seconds to import, and a list of names needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrtk.apis.adaptation import adapt, load_config
    from hrtk.apis.listing import list_registered
    from hrtk.apis.live.runner import StreamingRunner
    from hrtk.apis.live.setup import streaming_runner
    from hrtk.apis.look.exporting import export
    from hrtk.apis.network_test import test
    from hrtk.apis.scoring import evaluate, evaluate_joints
    from hrtk.apis.tables.benchmarking import benchmark
    from hrtk.apis.zoo.building import build_model
    from hrtk.apis.zoo.metafiles import list_models, load_model

__all__ = [
    'StreamingRunner',
    'adapt',
    'benchmark',
    'build_model',
    'evaluate',
    'evaluate_joints',
    'export',
    'list_models',
    'list_registered',
    'load_config',
    'load_model',
    'streaming_runner',
    'test',
]

# By call: the module that defines it.
HOMES = {
    'StreamingRunner': 'live.runner',
    'adapt': 'adaptation',
    'benchmark': 'tables.benchmarking',
    'build_model': 'zoo.building',
    'evaluate': 'scoring',
    'evaluate_joints': 'scoring',
    'export': 'look.exporting',
    'list_models': 'zoo.metafiles',
    'list_registered': 'listing',
    'load_config': 'adaptation',
    'load_model': 'zoo.metafiles',
    'streaming_runner': 'live.setup',
    'test': 'network_test',
}


def __getattr__(name: str) -> Any:
    """Imports a call at its first use and keeps it as an attribute of the package."""
    if name not in HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = importlib.import_module(f'{__name__}.{HOMES[name]}')
    call = getattr(module, name)
    globals()[name] = call
    return call


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
