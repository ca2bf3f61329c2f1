"""The model zoo: what the ``metafile.yml`` beside the configs say of models and results, and models from it."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
from pathlib import Path
from typing import Any, Iterator

import yaml
from torch import nn

from hrtk.apis.adaptation import load_config
from hrtk.apis.locations import bundled_folder
from hrtk.apis.zoo.building import network_names
from hrtk.errors import InputError
from hrtk.registry import ESTIMATORS, LIFTERS, MODELS, SEGMENTERS, TEMPORAL

KEYS = ('Name', 'In Collection', 'Config', 'Weights', 'Metadata', 'Results')
BUNDLED = 'open:'


@dataclasses.dataclass(frozen=True)
class ZooModel:
    """One model of a metafile.

    Attributes:
        name: unique in the zoo.
        collection: the method, and ``paper``: its title and year, empty if there is none.
        config: ``configs/...``, of its training or of the run that adapts it.
        weights: ``'open:<name>'``, those that the config makes or starts from.
        trained: whether the config makes these weights, so that :func:`load_model` knows them by name.
        metadata: facts by name.
        results: measured ones: ``Task``, ``Dataset``, ``Metrics``, ``Source`` (the page that says how) and perhaps
            ``Command``.
        page: of the method.
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
        return self.weights == BUNDLED + self.name


def read_zoo() -> list[ZooModel]:
    """All models of the metafiles, in the order of the files' names.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    models = [
        model
        for path in sorted(bundled_folder('configs').glob('*/metafile.yml'))
        for model in _read(path)
    ]
    names = [model.name for model in models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f'more than one model of the metafiles is called {twice!r}')
    return models


def load_model(name: str, **options: Any) -> nn.Module:
    """A network with the weights that come with hrtk, in evaluation mode.

    Args:
        name: of :func:`list_models` with ``pretrained=True``: ``'r18_studio'``, the start model, is an
            :class:`~hrtk.models.estimators.Estimator` with its body; ``'tcmr_open'``, ``'mpsnet_open'``,
            ``'vibe_open'`` and ``'vibe_metric_open'`` are networks over its features, ``'pose_aae_open'`` is a pose
            prior, ``'hrnet_w8_open'`` a segmenter, ``'mpm_holes_open'`` fills in 2D poses.
        **options: arguments of the network that replace those of its config, e.g. ``precision='bfloat16'``.

    Raises:
        InputError: the name is unknown (near names are listed), or an option is.
    """
    trained = {model.name: model for model in read_zoo() if model.trained}
    if name not in trained:
        near = difflib.get_close_matches(name, trained, n=3, cutoff=0.4)
        hint = (
            f'did you mean {" or ".join(map(repr, near))}?'
            if near
            else f'there are {", ".join(sorted(trained))}'
        )
        raise InputError(
            f'hrtk brings no model {name!r}; {hint} Networks without weights: hrtk.apis.build_model'
        )
    model = load_config(trained[name].config).model
    part = (model.get('estimator') or model.network).to_dict()
    registry = next(
        known
        for known in (ESTIMATORS, TEMPORAL, SEGMENTERS, LIFTERS, MODELS)
        if known.get(part['type'])
    )
    return registry.build({**part, 'weights': trained[name].weights, **options}).eval()


def list_models(pattern: str = '*', pretrained: bool = False) -> list[str]:
    """Names of networks, sorted.

    Args:
        pattern: of the shell, which names have to fit.
        pretrained: those whose weights come with hrtk, for :func:`load_model`; else those that
            :func:`~hrtk.apis.zoo.building.build_model` builds.
    """
    names = [model.name for model in read_zoo() if model.trained] if pretrained else network_names()
    return sorted(fnmatch.filter(names, pattern))


def _read(path: Path) -> Iterator[ZooModel]:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        collections = {entry['Name']: entry for entry in content['Collections']}
        for entry in content['Models']:
            unknown = sorted(set(entry) - set(KEYS))
            if unknown:
                raise InputError(
                    f'{path}: {entry["Name"]!r} has an unknown key {unknown[0]!r}; keys are {KEYS}'
                )
            of = collections[entry['In Collection']]
            yield ZooModel(
                entry['Name'],
                of['Name'],
                of.get('Paper') or {},
                entry['Config'],
                entry['Weights'],
                entry.get('Metadata') or {},
                tuple(entry.get('Results') or ()),
                of['README'],
            )
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(
            f'{path}: not a metafile with Collections and Models ({error!r})'
        ) from error
