"""What tests of hrtk and of its users need: files in the layouts of licensed data sets, drawn from the free stream."""

from hrtk.testing.joblib_writer import dump_joblib
from hrtk.testing.lifting_files import write_lifting_files
from hrtk.testing.official_files import write_official_files
from hrtk.testing.smpl_files import write_body_files, write_checkpoint

__all__ = ['dump_joblib', 'write_body_files', 'write_checkpoint', 'write_lifting_files', 'write_official_files']
