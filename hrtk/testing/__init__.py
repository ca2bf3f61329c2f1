"""Test tools for hrtk and its users: contracts of adapters, estimators, detectors and data sets, and files in the
layouts of licensed data sets, drawn from the free stream."""

from hrtk.testing.adapter_contracts import ADAPTER_CONTRACTS, check_adapter
from hrtk.testing.contracts import BrokenContract
from hrtk.testing.dataset_contracts import DATASET_CONTRACTS, check_dataset
from hrtk.testing.detector_contracts import DETECTOR_CONTRACTS, check_detector
from hrtk.testing.estimator_contracts import ESTIMATOR_CONTRACTS, check_estimator
from hrtk.testing.joblib_writer import dump_joblib
from hrtk.testing.lifting_files import write_lifting_files
from hrtk.testing.official_files import write_official_files
from hrtk.testing.random_sequences import coloured_sequence, random_sequence
from hrtk.testing.smpl_files import write_body_files, write_checkpoint
from hrtk.testing.surreal_files import write_mpii, write_surreal

__all__ = [
    'ADAPTER_CONTRACTS',
    'BrokenContract',
    'DATASET_CONTRACTS',
    'DETECTOR_CONTRACTS',
    'ESTIMATOR_CONTRACTS',
    'check_adapter',
    'check_dataset',
    'check_detector',
    'check_estimator',
    'coloured_sequence',
    'dump_joblib',
    'random_sequence',
    'write_body_files',
    'write_checkpoint',
    'write_lifting_files',
    'write_mpii',
    'write_official_files',
    'write_surreal',
]
