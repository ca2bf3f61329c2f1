"""2D keypoints by rtmlib, an optional package that runs RTMPose (https://github.com/Tau-J/rtmlib, Apache-2.0)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np

from hrtk.detectors.base import Detector
from hrtk.errors import InputError, OptionError, suggestion
from hrtk.reading.hashes import sha256
from hrtk.registry import DETECTORS

MODES = ('lightweight', 'balanced', 'performance')
# Sides of the square inputs of YOLOX by the size in its name, px (https://github.com/Megvii-BaseDetection/YOLOX).
YOLOX_SIDES = {'nano': 416, 'tiny': 416, 's': 640, 'm': 640, 'l': 640, 'x': 640}
Size = tuple[int, int]  # (width, height), px


@DETECTORS.register_module()
class RTMLib(Detector):
    """rtmlib's ``Body``: YOLOX detects people, RTMPose their 17 COCO keypoints.

    Args:
        mode: of :data:`MODES`; the size of rtmlib's networks.
        device: ``'cpu'``, ``'cuda'`` or ``'mps'``; ``'cuda'`` needs the package onnxruntime-gpu.
        detector: a local .onnx of YOLOX; None uses the one of the mode, which rtmlib downloads.
        pose: a local .onnx of RTMPose, likewise.
        detector_size: (width, height) in px of the input of the local ``detector``; None takes it from the file, else
            from its name.
        pose_size: of the local ``pose``, likewise.

    Raises:
        InputError: rtmlib is not installed, the mode is unknown, the download of the weights failed, or nothing tells
            the input size of a local network.
    """

    skeleton = 'coco17'
    option = 'mode'

    def __init__(
        self,
        mode: str = 'balanced',
        device: str = 'cpu',
        detector: Optional[str] = None,
        pose: Optional[str] = None,
        detector_size: Optional[Size] = None,
        pose_size: Optional[Size] = None,
    ) -> None:
        if mode not in MODES:
            raise OptionError(f'RTMLib: there is no mode {mode!r}. {suggestion(mode, MODES)}')
        try:
            from rtmlib import Body
        except ImportError as error:
            raise OptionError(
                'RTMLib: the package rtmlib is not installed. Give the keypoints of another program (`hrtk infer '
                '--keypoints FILE`), take blazepose, or `pip install "hrtk[pose2d]"`; rtmlib downloads its weights at '
                f'its first use ({error})'
            ) from error
        options: dict[str, Any] = {}
        # Body takes the sizes of its mode for networks that it downloads, and one size for all local ones.
        if detector is not None:
            options['det_input_size'] = input_size(detector, 'detector', detector_size)
        if pose is not None:
            options['pose_input_size'] = input_size(pose, 'pose', pose_size)
        try:
            self._body = Body(
                mode=mode, backend='onnxruntime', device=device, det=detector, pose=pose, **options
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


def input_size(file: str, option: str, given: Optional[Size] = None) -> Size:
    """The (width, height) in px of the input of a local network.

    It is the given one, or what the network says of its input (batch, 3, height, width), or follows from the names of
    the file and its folder: RTMPose's has ``256x192``, height and width, YOLOX's its size, ``yolox_m``.

    Args:
        file: the .onnx.
        option: ``'detector'`` or ``'pose'``, for the message.
        given: by the user.

    Raises:
        InputError: nothing of this is there, or the given size is no pair of positive numbers.
    """
    if given is not None:
        if len(given) != 2 or not all(isinstance(side, int) and side > 0 for side in given):
            raise OptionError(f'RTMLib: {option}_size must be (width, height) in px, not {given!r}')
        return given[0], given[1]
    size = _size_in_file(file) or _size_in_name(file)
    if size is None:
        raise InputError(
            f'{file}: neither the network nor its name tells the size of its input; give {option}_size=(width, height) '
            f'in px'
        )
    return size


def _size_in_file(file: str) -> Optional[Size]:
    """What onnxruntime says; None without it, for a file that it cannot read, and for inputs of any size."""
    try:
        import onnxruntime
    except ImportError:
        return None
    try:
        session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
        shape = session.get_inputs()[0].shape
    except Exception:  # onnxruntime has many kinds of errors; loading the network reports them
        return None
    if len(shape) != 4 or not all(isinstance(side, int) and side > 0 for side in shape[2:]):
        return None
    return shape[3], shape[2]


def _size_in_name(file: str) -> Optional[Size]:
    name = '/'.join(Path(file).parts[-2:]).lower()
    sides = re.findall(r'(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)', name)
    if sides:
        height, width = sides[-1]
        return int(width), int(height)
    yolox = re.search(r'yolox[_-](nano|tiny|[smlx])(?![a-z])', name)
    if yolox is None:
        return None
    side = YOLOX_SIDES[yolox[1]]
    return side, side
