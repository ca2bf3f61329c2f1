"""The three things that flow through hrtk: a sequence in, predictions out, ground truth beside them.

Everything here is a plain dataclass of tensors; this module imports nothing of hrtk.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Protocol
from typing import Sequence as SequenceOf

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError

__all__ = ['Frames', 'GroundTruth', 'InputError', 'Keypoints2D', 'Prediction', 'Sequence']


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What an estimator says about B crops.

    Attributes:
        rotmat: (B, 24, 3, 3) rotation matrices; joint 0 is ``global_orient`` in the camera frame (x right, y down,
            z away from the viewer), joints 1..23 are ``body_pose``, each relative to its parent.
        betas: (B, 10) shape coefficients, in standard deviations.
        camera: (B, 3) weak-perspective camera ``[s, tx, ty]`` of the crop, see :mod:`hrtk.geometry.camera`.
        features: (B, F) pooled image features, or None.
        hidden: (B, H) output of the regressor's first layer in its last iteration, without a graph, or None.
    """

    rotmat: Tensor
    betas: Tensor
    camera: Tensor
    features: Optional[Tensor] = None
    hidden: Optional[Tensor] = None

    def __len__(self) -> int:
        return len(self.rotmat)

    def __getitem__(self, index: slice | Tensor) -> Prediction:
        return self._map(lambda x: x[index])

    def detach(self) -> Prediction:
        """The same values without the graph."""
        return self._map(Tensor.detach)

    def cpu(self) -> Prediction:
        """The same values in host memory."""
        return self._map(Tensor.cpu)

    @staticmethod
    def cat(parts: SequenceOf[Prediction]) -> Prediction:
        """Joins predictions along the batch axis; an optional field is kept only if every part has it."""
        fields = {}
        for field in dataclasses.fields(Prediction):
            values = [getattr(part, field.name) for part in parts]
            fields[field.name] = None if any(v is None for v in values) else torch.cat(values)
        return Prediction(**fields)

    def _map(self, function) -> Prediction:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Prediction(**{k: None if v is None else function(v) for k, v in values.items()})


@dataclasses.dataclass(frozen=True)
class Keypoints2D:
    """2D keypoints of every frame of a sequence, in pixels of the source image.

    Attributes:
        xy: (F, K, 2) float32 positions; the centre of the top-left pixel is (0, 0).
        confidence: (F, K) float32 in [0, 1]; 0 marks a point that is not there.
        skeleton: name of the joint list, see :mod:`hrtk.body_models.skeletons`.
        source: who made them, printed beside every result: ``'gt'``, ``'annotated'``, ``'openpose'``,
            ``'noise:detector'``, ...
    """

    xy: Tensor
    confidence: Tensor
    skeleton: str
    source: str

    def seen(self, threshold: float = 0.0) -> Tensor:
        """(F, K) bool: points with a place and with more than the threshold's confidence."""
        return (self.confidence > threshold) & self.xy.isfinite().all(-1)


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """What is really there; any field may be missing.

    Attributes:
        rotmat: (F, 24, 3, 3) as in :class:`Prediction`.
        betas: (F, 10).
        translation: (F, 3) metres, from the body's own frame to the camera's.
        intrinsics: (F, 3) pinhole camera ``[focal, cx, cy]`` of the source image, px.
        joints3d: (F, J, 3) metres, camera frame, for data sets that give joints and no body.
        skeleton: joint list of ``joints3d``.
        valid: (F,) bool, frames that a protocol may score; None means all.
        gender: ``'neutral'``, ``'male'`` or ``'female'``: which body file ``betas`` belong to.
    """

    rotmat: Optional[Tensor] = None
    betas: Optional[Tensor] = None
    translation: Optional[Tensor] = None
    intrinsics: Optional[Tensor] = None
    joints3d: Optional[Tensor] = None
    skeleton: Optional[str] = None
    valid: Optional[Tensor] = None
    gender: str = 'neutral'

    def clip(self, part: slice) -> GroundTruth:
        """The truth of some frames."""
        clipped: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                clipped[field.name] = value[part]
        return dataclasses.replace(self, **clipped)


class Frames(Protocol):
    """Lazy images: ``len(frames)`` and ``frames[t]`` -> (H, W, 3) uint8 RGB. Reading may raise ``InputError``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Sequence:
    """One person's track in one clip: what a data set yields and an adapter works on.

    Attributes:
        name: unique in its data set; results are stored and random numbers are seeded under it.
        frames: F lazy images.
        boxes: (F, 3) float32 square crop boxes ``[cx, cy, side]`` in pixels.
        keypoints2d: the 2D evidence, with its source.
        truth: ground truth, or None.
        masks: F lazy (H, W) uint8 foreground masks (0 or 1), or None.
        frame_ids: F labels, e.g. file names; default ``'000000'``, ``'000001'``, ...
        fps: frames per second, for videos that are written.
        masks_source: who made the masks: ``'files'``, ``'background:median'``, ...; ``''``: the data set itself.
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

    def __post_init__(self) -> None:
        if not self.frame_ids:
            object.__setattr__(
                self, 'frame_ids', tuple(f'{t:06d}' for t in range(len(self.frames)))
            )

    def __len__(self) -> int:
        return len(self.frames)

    def clip(self, start: int, stop: int) -> Sequence:
        """Frames ``start`` to ``stop - 1`` as a sequence of the same name; images are still read lazily."""
        part = slice(start, stop)
        frames = range(start, stop)
        keypoints2d = dataclasses.replace(
            self.keypoints2d,
            xy=self.keypoints2d.xy[part],
            confidence=self.keypoints2d.confidence[part],
        )
        truth = None
        if self.truth is not None:
            truth = self.truth.clip(part)
        masks = None
        if self.masks is not None:
            masks = _FrameSelection(self.masks, frames)
        return dataclasses.replace(
            self,
            frames=_FrameSelection(self.frames, frames),
            boxes=self.boxes[part],
            keypoints2d=keypoints2d,
            truth=truth,
            masks=masks,
            frame_ids=self.frame_ids[part],
        )


class _FrameSelection:
    """Some of the frames of a sequence."""

    def __init__(self, frames: Frames, selected: range) -> None:
        self.frames = frames
        self.selected = selected

    def __len__(self) -> int:
        return len(self.selected)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.frames[self.selected[index]]
