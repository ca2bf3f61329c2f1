"""LandmarkHMR: the landmarks of BlazePose, lifted to body pose, shape and camera."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.geometry.camera import fit_weak_perspective
from hrtk.geometry.rotation import rot6d_to_rotmat
from hrtk.geometry.uploads import upload
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators.base import ImageEstimator, hash_tensors
from hrtk.models.landmarks import (
    CHANNELS,
    LANDMARKS,
    WINDOW,
    LandmarkLifter,
    fill_gaps,
    frames_near,
    observe,
    observed_keypoints,
)
from hrtk.models.landmarks.reader import LandmarkReader
from hrtk.registry import ESTIMATORS
from hrtk.structures import Landmarks, Prediction, Sequence

JOINTS = 'coco17'  # on which the camera is fitted
RESOLUTION = 256  # of BlazePose's crops
SMALLEST_SCALE = 0.05  # of a camera


@ESTIMATORS.register_module()
class LandmarkHMR(ImageEstimator):
    """Bodies from the landmarks of BlazePose in a short window of time.

    The crop of a frame is its observation (9, 33, 6), see :mod:`hrtk.models.landmarks.observations`: the landmarks of
    the frame and of moments up to 0.27 s before and after it. A sequence with
    :attr:`~hrtk.structures.Sequence.landmarks` of any frame gives them; for others BlazePose looks at the frames,
    guided by the 2D keypoints. BlazePose is frozen and is not a part of the weights, so adapters change the lifter. The
    camera is the least-squares one for the observed 2D points: 2D losses change pose and shape alone. Predictions have
    a :attr:`~hrtk.structures.Prediction.joint_spread`.

    Args:
        lifter: options of the :class:`~hrtk.models.landmarks.LandmarkLifter`.
        blazepose: weights of BlazePose.
        passes: how often BlazePose looks at a frame, see :class:`~hrtk.models.landmarks.reader.LandmarkReader`.
        body: config of the body model.
        weights: ``'open:lifter'``, a path to a checkpoint, or None for random ones.

    Raises:
        InputError: the weights are missing, unreadable or those of another network.
    """

    def __init__(
        self,
        lifter: Optional[dict[str, Any]] = None,
        blazepose: str = 'open:blazepose',
        passes: int = 2,
        body: dict = dict(type='BodyModel'),
        weights: Optional[str] = None,
    ) -> None:
        super().__init__(RESOLUTION, body)
        self.lifter = LandmarkLifter(**(lifter or {}))
        self.blazepose = blazepose
        self.passes = passes
        self._reader: Optional[LandmarkReader] = None
        if weights is not None:
            load_weights(self, weights)

    def forward(self, images: Tensor) -> Prediction:
        """(B, 9, 33, 6) observations -> B predictions, features included."""
        pose, betas, log_spread, features = self.lifter(images)
        rotmat = rot6d_to_rotmat(pose.unflatten(1, (24, 6)))
        joints = self.required_body.joints(rotmat, betas, JOINTS)
        xy, _ = observed_keypoints(images, JOINTS)
        camera = fit_weak_perspective(joints, xy)
        scale = camera[:, :1].clamp_min(SMALLEST_SCALE)
        camera = torch.cat([scale, camera[:, 1:]], dim=1)
        return Prediction(
            rotmat, betas, camera, features, features.detach(), joint_spread=log_spread.exp()
        )

    def crops(self, sequence: Sequence, indices: Iterable[int]) -> Tensor:
        """Observes frames of a sequence.

        Args:
            sequence: the frames, their boxes and keypoints, perhaps their landmarks.
            indices: B frame indices.

        Returns:
            (B, 9, 33, 6) on the estimator's device.

        Raises:
            InputError: a frame cannot be read.
        """
        frames = list(indices)
        landmarks = self._landmarks(sequence, frames)
        observations = observe(landmarks, sequence.boxes, frames, sequence.fps)
        return upload(observations, self.device)

    def normalise(self, crops: Tensor) -> Tensor:
        """Returns observations as they are."""
        return crops

    def denormalise(self, crops: Tensor) -> Tensor:
        """Returns observations as they are."""
        return crops

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(9, 33, 6)."""
        return WINDOW, LANDMARKS, CHANNELS

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of everything besides the images that the predictions depend on."""
        network = self.reader.network
        hashes = {
            'blazepose': f'{hash_tensors(network.state_dict())}, {self.passes} looks and a mirrored one'
        }
        return {**super().fingerprint(), **hashes}

    @property
    def reader(self) -> LandmarkReader:
        """BlazePose, loaded at the first use."""
        if self._reader is None:
            self._reader = LandmarkReader(self.blazepose, self.passes)
        return self._reader

    def _landmarks(self, sequence: Sequence, frames: list[int]) -> Landmarks:
        # A part of a sequence, e.g. the single frame of an adapter that forgets every frame, may lie in a gap.
        if sequence.landmarks is not None and bool(sequence.landmarks.valid.any()):
            return fill_gaps(sequence.landmarks)
        needed: set[int] = set()
        for frame in frames:
            needed.update(frames_near([frame], len(sequence), sequence.fps))
        network = self.reader.network
        # `to` visits all weights, 1.6 ms, even if none has to move.
        if network.device != self.device:
            network.to(self.device)
        return self.reader.landmarks(sequence, sorted(needed))
