"""hrtk, the Human Reconstruction ToolKit: test-time adaptation of 3D human-mesh models."""

# The registry is imported here so that an import error inside hrtk shows here, not inside a registry look-up.
from hrtk import moved, registry
from hrtk.version import __version__

__all__ = ['registry', '__version__']

moved.install()
