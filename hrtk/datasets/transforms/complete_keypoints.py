"""Keypoints that a detector missed, filled in before anything is adapted to them."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor

from hrtk.datasets.transforms.base import Transform
from hrtk.errors import InputError
from hrtk.models.estimators.base import hash_tensors
from hrtk.models.lifting import KeypointCompleter
from hrtk.registry import TRANSFORMS
from hrtk.structures import Keypoints2D, Sequence


class FilledKeypoints(Transform):
    """A sequence whose missing keypoints are filled in; those that are there stay as they are, to the bit.

    Filled points get a confidence of their own, so that a loss counts them less, and the source of the keypoints
    becomes ``'<name>:<source>'``.
    """

    name: str

    def __init__(self, confidence: float) -> None:
        if not 0 < confidence <= 1:
            raise InputError(
                f'{type(self).__name__}: confidence of filled points is above 0 and at most 1, not '
                f'{confidence}'
            )
        self.confidence = confidence

    def fill(self, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """(F, K, 2) px and (F, K) bool, which points were filled in."""
        raise NotImplementedError

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence with completed keypoints."""
        points = sequence.keypoints2d
        xy, filled = self.fill(sequence)
        confidence = torch.where(
            filled, points.confidence.new_tensor(self.confidence), points.confidence
        )
        completed = dataclasses.replace(
            points, xy=xy, confidence=confidence, source=f'{self.name}:{points.source}'
        )
        return dataclasses.replace(sequence, keypoints2d=completed)


@TRANSFORMS.register_module()
class CompleteKeypoints(FilledKeypoints):
    """Fills in missing 2D keypoints by masked pose modelling, from the same frame and its neighbours.

    Points whose joint the network does not know (face, feet) stay missing, and so do all points of frames whose
    windows show nothing. Keypoints are completed when a sequence is read, on the CPU.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`, with its ``weights``.
        threshold: confidences up to this one mean that a point is missing.
        confidence: of filled points, above 0 and at most 1.
        fps, hop, flip, placement, skeleton, anchor: as of :class:`~hrtk.models.lifting.KeypointCompleter`.

    Raises:
        InputError: an option has no such value.
    """

    name = 'completed'

    def __init__(
        self,
        network: dict,
        threshold: float = 0.0,
        confidence: float = 0.3,
        fps: Optional[float] = None,
        hop: Optional[int] = None,
        flip: bool = True,
        placement: str = 'person',
        skeleton: Optional[str] = None,
        anchor: float = 8.0,
    ) -> None:
        super().__init__(confidence)
        self.completer = KeypointCompleter(
            network, threshold, fps, hop, flip, placement, skeleton, anchor
        )
        self.fill = self.completer.fill

    def fingerprint(self) -> dict[str, str]:
        """A hash of the network's weights."""
        return {'completer': hash_tensors(self.completer.state_dict())}


@TRANSFORMS.register_module()
class InterpolateKeypoints(FilledKeypoints):
    """Fills in missing 2D keypoints by straight lines in time between the frames that saw them.

    Before the first and after the last such frame a point stays missing.

    Args:
        threshold: confidences up to this one mean that a point is missing.
        confidence: of filled points, above 0 and at most 1.

    Raises:
        InputError: a confidence is outside its range.
    """

    name = 'interpolated'

    def __init__(self, threshold: float = 0.0, confidence: float = 0.3) -> None:
        super().__init__(confidence)
        if not 0 <= threshold < 1:
            raise InputError(
                f'InterpolateKeypoints: threshold is a confidence in [0, 1), not {threshold}'
            )
        self.threshold = threshold

    def fill(self, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """(F, K, 2) px and (F, K) bool, which points were filled in."""
        return between(sequence.keypoints2d, self.threshold)


def between(points: Keypoints2D, threshold: float) -> tuple[Tensor, Tensor]:
    """Straight lines in time: (F, K, 2) px, and (F, K) bool where a point is on one."""
    seen = points.visible(threshold)
    frame = torch.arange(len(seen), device=seen.device)[:, None].expand(seen.shape)
    before = torch.where(seen, frame, -1).cummax(0).values
    after = torch.where(seen, frame, len(seen)).flip(0).cummin(0).values.flip(0)
    filled = ~seen & (before >= 0) & (after < len(seen))
    xy = torch.where(seen[..., None], points.xy, 0.0)
    first, last = (
        xy.gather(0, at.clamp(0, len(seen) - 1)[..., None].expand_as(xy)) for at in (before, after)
    )
    share = ((frame - before) / (after - before).clamp_min(1))[..., None].to(xy)
    return torch.where(filled[..., None], first + share * (last - first), points.xy), filled
