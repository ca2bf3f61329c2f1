"""Keypoints that a detector missed, filled in before anything is adapted to them."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch

from hrtk.datasets.transforms.base import Transform
from hrtk.models.estimators.base import hash_tensors
from hrtk.models.lifting import KeypointCompleter
from hrtk.registry import TRANSFORMS
from hrtk.structures import InputError, Sequence


@TRANSFORMS.register_module()
class CompleteKeypoints(Transform):
    """Fills in missing 2D keypoints by masked pose modelling, from the same frame and its neighbours.

    Visible points stay as they are, to the bit. So do points whose joint the network does not know (face, feet), and
    all points of frames whose windows show nothing. Filled points get a confidence of their own, so that a loss counts
    them less, and the source of the keypoints becomes ``'completed:<source>'``.

    Keypoints are completed when a sequence is read, on the CPU.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`, with its ``weights``.
        threshold: confidences up to this one mean that a point is missing.
        confidence: of filled points, above 0 and at most 1.
        fps, hop, flip, placement, skeleton, anchor: as of :class:`~hrtk.models.lifting.KeypointCompleter`.

    Raises:
        InputError: an option has no such value.
    """

    def __init__(self, network: dict, threshold: float = 0.0, confidence: float = 0.3,
                 fps: Optional[float] = None, hop: Optional[int] = None, flip: bool = True, placement: str = 'person',
                 skeleton: Optional[str] = None, anchor: float = 2.0) -> None:
        if not 0 < confidence <= 1:
            raise InputError(f'CompleteKeypoints: confidence of filled points is above 0 and at most 1, not '
                             f'{confidence}')
        self.completer = KeypointCompleter(network, threshold, fps, hop, flip, placement, skeleton, anchor)
        self.confidence = confidence

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence with completed keypoints."""
        points = sequence.keypoints2d
        xy, filled = self.completer.fill(sequence)
        confidence = torch.where(filled, points.confidence.new_tensor(self.confidence), points.confidence)
        completed = dataclasses.replace(points, xy=xy, confidence=confidence, source=f'completed:{points.source}')
        return dataclasses.replace(sequence, keypoints2d=completed)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the network's weights."""
        return {'completer': hash_tensors(self.completer.state_dict())}
