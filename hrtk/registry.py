"""All registries of hrtk: children of the mmengine registries that a run uses, and the kinds that only hrtk has.

A plugin is an installed package with an entry point in the group ``hrtk.plugins``::

    [project.entry-points."hrtk.plugins"]
    my_plugin = "my_package"

The first look-up of any name imports the module of every entry point once; the module registers its own classes.

A name in a config never imports anything else: a ``type`` is the name of a registered class. mmengine's own registries
would import ``'os.system'`` and call it, so :func:`check_names` examines a config before they see it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Optional

from mmengine import registry as root
from mmengine.config import Config, ConfigDict

from hrtk.errors import InputError, OptionError, memory_shortage, nearest, suggestion
from hrtk.options import check_options

SCOPES = ('hrtk', 'mmengine')
# Keys of a config whose value is a name that a registry looks up, and those that name a package of registries.
NAMING = ('type', 'constructor', 'ema_type', 'runner_type', 'check_fn', 'init_fn', 'param_init_fn')
NAMING_ENDING = '_policy'  # of mmengine's options for sharded models
SCOPING = ('_scope_', 'default_scope')


class Registry(root.Registry):
    """mmengine's registry with plugins from entry points and a "Did you mean" for unknown names."""

    _plugins_loaded = False

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, build_func=_build, scope='hrtk', **kwargs)
        # Called with the class and the options of every object before it is built.
        self.checkers: list[Callable[[Any, Mapping[str, Any]], None]] = []
        # Called with every object that is built.
        self.finishers: list[Callable[[Any], None]] = []

    def import_from_location(self) -> None:
        """Imports hrtk's own modules of this kind, then, once per process, every installed plugin."""
        super().import_from_location()
        load_plugins()

    def get(self, key: str) -> Optional[type]:
        """Returns the class of a name, or None if the name is not registered.

        Args:
            key: the name, perhaps behind ``'hrtk.'`` or ``'mmengine.'``, or the path of a registered class, as a
                pure-Python config stores it. No module is imported for it.
        """
        self.import_from_location()
        return _registered(key, [self, *_ancestors(self)])

    def names(self) -> list[str]:
        """Every name that a config may use as ``type``, sorted, including those of the parent and of plugins."""
        self.import_from_location()
        names = set(self.module_dict)
        if self.parent is not None:
            names.update(self.parent.module_dict)
        return sorted(names)


def load_plugins() -> None:
    """Imports every installed plugin, once per process; the plugins register their classes."""
    if Registry._plugins_loaded:
        return
    Registry._plugins_loaded = True  # before the imports, which may look up names themselves
    for entry in entry_points(group='hrtk.plugins'):
        entry.load()


def _build(cfg: Any, registry: Registry, default_args: Optional[dict] = None) -> Any:
    """Builds an object from ``dict(type=..., **options)``; returns an object that is built already.

    Raises:
        OptionError: the name is unknown (similar names are listed), the class has no such option, or an option has
            another type or range than its annotation, or an object of these sizes does not fit into the memory. A
            class raises it for its own rules of options, and any other InputError for what is wrong in a file.
    """
    if not isinstance(cfg, (dict, ConfigDict, Config)):
        return cfg
    options = {**(default_args or {}), **cfg}
    type_or_name = options.pop('type', None)
    options.pop('_scope_', None)
    if type_or_name is None:
        raise OptionError(
            f'a {registry.name} needs a `type`; this one has only {sorted(map(str, options))}'
        )
    cls = _resolve(type_or_name, registry)
    label = f'{registry.name} {cls.__name__}'
    check_options(cls, options, label)
    for check in registry.checkers:
        check(cls, options)
    try:
        built = cls(**options)
    except TypeError as error:
        if 'argument' not in str(error):
            raise
        raise OptionError(f'{label}: {_unknown_options(cls, options) or error}') from error
    except (MemoryError, RuntimeError) as error:
        shortage = memory_shortage(error)
        if shortage is None:
            raise
        raise OptionError(f'{label}: {shortage}') from error
    for finish in registry.finishers:
        finish(built)
    return built


def _resolve(type_or_name: Any, registry: Registry) -> type:
    """The class of a config's ``type``, which is a registered name or the class itself."""
    if callable(type_or_name):
        return type_or_name
    if not isinstance(type_or_name, str):
        raise OptionError(
            f'the `type` of a {registry.name} is the name of a class, not {type_or_name!r}'
        )
    cls = registry.get(type_or_name)
    if cls is None:
        hint = suggestion(type_or_name, registry.names(), count=3)
        raise OptionError(
            f'there is no {registry.name} called {type_or_name!r}. {hint} A plugin that offers it must be '
            f'installed in this environment.'
        )
    return cls


def check_names(config: Any, source: str) -> None:
    """Refuses names in a config that no registry has and that mmengine would import.

    Args:
        config: dicts and lists at any depth.
        source: file, for messages.

    Raises:
        InputError: a name has dots or is that of a module, and no registered class has it; or a scope is not that of
            hrtk or mmengine.
    """
    for key, value in _strings(config):
        if key in SCOPING and value not in SCOPES:
            raise InputError(
                f'{source}: {key}={value!r}: names are looked up in hrtk and mmengine only; classes of other '
                f'packages come by the entry point hrtk.plugins'
            )
        if (key in NAMING or key.endswith(NAMING_ENDING)) and not _is_harmless(value):
            raise InputError(
                f'{source}: {key}={value!r}: no class is registered under this name, and a config does not '
                f'import one. Register the class, and install its package as a plugin (entry point hrtk.plugins)'
            )


def _strings(config: Any) -> Iterator[tuple[str, str]]:
    """All pairs of a key and a string, at any depth."""
    if isinstance(config, dict):
        for key, value in config.items():
            if isinstance(value, str):
                yield str(key), value
            else:
                yield from _strings(value)
    elif isinstance(config, (list, tuple)):
        for member in config:
            yield from _strings(member)


def _is_harmless(name: str) -> bool:
    """Whether mmengine finds a registered class under a name, or nothing that it can import."""
    if '.' not in name and not _is_module(name):
        return True
    registries = [*_all_registries(Registry), *_all_registries(root.Registry)]
    for registry in registries:
        if _registered(name, [registry]) is None:
            registry.import_from_location()
        if _registered(name, [registry]) is not None:
            return True
    return False


def _is_module(name: str) -> bool:
    """Whether a name without dots can be imported; finding out does not import it."""
    try:
        return name in sys.modules or find_spec(name) is not None
    except ValueError:  # an empty name, or a module without a specification
        return name in sys.modules


def _all_registries(kind: type) -> list[root.Registry]:
    """The registries of hrtk, or of mmengine."""
    values = globals().values() if kind is Registry else vars(root).values()
    return [value for value in values if isinstance(value, kind)]


def _registered(name: str, registries: Iterable[root.Registry]) -> Optional[type]:
    """The class of a name in loaded registries, or None."""
    scope, _, rest = name.partition('.')
    names = [name]
    if scope in SCOPES:
        names.append(rest)
    module_name, _, attribute = name.rpartition('.')
    found = getattr(sys.modules.get(module_name), attribute, None)
    for registry in registries:
        classes = registry.module_dict
        for candidate in names:
            if candidate in classes:
                return classes[candidate]
        for cls in classes.values():
            path = f'{cls.__module__}.{getattr(cls, "__qualname__", "")}'
            if cls is found or path == name:
                return cls
    return None


def _ancestors(registry: root.Registry) -> Iterator[root.Registry]:
    """The parents of a registry, those of mmengine."""
    parent = registry.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _unknown_options(cls: type, options: dict) -> str:
    """Names the options that a class does not have, with similar ones; empty if the class has them all."""
    parameters = inspect.signature(cls).parameters
    available = [name for name in parameters if name not in ('args', 'kwargs')]
    unknown = [name for name in options if name not in available]
    if not unknown:
        return ''
    similar: list[str] = []
    for name in unknown:
        similar += nearest(name, available)
    hint = f'it takes {", ".join(available)}'
    if similar:
        hint = f'did you mean {", ".join(similar)}?'
    return f'has no argument {", ".join(unknown)}; {hint}'


def _child(name: str, *locations: str) -> Registry:
    """A registry that also has the classes of mmengine's registry of this name."""
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
MASK_SOURCES = _own('mask source', 'hrtk.datasets.mask_sources')
DETECTORS = _own('detector', 'hrtk.detectors')

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
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'hrtk.training')
OPTIMIZERS = _child('OPTIMIZERS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'hrtk.training.part_optimizers')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')
LOG_PROCESSORS = _child('LOG_PROCESSORS')
FUNCTIONS = _child('FUNCTIONS')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS')
STRATEGIES = _child('STRATEGIES')
