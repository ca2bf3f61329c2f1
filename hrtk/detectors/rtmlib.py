"""2D keypoints by rtmlib, an optional package that runs RTMPose (https://github.com/Tau-J/rtmlib, Apache-2.0)."""

from __future__ import annotations

from typing import Optional, Protocol

import cv2
import numpy as np

from hrtk.errors import InputError

MODES = ('lightweight', 'balanced', 'performance')
NEITHER = (
    '2D keypoints are needed. Either give --keypoints a file of COCO, OpenPose, AlphaPose or rtmlib, or '
    '`pip install "hrtk[pose2d]"` to have rtmlib find them; it downloads its weights when it is first used'
)


class Detector(Protocol):
    """Anything that finds people in a picture.

    Attributes:
        source: who makes the keypoints, printed beside every result.
        skeleton: joint list of the K points.
    """

    source: str
    skeleton: str

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (N, K, 3) x, y in px and confidence of N people; N may be 0."""


class RTMLib:
    """rtmlib's ``Body``: YOLOX finds people, RTMPose their 17 COCO keypoints.

    Args:
        mode: of :data:`MODES`; which of rtmlib's networks.
        device: ``'cpu'``, ``'cuda'`` or ``'mps'``; ``'cuda'`` needs the package onnxruntime-gpu.
        detector: an .onnx of YOLOX on this machine; None lets rtmlib download the mode's.
        pose: an .onnx of RTMPose, likewise.

    Raises:
        InputError: rtmlib is not installed, the mode is unknown, or weights could not be had.
    """

    skeleton = 'coco17'

    def __init__(
        self,
        mode: str = 'balanced',
        device: str = 'cpu',
        detector: Optional[str] = None,
        pose: Optional[str] = None,
    ) -> None:
        if mode not in MODES:
            raise InputError(f'pose2d is one of {", ".join(MODES)}, not {mode!r}')
        try:
            from rtmlib import Body
        except ImportError as error:
            raise InputError(f'{NEITHER} ({error})') from error
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

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (N, 17, 3)."""
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        boxes = self._body.det_model(bgr)
        if len(boxes) == 0:  # rtmlib's own call would take the whole picture for a person
            return np.empty((0, 17, 3), np.float32)
        keypoints, scores = self._body.pose_model(bgr, bboxes=boxes)
        return np.concatenate([keypoints, np.asarray(scores)[..., None]], axis=-1).astype(
            np.float32
        )
