"""Keypoints that a detector missed, filled in before adaptation."""

from __future__ import annotations

import dataclasses
from typing import Optional

import torch
from torch import Tensor

from hrtk.datasets.transforms.base import Transform
from hrtk.errors import OptionError
from hrtk.models.estimators.base import hash_tensors
from hrtk.models.lifting import KeypointCompleter
from hrtk.registry import TRANSFORMS
from hrtk.structures import Keypoints2D, Sequence


class FilledKeypoints(Transform):
    """Base of transforms that fill in missing keypoints; existing keypoints stay the same, to the bit.

    Filled points get a confidence of their own, so that a loss weights them less, and the source of the keypoints
    becomes ``'<name>:<source>'``.

    Args:
        confidence: of filled points, above 0 and at most 1.

    Raises:
        InputError: the confidence is outside its range.
    """

    name: str

    def __init__(self, confidence: float) -> None:
        if not 0 < confidence <= 1:
            raise OptionError(
                f'{type(self).__name__}: confidence of filled points is above 0 and at most 1, not '
                f'{confidence}'
            )
        self.confidence = confidence

    def fill(self, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """(F, K, 2) px, and (F, K) bool that marks the filled points."""
        raise NotImplementedError

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence with completed keypoints."""
        keypoints = sequence.keypoints2d
        xy, filled = self.fill(sequence)
        confidence = torch.where(
            filled, keypoints.confidence.new_tensor(self.confidence), keypoints.confidence
        )
        completed = dataclasses.replace(
            keypoints, xy=xy, confidence=confidence, source=f'{self.name}:{keypoints.source}'
        )
        return dataclasses.replace(sequence, keypoints2d=completed)


@TRANSFORMS.register_module()
class CompleteKeypoints(FilledKeypoints):
    """Fills in missing 2D keypoints by masked pose modelling, from the same frame and its neighbours.

    Points whose joint the network does not have (face, feet) stay missing, and so do all points of frames whose
    windows have no visible point. Keypoints are completed when a sequence is read, on the CPU.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`, with its ``weights``.
        threshold: points with at most this confidence are missing.
        confidence: of filled points, above 0 and at most 1.
        fps, hop, flip, placement, skeleton, anchor: as of :class:`~hrtk.models.lifting.KeypointCompleter`.

    Raises:
        InputError: an option has an invalid value.
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

    def fill(self, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """(F, K, 2) px, and (F, K) bool that marks the filled points."""
        return self.completer.fill(sequence)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the network's weights."""
        return {'completer': hash_tensors(self.completer.state_dict())}


@TRANSFORMS.register_module()
class InterpolateKeypoints(FilledKeypoints):
    """Fills in missing 2D keypoints by linear interpolation in time between the frames in which they are visible.

    Before the first and after the last such frame a point stays missing.

    Args:
        threshold: points with at most this confidence are missing.
        confidence: of filled points, above 0 and at most 1.

    Raises:
        InputError: a confidence is outside its range.
    """

    name = 'interpolated'

    def __init__(self, threshold: float = 0.0, confidence: float = 0.3) -> None:
        super().__init__(confidence)
        if not 0 <= threshold < 1:
            raise OptionError(
                f'InterpolateKeypoints: threshold is a confidence in [0, 1), not {threshold}'
            )
        self.threshold = threshold

    def fill(self, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """(F, K, 2) px, and (F, K) bool that marks the filled points."""
        return interpolate_gaps(sequence.keypoints2d, self.threshold)


def interpolate_gaps(keypoints: Keypoints2D, threshold: float) -> tuple[Tensor, Tensor]:
    """Linear interpolation in time of points that are missing between two frames.

    Args:
        keypoints: F frames of K points.
        threshold: points with at most this confidence are missing.

    Returns:
        (F, K, 2) px, and (F, K) bool that marks the interpolated points.
    """
    visible = keypoints.visible(threshold)
    length = len(visible)
    frame = torch.arange(length, device=visible.device)[:, None].expand(visible.shape)
    # The last visible frame up to each frame, or -1, and the first one from it on, or F.
    before = torch.where(visible, frame, -1).cummax(0).values
    after = torch.where(visible, frame, length).flip(0).cummin(0).values.flip(0)
    filled = ~visible & (before >= 0) & (after < length)
    xy = torch.where(visible[..., None], keypoints.xy, 0.0)
    start = xy.gather(0, before.clamp(0, length - 1)[..., None].expand_as(xy))
    end = xy.gather(0, after.clamp(0, length - 1)[..., None].expand_as(xy))
    fraction = ((frame - before) / (after - before).clamp_min(1))[..., None].to(xy)
    interpolated = start + fraction * (end - start)
    return torch.where(filled[..., None], interpolated, keypoints.xy), filled
