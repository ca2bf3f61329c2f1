"""Completion and lifting of the keypoints of a whole sequence."""

from __future__ import annotations

import math
from typing import Optional

import torch
from torch import Tensor

from hrtk.errors import InputError, OptionError
from hrtk.models.lifting.mpm import MPMStage1, MPMStage2
from hrtk.models.lifting.windowed import Windowed
from hrtk.registry import LIFTERS
from hrtk.structures import Sequence

NOISE = 0.05  # variance of a single frame's error, relative to that of the errors shared with adjacent frames
BLOCK = 256  # frames whose errors are regressed together


@LIFTERS.register_module()
class KeypointCompleter(Windowed):
    """Fills in missing keypoints with a network of stage I of MPM.

    Missing joints are replaced by the network's tokens, frames without any joint are dropped like hidden frames in
    training, and its 2D reconstruction replaces the missing keypoints. The network should have been trained with
    :class:`~hrtk.models.lifting.holes.HoleSampler`: masks that always hide the same number do not prepare it for
    others.

    A reconstruction is corrected by its error in the adjacent frames in which the joint is visible, see
    :func:`anchored`. So a track that is lost and found again has no steps; far from such frames nothing is corrected.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`, with its ``weights``.
        threshold: keypoints with confidences up to this one are missing.
        fps: frame rate of the network's training windows (25 of Human3.6M, 15 of ``configs/mpm``); of faster videos
            a window holds every second or third frame, and so on. None for every frame.
        hop: distance of the middles of adjacent windows, in frames of a window; default a ninth of the window, 1 is
            slowest.
        flip: averages windows with their mirror images, whose masks are mirrored too.
        placement: ``'person'`` moves and scales the person of every window to the position and size of people in
            training, in any image; ``'picture'`` maps the image's width to [-1, 1], as in training, which fits
            complete images with people 5 m away.
        skeleton: joint list of the network. The default takes a network of 17 or 16 joints for one in Human3.6M's
            order; networks of 3DHP's own 17 joints are not supported.
        anchor: length scale of the errors, in frames of a window (see :func:`anchored`); 0 for uncorrected
            reconstructions.

    Raises:
        InputError: an option has an unknown value; see the network for others.
    """

    def __init__(
        self,
        network: dict,
        threshold: float = 0.0,
        fps: Optional[float] = None,
        hop: Optional[int] = None,
        flip: bool = True,
        placement: str = 'person',
        skeleton: Optional[str] = None,
        anchor: float = 8.0,
    ) -> None:
        super().__init__(network, threshold, fps, hop, flip, placement, skeleton)
        if not anchor >= 0:
            raise OptionError(
                f'KeypointCompleter: anchor is a number of frames, at least 0, not {anchor}'
            )
        self.anchor = anchor
        if not isinstance(self.network, MPMStage1):
            raise OptionError(
                f'KeypointCompleter: {type(self.network).__name__} takes no poses with holes; '
                f"set network=dict(type='MPMStage1', ...) and weights of stage I"
            )

    @torch.no_grad()
    def fill(self, sequence: Sequence) -> tuple[Tensor, Tensor]:
        """Fills in the missing keypoints whose joints the network has, in frames whose windows show a joint.

        Returns:
            (F, K, 2) px in the sequence's own skeleton, visible points unchanged to the bit, and (F, K) bool, whether
            a point was filled in.
        """
        keypoints = sequence.keypoints2d
        pose, visible, mapping = self.map_keypoints(keypoints)
        pose, known = self.complete(sequence, pose, visible)
        device = keypoints.xy.device
        pose = pose.to(keypoints.xy)
        known = known.to(device)
        points = mapping.points.to(device)
        joints = mapping.joints.to(device)
        missing = ~keypoints.visible(self.threshold)
        filled = torch.zeros_like(keypoints.confidence, dtype=torch.bool)
        filled[:, points] = missing[:, points] & known[:, joints]
        xy = keypoints.xy.clone()
        xy[:, points] = torch.where(filled[:, points, None], pose[:, joints], xy[:, points])
        return xy, filled

    def complete(self, sequence: Sequence, pose: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Fills in the missing joints of a pose.

        Args:
            sequence: for its frame rate and the size of its images.
            pose: (N, J, 2) px.
            visible: (N, J) bool.

        Returns:
            (N, J, 2) px and (N, J) bool, whether a joint is visible or filled in.
        """
        if visible.all():
            return pose, visible
        reconstruction = self.average_windows(sequence, pose, visible, '2d')
        if self.anchor:
            length_scale = self.anchor * self.frame_step(sequence)
            reconstruction = anchored(reconstruction, pose, visible, length_scale)
        known = visible | reconstruction.isfinite().all(-1)
        return torch.where(visible[..., None], pose, reconstruction.nan_to_num()), known


@LIFTERS.register_module()
class SequenceLifter(Windowed):
    """Lifts the keypoints of any sequence to 3D.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage2`, or of :class:`~hrtk.models.lifting.MPMStage1`,
            which lifts poses with holes. With ``weights``.
        completer: config of an ``MPMStage1`` that fills in missing joints for stage II, which needs every joint; it
            has the same other options as the lifter.
        threshold, fps, flip, placement, skeleton: as of :class:`KeypointCompleter`.
        hop: as there; with 1, stage II predicts the middle frame of every window with the decoder that strides to it,
            as published, otherwise all frames of a window.

    Raises:
        InputError: an option has an unknown value.
    """

    def __init__(
        self,
        network: dict,
        completer: Optional[dict] = None,
        threshold: float = 0.0,
        fps: Optional[float] = None,
        hop: Optional[int] = None,
        flip: bool = True,
        placement: str = 'person',
        skeleton: Optional[str] = None,
    ) -> None:
        super().__init__(network, threshold, fps, hop, flip, placement, skeleton)
        self.completer: Optional[KeypointCompleter] = None
        if completer is not None:
            self.completer = KeypointCompleter(
                completer, threshold, fps, None, flip, placement, self.skeleton
            )

    @torch.no_grad()
    def lift(self, sequence: Sequence) -> Tensor:
        """3D joints of every frame, in the order of ``skeleton``.

        Returns:
            (F, J, 3) metres from the root (the pelvis, whose row is zero), camera axes: x right, y down, z away. With
            ``placement='person'`` camera and body height are those of training. NaN for frames whose windows show no
            joint.

        Raises:
            InputError: joints are missing for stage II and there is no completer.
        """
        pose, visible, _ = self.map_keypoints(sequence.keypoints2d)
        known = torch.ones_like(visible[:, 0])
        if isinstance(self.network, MPMStage2):
            pose, known = self._complete_poses(sequence, pose, visible)
            visible = torch.ones_like(visible)
        joints = self.average_windows(sequence, pose, visible, '3d')
        joints[~known] = torch.nan
        joints[:, self.root] *= 0
        return joints

    def _complete_poses(
        self, sequence: Sequence, pose: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns poses (N, J, 2) px without holes, and (N,) bool, whether a pose is known.

        An unknown pose is replaced by the nearest known one.
        """
        missing = int((~visible).sum())
        if missing:
            if self.completer is None:
                raise InputError(
                    f'{sequence.name}: {missing} of the {visible.numel()} joints that MPMStage2 needs are not '
                    f'among its {sequence.keypoints2d.skeleton} keypoints, or too uncertain; set '
                    f"completer=dict(type='MPMStage1', ...) to have them filled in"
                )
            pose, visible = self.completer.complete(sequence, pose, visible)
        known = visible.all(1)
        known_frames = known.nonzero()[:, 0]
        if len(known_frames) in (0, len(known)):
            return pose, known
        distance = torch.arange(len(known), device=pose.device)[:, None] - known_frames
        return pose[known_frames[distance.abs().argmin(1)]], known

    def _weights(self, like: Tensor) -> Tensor:
        if self.hop > 1 or isinstance(self.network, MPMStage1):
            return super()._weights(like)
        return torch.eye(self.network.frames)[self.network.frames // 2].to(like)

    def _call(self, poses: Tensor, visible: Tensor, target: str) -> Tensor:
        if isinstance(self.network, MPMStage1):
            return super()._call(poses, visible, target)
        lifted = self.network(poses)
        if self.hop > 1:
            return lifted['joints3d_seq']
        return lifted['joints3d'].expand_as(lifted['joints3d_seq'])


def anchored(reconstruction: Tensor, pose: Tensor, visible: Tensor, length_scale: float) -> Tensor:
    """Corrects reconstructions by their expected error, from their errors where the joint is visible.

    Gaussian process regression of every coordinate's error over time (Rasmussen and Williams, 2006, Eq. 2.25): a
    Matern covariance of smoothness 3/2, and :data:`NOISE` for the errors of single frames. Between two frames with the
    joint visible both errors count; in the middle of a long gap the reconstruction is unchanged.

    Args:
        reconstruction: (N, J, 2) of all frames; NaN stays.
        pose: (N, J, 2) the visible joints.
        visible: (N, J) bool.
        length_scale: of the covariance, frames; frames more than six of them apart are independent.
    """
    length = len(reconstruction)
    known = (visible & reconstruction.isfinite().all(-1)).T
    error = (pose - reconstruction).transpose(0, 1)
    error = torch.where(known[..., None], error, 0.0).double()
    corrected = reconstruction.clone()
    margin = math.ceil(6 * length_scale)
    for start in range(0, length, BLOCK):
        end = min(length, start + BLOCK)
        first = max(0, start - margin)
        last = min(length, start + BLOCK + margin)
        covariance = _matern(first, last, length_scale, reconstruction.device)
        # A frame without the joint has infinite noise, so that one solver serves all joints.
        known_block = known[:, first:last]
        both = known_block[..., None] & known_block[:, None]
        noise = torch.diag_embed(torch.where(known_block, NOISE, 1.0))
        system = torch.where(both, covariance, 0.0) + noise
        expected = covariance @ torch.linalg.solve(system, error[:, first:last])
        inner = expected[:, start - first : end - first]
        corrected[start:end] += inner.transpose(0, 1).to(reconstruction)
    return corrected


def _matern(first: int, last: int, length_scale: float, device: torch.device) -> Tensor:
    """Returns the float64 Matern covariance of smoothness 3/2 between the frames ``first`` to ``last - 1``."""
    frames = torch.arange(first, last, device=device, dtype=torch.float64)
    distance = math.sqrt(3) / length_scale * (frames[:, None] - frames).abs()
    return (1 + distance) * torch.exp(-distance)
