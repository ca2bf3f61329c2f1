"""The data types of hrtk: sequences as input, predictions as output, and ground truth.

All of them are dataclasses of tensors. Of hrtk, this module imports only the error class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Optional, Protocol
from typing import Sequence as SequenceOf

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError

__all__ = [
    'Frames',
    'GroundTruth',
    'InputError',
    'Keypoints2D',
    'Landmarks',
    'Prediction',
    'Sequence',
]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """An estimator's predictions for B crops.

    Attributes:
        rotmat: (B, 24, 3, 3) rotation matrices; joint 0 is ``global_orient`` in the camera frame (x right, y down,
            z away from the viewer), joints 1..23 are ``body_pose``, each relative to its parent.
        betas: (B, 10) shape coefficients, in standard deviations.
        camera: (B, 3) weak-perspective camera ``[s, tx, ty]`` of the crop, see :mod:`hrtk.geometry.camera`.
        features: (B, F) pooled image features, or None.
        hidden: (B, H) output of the regressor's first layer in its last iteration, without a graph, or None.
        joint_spread: (B, 24) expected distance of the joints of ``spin24`` from the true ones, about the hips, metres,
            by the estimator's own judgement; or None.
        latent: (B, L) latents of the estimator's own pose prior, of which ``body_pose`` was decoded; or None.
        adapted_share: (B,) how far :class:`~hrtk.adapters.DoNoHarm` went from the frozen prediction, 0, to the adapted
            one, 1; or None.
    """

    rotmat: Tensor
    betas: Tensor
    camera: Tensor
    features: Optional[Tensor] = None
    hidden: Optional[Tensor] = None
    joint_spread: Optional[Tensor] = None
    latent: Optional[Tensor] = None
    adapted_share: Optional[Tensor] = None

    def __len__(self) -> int:
        return len(self.rotmat)

    def __getitem__(self, index: slice | Tensor) -> Prediction:
        return self._map(lambda x: x[index])

    def detach(self) -> Prediction:
        """Returns the same values without the graph."""
        return self._map(Tensor.detach)

    def cpu(self) -> Prediction:
        """Returns the same values in host memory."""
        return self._map(Tensor.cpu)

    @staticmethod
    def cat(predictions: SequenceOf[Prediction]) -> Prediction:
        """Concatenates predictions along the batch axis; an optional field is None unless all predictions have it."""
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(Prediction):
            values = [getattr(prediction, field.name) for prediction in predictions]
            if all(value is not None for value in values):
                fields[field.name] = torch.cat(values)
        return Prediction(**fields)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Prediction:
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                fields[field.name] = function(value)
        return Prediction(**fields)


@dataclasses.dataclass(frozen=True)
class Keypoints2D:
    """2D keypoints of every frame of a sequence, in pixels of the source image.

    Attributes:
        xy: (F, K, 2) float32 positions; the centre of the top-left pixel is (0, 0).
        confidence: (F, K) float32 in [0, 1]; 0 marks a missing point.
        skeleton: name of the joint list, see :mod:`hrtk.body_models.skeletons`.
        source: origin of the keypoints, printed with every result: ``'gt'``, ``'annotated'``, ``'openpose'``,
            ``'noise:detector'``, ...
    """

    xy: Tensor
    confidence: Tensor
    skeleton: str
    source: str

    def visible(self, threshold: float = 0.0) -> Tensor:
        """(F, K) bool: points with a finite position and a confidence above the threshold."""
        return (self.confidence > threshold) & self.xy.isfinite().all(-1)


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """3D landmarks of the person in every frame of a sequence, as BlazePose finds them, skeleton ``blazepose33``.

    Attributes:
        xyz: (F, 33, 3) float32 x and y in px of the source image; z is the depth relative to the middle of the hips in
            the same unit, negative towards the camera.
        world: (F, 33, 3) float32 metres about the middle of the hips, in the axes of the image: x right, y down,
            z away.
        visibility: (F, 33) float32 probability that a landmark is in the image and not hidden.
        valid: (F,) bool: whether the person was found; the other values of a frame without a person are zero.
    """

    xyz: Tensor
    world: Tensor
    visibility: Tensor
    valid: Tensor

    def part(self, frames: slice) -> Landmarks:
        """Returns the landmarks of a slice of the frames."""
        return Landmarks(
            self.xyz[frames], self.world[frames], self.visibility[frames], self.valid[frames]
        )


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """Ground truth of F frames; any field may be missing.

    Attributes:
        rotmat: (F, 24, 3, 3) as in :class:`Prediction`.
        betas: (F, 10).
        translation: (F, 3) metres, from the body frame to the camera frame.
        intrinsics: (F, 3) pinhole camera ``[focal, cx, cy]`` of the source image, px.
        joints3d: (F, J, 3) metres, camera frame, for data sets with joints but without a body.
        joints2d: (F, J, 2) px of the source image, ``joints3d`` as the true camera with its lens sees them.
        skeleton: joint list of ``joints3d`` and ``joints2d``.
        valid: (F,) bool, frames that a protocol may evaluate; None means all.
        gender: ``'neutral'``, ``'male'`` or ``'female'``: the body file of ``betas``.
    """

    rotmat: Optional[Tensor] = None
    betas: Optional[Tensor] = None
    translation: Optional[Tensor] = None
    intrinsics: Optional[Tensor] = None
    joints3d: Optional[Tensor] = None
    joints2d: Optional[Tensor] = None
    skeleton: Optional[str] = None
    valid: Optional[Tensor] = None
    gender: str = 'neutral'

    def part(self, frames: slice) -> GroundTruth:
        """Returns the ground truth of a slice of the frames."""
        tensors: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                tensors[field.name] = value[frames]
        return dataclasses.replace(self, **tensors)


class Frames(Protocol):
    """Lazy images: ``len(frames)`` and ``frames[t]`` -> (H, W, 3) uint8 RGB. Reading may raise ``InputError``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


@dataclasses.dataclass(
    frozen=True, eq=False
)  # compared by identity: its tensors have no single truth value
class Sequence:
    """One person's track in one clip: an item of a data set and the input of an adapter.

    Attributes:
        name: unique in its data set; determines the file of the result and the seed of random numbers.
        frames: F lazy images.
        boxes: (F, 3) float32 square crop boxes ``[cx, cy, side]`` in pixels.
        keypoints2d: 2D keypoints with their source.
        truth: ground truth, or None.
        masks: F lazy (H, W) uint8 foreground masks (0 or 1), or None.
        frame_ids: F labels, e.g. file names; default ``'000000'``, ``'000001'``, ...
        fps: frames per second of the videos that are written; of frames at uneven times the mean.
        masks_source: origin of the masks: ``'files'``, ``'background:median'``, ...; ``''``: the data set itself.
        focal: focal length of the camera of all frames, px of the source image; None if it is unknown. It places bodies
            in the camera frame of the image (exports, reports, viewer); predictions do not depend on it.
        landmarks: 3D landmarks that a tracker found together with the keypoints, or None.
        times: (F,) float64 rising seconds since the first frame of the clip, as the video has them; None if frame t is
            at ``t / fps``.
    """

    name: str
    frames: Frames
    boxes: Tensor
    keypoints2d: Keypoints2D
    truth: Optional[GroundTruth] = None
    masks: Optional[Frames] = None
    frame_ids: tuple[str, ...] = ()
    fps: float = 25.0
    masks_source: str = ''
    focal: Optional[float] = None
    landmarks: Optional[Landmarks] = None
    times: Optional[Tensor] = None

    def __post_init__(self) -> None:
        if not self.frame_ids:
            frame_ids = tuple(f'{t:06d}' for t in range(len(self.frames)))
            object.__setattr__(self, 'frame_ids', frame_ids)

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, start: int, stop: int) -> Sequence:
        """Returns frames ``start`` to ``stop - 1`` as a sequence of the same name; images are still read lazily."""
        frames = slice(start, stop)
        indices = range(start, stop)
        keypoints2d = dataclasses.replace(
            self.keypoints2d,
            xy=self.keypoints2d.xy[frames],
            confidence=self.keypoints2d.confidence[frames],
        )
        truth = None
        if self.truth is not None:
            truth = self.truth.part(frames)
        masks = None
        if self.masks is not None:
            masks = _FrameSelection(self.masks, indices)
        landmarks = None
        if self.landmarks is not None:
            landmarks = self.landmarks.part(frames)
        times = None
        if self.times is not None:
            times = self.times[frames]
        return dataclasses.replace(
            self,
            frames=_FrameSelection(self.frames, indices),
            boxes=self.boxes[frames],
            keypoints2d=keypoints2d,
            truth=truth,
            masks=masks,
            landmarks=landmarks,
            frame_ids=self.frame_ids[frames],
            times=times,
        )


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most ``most`` indices below ``count``, evenly spaced, first and last included."""
    if count == 0:
        return []
    indices = np.linspace(0, count - 1, min(count, most))
    return sorted({round(float(index)) for index in indices})


class _FrameSelection:
    """Some of the frames of a sequence."""

    def __init__(self, frames: Frames, selected: range) -> None:
        self.frames = frames
        self.selected = selected

    def __len__(self) -> int:
        return len(self.selected)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.frames[self.selected[index]]
