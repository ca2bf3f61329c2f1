"""The model zoo: models and results as described by the ``metafile.yml`` beside the configs, and models by name."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from hrtk.apis.adaptation import load_config
from hrtk.apis.locations import bundled_configs
from hrtk.apis.zoo.building import network_names
from hrtk.errors import InputError, suggestion
from hrtk.reading import read_yaml
from hrtk.registry import ESTIMATORS, LIFTERS, MODELS, SEGMENTERS, TEMPORAL

KEYS = ('Name', 'In Collection', 'Config', 'Weights', 'Metadata', 'Results')
BUNDLED = 'open:'


@dataclasses.dataclass(frozen=True)
class ZooModel:
    """One model of a metafile.

    Attributes:
        name: unique in the zoo.
        collection: name of the method.
        paper: title and year of the method's paper; empty if there is none.
        config: ``configs/...``, of its training or of the run that adapts it.
        weights: ``'open:<name>'``, the weights that the config produces or starts from.
        metadata: facts by name.
        results: measured results: ``Task``, ``Dataset``, ``Metrics``, ``Source`` (the page that describes the
            measurement) and optionally ``Command``.
        page: documentation of the method.
    """

    name: str
    collection: str
    paper: dict[str, Any]
    config: str
    weights: str
    metadata: dict[str, str]
    results: tuple[dict[str, Any], ...]
    page: str

    @property
    def trained(self) -> bool:
        """Whether the config produces these weights; :func:`load_model` loads such models by name."""
        return self.weights == BUNDLED + self.name


def read_zoo() -> list[ZooModel]:
    """Reads the models of all metafiles, in the order of the files' names.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    models: list[ZooModel] = []
    for path in sorted(bundled_configs().glob('*/metafile.yml')):
        models.extend(_read(path))
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'more than one model of the metafiles is called {name!r}')
    return models


def load_model(name: str, **options: Any) -> nn.Module:
    """Builds a network with the weights that are bundled with hrtk, in evaluation mode.

    Args:
        name: of :func:`list_models` with ``pretrained=True``, perhaps with the prefix ``open:``: ``'lifter'`` and
            ``'r18_studio'``, the start models, are :class:`~hrtk.models.estimators.Estimator` with their body;
            ``'tcmr_open'``, ``'mpsnet_open'``, ``'vibe_open'`` and ``'vibe_metric_open'`` are networks over the
            features of ``'r18_studio'``, ``'pose_aae_open'`` is a pose prior, ``'hrnet_w8_open'`` a segmenter,
            ``'mpm_holes_open'`` completes 2D poses.
        **options: arguments of the network that replace those of its config, e.g. ``precision='bfloat16'``.

    Raises:
        InputError: the name is unknown (similar names are listed), or an option is.
    """
    trained = {model.name: model for model in read_zoo() if model.trained}
    name = name.removeprefix('open:')
    if name not in trained:
        hint = suggestion(name, sorted(trained), count=3, cutoff=0.4)
        raise InputError(
            f'no weights of a model {name!r} are bundled. {hint} '
            f'Networks without weights: hrtk.apis.build_model'
        )
    model = load_config(trained[name].config).model
    network = (model.get('estimator') or model.network).to_dict()
    network = {**network, 'weights': trained[name].weights, **options}
    for registry in (ESTIMATORS, TEMPORAL, SEGMENTERS, LIFTERS, MODELS):
        if registry.get(network['type']):
            return registry.build(network).eval()
    raise InputError(f'{trained[name].config}: no registry contains {network["type"]!r}')


def list_models(pattern: str = '*', pretrained: bool = False) -> list[str]:
    """Lists names of networks, sorted.

    Args:
        pattern: shell pattern that the names must match.
        pretrained: list networks whose weights are bundled with hrtk, for :func:`load_model`; else those that
            :func:`~hrtk.apis.zoo.building.build_model` builds.
    """
    names = network_names()
    if pretrained:
        names = [model.name for model in read_zoo() if model.trained]
    return sorted(fnmatch.filter(names, pattern))


def _read(path: Path) -> Iterator[ZooModel]:
    try:
        content = read_yaml(path)
        collections = {entry['Name']: entry for entry in content['Collections']}
        for entry in content['Models']:
            unknown = sorted(set(entry) - set(KEYS))
            if unknown:
                raise InputError(
                    f'{path}: {entry["Name"]!r} has an unknown key {unknown[0]!r}; keys are {KEYS}'
                )
            collection = collections[entry['In Collection']]
            yield ZooModel(
                name=entry['Name'],
                collection=collection['Name'],
                paper=collection.get('Paper') or {},
                config=entry['Config'],
                weights=entry['Weights'],
                metadata=entry.get('Metadata') or {},
                results=tuple(entry.get('Results') or ()),
                page=collection['README'],
            )
    except (KeyError, TypeError) as error:
        raise InputError(
            f'{path}: not a metafile with Collections and Models ({error!r})'
        ) from error
