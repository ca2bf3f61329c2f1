"""Estimators: image crops to body parameters."""

from hrtk.models.estimators.base import ClipEstimator, Estimator, ImageEstimator, hash_tensors
from hrtk.models.estimators.foreground_hmr import ForegroundHMR
from hrtk.models.estimators.hmr import HMR
from hrtk.models.estimators.hmr2 import HMR2
from hrtk.models.estimators.landmark_hmr import LandmarkHMR
from hrtk.models.estimators.latent_hmr import LatentHMR
from hrtk.models.estimators.prediction import predict_chunks, predict_frames, predict_sequence
from hrtk.models.estimators.rsc_net import RSCNet
from hrtk.models.estimators.video_hmr import VideoHMR

__all__ = [
    'ClipEstimator',
    'Estimator',
    'ForegroundHMR',
    'HMR',
    'HMR2',
    'ImageEstimator',
    'LandmarkHMR',
    'LatentHMR',
    'RSCNet',
    'VideoHMR',
    'hash_tensors',
    'predict_chunks',
    'predict_frames',
    'predict_sequence',
]
