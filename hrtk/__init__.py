"""hrtk, the Human Reconstruction ToolKit: test-time adaptation of 3D human-mesh models."""

from hrtk import interrupts

interrupts.guard_start()  # before the imports that take time

# The registry is imported here so that an import error inside hrtk shows here, not inside a registry look-up.
from hrtk import moved, registry  # noqa: E402
from hrtk.version import __version__  # noqa: E402

__all__ = ['registry', '__version__']

moved.install()
