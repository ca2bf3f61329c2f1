"""The calls of hrtk: adapting, scoring, testing, exporting, tables and the model zoo."""

from hrtk.apis.adaptation import adapt, load_config
from hrtk.apis.listing import list_registered
from hrtk.apis.look.exporting import export
from hrtk.apis.network_test import test
from hrtk.apis.scoring import evaluate, evaluate_joints
from hrtk.apis.tables.benchmarking import benchmark
from hrtk.apis.zoo.building import build_model
from hrtk.apis.zoo.metafiles import list_models, load_model

__all__ = [
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
    'test',
]
