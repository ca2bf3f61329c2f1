"""hrtk in a few calls."""

from hrtk.apis.adapt import adapt, load_config
from hrtk.apis.models import build_model, list_models

__all__ = ['adapt', 'build_model', 'list_models', 'load_config']
