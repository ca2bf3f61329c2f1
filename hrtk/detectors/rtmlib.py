"""2D keypoints by rtmlib, an optional package that runs RTMPose (https://github.com/Tau-J/rtmlib, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import cv2
import numpy as np

from hrtk.detectors.base import Detector
from hrtk.errors import InputError, suggestion
from hrtk.files import sha256
from hrtk.registry import DETECTORS

MODES = ('lightweight', 'balanced', 'performance')


@DETECTORS.register_module()
class RTMLib(Detector):
    """rtmlib's ``Body``: YOLOX detects people, RTMPose their 17 COCO keypoints.

    Args:
        mode: of :data:`MODES`; the size of rtmlib's networks.
        device: ``'cpu'``, ``'cuda'`` or ``'mps'``; ``'cuda'`` needs the package onnxruntime-gpu.
        detector: a local .onnx of YOLOX; None uses the one of the mode, which rtmlib downloads.
        pose: a local .onnx of RTMPose, likewise.

    Raises:
        InputError: rtmlib is not installed, the mode is unknown, or the download of the weights failed.
    """

    skeleton = 'coco17'
    option = 'mode'

    def __init__(
        self,
        mode: str = 'balanced',
        device: str = 'cpu',
        detector: Optional[str] = None,
        pose: Optional[str] = None,
    ) -> None:
        if mode not in MODES:
            raise InputError(f'RTMLib: there is no mode {mode!r}. {suggestion(mode, MODES)}')
        try:
            from rtmlib import Body
        except ImportError as error:
            raise InputError(
                '2D keypoints are needed. Either give --keypoints a file of COCO, OpenPose, AlphaPose or '
                'rtmlib, or `pip install "hrtk[pose2d]"` to detect them with rtmlib, which downloads its '
                f'weights at its first use ({error})'
            ) from error
        try:
            self._body = Body(
                mode=mode, backend='onnxruntime', device=device, det=detector, pose=pose
            )
        except OSError as error:  # urllib's errors are OSErrors
            raise InputError(
                f'rtmlib could not get its weights ({error}). Try again with a connection, or give '
                f'--keypoints a file'
            ) from error
        self.source = f'rtmlib:{mode}'
        self._files = {'detector': detector, 'pose': pose}

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self._detect(image) for image in images]

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the local .onnx files."""
        return {name: sha256(file) for name, file in self._files.items() if file is not None}

    def _detect(self, image: np.ndarray) -> np.ndarray:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        boxes = self._body.det_model(bgr)
        if len(boxes) == 0:  # rtmlib's own call would take the whole image for a person
            return np.empty((0, 17, 3), np.float32)
        keypoints, scores = self._body.pose_model(bgr, bboxes=boxes)
        points = np.concatenate([keypoints, np.asarray(scores)[..., None]], axis=-1)
        return points.astype(np.float32)
