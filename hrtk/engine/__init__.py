"""The adaptation run: from a config to stored results, sequence by sequence."""

from hrtk.engine.hooks import ProgressHook
from hrtk.engine.loop import AdaptLoop
from hrtk.engine.mask_figures import MaskFigureHook
from hrtk.engine.output_hook import OverlayHook
from hrtk.engine.runner import AdaptRunner
from hrtk.engine.store import ResultStore
from hrtk.models.estimators import predict_sequence
from hrtk.results import Result

__all__ = [
    'AdaptLoop',
    'AdaptRunner',
    'MaskFigureHook',
    'OverlayHook',
    'ProgressHook',
    'Result',
    'ResultStore',
    'predict_sequence',
]
