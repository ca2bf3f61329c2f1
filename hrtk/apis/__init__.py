"""hrtk in a few calls."""

from hrtk.apis.adapt import adapt, load_config
from hrtk.apis.benchmark import benchmark
from hrtk.apis.evaluate import evaluate
from hrtk.apis.export import export
from hrtk.apis.listing import list_registered
from hrtk.apis.model_zoo import list_models, load_model
from hrtk.apis.models import build_model

__all__ = [
    'adapt',
    'benchmark',
    'build_model',
    'evaluate',
    'export',
    'list_models',
    'list_registered',
    'load_config',
    'load_model',
]
