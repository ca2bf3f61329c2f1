"""All registries of hrtk: one child per mmengine root that a run touches, and the kinds that are ours alone.

A plugin is an installed package with an entry point in the group ``hrtk.plugins``::

    [project.entry-points."hrtk.plugins"]
    my_plugin = "my_package"

The module it names is imported once, the first time any name is looked up, and registers its classes itself.
"""

from __future__ import annotations

import difflib
import inspect
from importlib.metadata import entry_points
from typing import Any, Optional

from mmengine import registry as root
from mmengine.config import Config, ConfigDict

from hrtk.errors import InputError


class Registry(root.Registry):
    """mmengine's registry plus entry-point plugins and a "did you mean" for unknown names."""

    _plugins_loaded = False

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, build_func=_build, scope='hrtk', **kwargs)

    def import_from_location(self) -> None:
        """Imports hrtk's own modules of this kind, then, once per process, every installed plugin."""
        super().import_from_location()
        if not Registry._plugins_loaded:
            Registry._plugins_loaded = True
            for entry in entry_points(group='hrtk.plugins'):
                entry.load()

    def get(self, key: str) -> Optional[type]:
        """Looks a name up; None if nobody registered it."""
        self.import_from_location()
        return super().get(key)

    def names(self) -> list[str]:
        """All names that configs may use here, sorted, parents and plugins included."""
        self.import_from_location()
        parent = self.parent.module_dict if self.parent is not None else {}
        return sorted({*self.module_dict, *parent})


def _build(cfg: dict, registry: Registry, default_args: Optional[dict] = None) -> Any:
    """Builds an object from ``dict(type=..., **kwargs)``.

    Raises:
        InputError: the name is unknown (near names are listed), or the class does not take the arguments.
    """
    if not isinstance(cfg, (dict, ConfigDict, Config)):
        return cfg
    kwargs = {**(default_args or {}), **cfg}
    kind = kwargs.pop('type', None)
    kwargs.pop('_scope_', None)
    if kind is None:
        raise InputError(f'a {registry.name} needs a `type`; this one has only {sorted(kwargs)}')
    cls = registry.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        known = registry.names()
        near = difflib.get_close_matches(str(kind), known, n=3, cutoff=0.5)
        hint = (
            f'Did you mean {" or ".join(map(repr, near))}?'
            if near
            else f'Known: {", ".join(known)}.'
        )
        raise InputError(
            f'there is no {registry.name} called {kind!r}. {hint} A plugin that offers it must be '
            f'installed in this environment.'
        )
    try:
        return cls(**kwargs)
    except TypeError as error:
        if 'argument' not in str(error):
            raise
        raise InputError(
            f'{registry.name} {cls.__name__}: {_misfit(cls, kwargs) or error}'
        ) from error


def _misfit(cls: type, kwargs: dict) -> str:
    """Which arguments a class does not take, with near names; empty if that is not what went wrong."""
    takes = [name for name in inspect.signature(cls).parameters if name not in ('args', 'kwargs')]
    wrong = [name for name in kwargs if name not in takes]
    near = [
        match for name in wrong for match in difflib.get_close_matches(name, takes, n=1, cutoff=0.5)
    ]
    hint = f'did you mean {", ".join(near)}?' if near else f'it takes {", ".join(takes)}'
    return f'has no argument {", ".join(wrong)}; {hint}' if wrong else ''


def _child(name: str, *locations: str) -> Registry:
    parent = getattr(root, name)
    return Registry(parent.name, parent=parent, locations=list(locations))


def _own(name: str, *locations: str) -> Registry:
    return Registry(name, locations=list(locations))


BACKBONES = _own('backbone', 'hrtk.models.backbones')
HEADS = _own('head', 'hrtk.models.heads')
ESTIMATORS = _own('estimator', 'hrtk.models.estimators')
BODY_MODELS = _own('body model', 'hrtk.body_models')
TEMPORAL = _own('temporal network', 'hrtk.models.temporal')
SEGMENTERS = _own('segmenter', 'hrtk.models.segmentation')
LIFTERS = _own('lifter', 'hrtk.models.lifting')
LOSSES = _own('loss', 'hrtk.losses', 'hrtk.models.priors')
TEACHERS = _own('teacher', 'hrtk.teachers')
CORRUPTIONS = _own('corruption', 'hrtk.adapters.collaborative')
ADAPTERS = _own('adapter', 'hrtk.adapters')
DETECTORS = _own('detector', 'hrtk.detectors')
MASK_SOURCES = _own('mask source', 'hrtk.datasets.mask_sources')

MODELS = _child('MODELS', 'hrtk.training', 'hrtk.models.priors')
DATASETS = _child('DATASETS', 'hrtk.datasets', 'hrtk.datasets.transformed')
TRANSFORMS = _child('TRANSFORMS', 'hrtk.datasets.transforms')
METRICS = _child('METRICS', 'hrtk.evaluation', 'hrtk.training')
EVALUATOR = _child('EVALUATOR')
HOOKS = _child('HOOKS', 'hrtk.engine', 'hrtk.training')
LOOPS = _child('LOOPS', 'hrtk.engine')
RUNNERS = _child('RUNNERS', 'hrtk.engine')
VISUALIZERS = _child('VISUALIZERS', 'hrtk.visualization')
VISBACKENDS = _child('VISBACKENDS')
DATA_SAMPLERS = _child('DATA_SAMPLERS')
OPTIMIZERS = _child('OPTIMIZERS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'hrtk.training.part_optimizers')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')
LOG_PROCESSORS = _child('LOG_PROCESSORS')
FUNCTIONS = _child('FUNCTIONS')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS')
STRATEGIES = _child('STRATEGIES')
