"""Transforms: target domains made from other data sets, lazily, one sequence after the other."""

from hrtk.datasets.transforms.base import MappedFrames, Transform
from hrtk.datasets.transforms.colour import Greyscale, Thermal
from hrtk.datasets.transforms.complete_keypoints import CompleteKeypoints, InterpolateKeypoints
from hrtk.datasets.transforms.crop import CropTo, LowResolution
from hrtk.datasets.transforms.detect_keypoints import DetectKeypoints
from hrtk.datasets.transforms.hide_limbs import HideLimbs
from hrtk.datasets.transforms.masks import WithMasks
from hrtk.datasets.transforms.perturbation import AddPerturbation

__all__ = [
    'AddPerturbation',
    'CompleteKeypoints',
    'CropTo',
    'DetectKeypoints',
    'Greyscale',
    'HideLimbs',
    'InterpolateKeypoints',
    'LowResolution',
    'MappedFrames',
    'Thermal',
    'Transform',
    'WithMasks',
]
