"""Masks for data sets that have none."""

from __future__ import annotations

from hrtk.datasets.transforms.base import Transform
from hrtk.registry import MASK_SOURCES, TRANSFORMS
from hrtk.structures import Sequence


@TRANSFORMS.register_module()
class WithMasks(Transform):
    """Adds the masks of a mask source, or replaces existing masks.

    Args:
        source: config of a mask source, see :mod:`hrtk.datasets.mask_sources`.
    """

    def __init__(self, source: dict) -> None:
        self.source = MASK_SOURCES.build(source)

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence with masks."""
        return self.source.attach(sequence)

    def fingerprint(self) -> dict[str, str]:
        """The hashes of the mask source."""
        return self.source.fingerprint()
