"""Published methods that hrtk's own are compared with, one file each."""

from hrtk.adapters.rivals.closed_form import ClosedForm
from hrtk.adapters.rivals.cycle_adapt import CycleAdapt
from hrtk.adapters.rivals.keypoint_fit import KeypointFit
from hrtk.adapters.rivals.norm_adapt import NormAdapt
from hrtk.adapters.rivals.smplify import SMPLify

__all__ = ['ClosedForm', 'CycleAdapt', 'KeypointFit', 'NormAdapt', 'SMPLify']
