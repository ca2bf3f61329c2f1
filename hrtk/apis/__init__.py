"""hrtk in a few calls."""

from hrtk.apis.adapt import adapt, load_config
from hrtk.apis.benchmark import benchmark
from hrtk.apis.evaluate import evaluate
from hrtk.apis.export import export
from hrtk.apis.models import build_model, list_models

__all__ = ['adapt', 'benchmark', 'build_model', 'evaluate', 'export', 'list_models',
           'load_config']
