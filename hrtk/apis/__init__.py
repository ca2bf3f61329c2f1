"""hrtk in a few calls."""

from hrtk.apis.adapt import adapt, load_config

__all__ = ['adapt', 'load_config']
