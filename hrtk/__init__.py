"""hrtk, the Human Reconstruction ToolKit: 3D human-mesh models made better on the footage they are shown."""

from hrtk import (
    registry,
)  # an import error inside hrtk must show here, not inside a registry look-up
from hrtk.version import __version__

__all__ = ['registry', '__version__']
