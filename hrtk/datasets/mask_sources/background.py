"""Foreground masks by background subtraction, for static cameras."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Optional

import cv2
import numpy as np

from hrtk.datasets.mask_sources.base import LazyMasks, MaskSource
from hrtk.datasets.mask_sources.cleaning import (
    clean_mask,
    components_of_box,
    foreground,
    snap_to_edges,
)
from hrtk.datasets.mask_sources.plate import clean_plate, same_view
from hrtk.errors import OptionError
from hrtk.registry import MASK_SOURCES
from hrtk.structures import Frames, Sequence

THRESHOLDS = {'median': 16.0, 'mog2': 16.0, 'knn': 400.0}
MIN_IMAGES = 3  # of one camera: with two, either of them could show the background
OPENCV_FOREGROUND = 255  # OpenCV's label of the foreground; shadows are 127
Segmenter = Callable[[np.ndarray], np.ndarray]  # (H, W, 3) uint8 -> (H, W) bool raw foreground
_log = logging.getLogger(__name__)


@MASK_SOURCES.register_module()
class BackgroundSubtraction(MaskSource):
    """The pixels of the person's box that differ from the empty scene of a static camera, cleaned.

    Frames are grouped by camera first, by their edges outside the boxes, so one sequence may mix images of several
    cameras. A frame whose camera shows fewer than three of the sampled frames gets an empty mask, which adapters skip
    and count. Soft shadows are background. The method fails on a panning camera and on a person who never moves, and
    does not separate two people who touch.

    Args:
        method: ``'median'``, a plate by :func:`~hrtk.datasets.mask_sources.plate.clean_plate`, good from five images
            of different poses on; ``'mog2'`` or ``'knn'``, OpenCV's models (Zivkovic 2004; Zivkovic and van der Heijden
            2006), for videos in which people walk on and the light flickers.
        threshold: difference that makes foreground. ``'median'``: grey levels, default 16, and 2.5 times as much
            somewhere in every region; else a squared distance in standard deviations (``'mog2'``, default 16) or grey
            levels (``'knn'``, default 400).
        frames: largest number of frames that the background is estimated from, evenly spread over the sequence.
        sharpen: move borders to the edges of the image; turn it off for images without edges, such as thermal ones.

    Raises:
        InputError: the method is unknown, or a number is too small.
    """

    def __init__(
        self,
        method: str = 'median',
        threshold: Optional[float] = None,
        frames: int = 40,
        sharpen: bool = True,
    ) -> None:
        super().__init__(f'background:{method}')
        if method not in THRESHOLDS:
            raise OptionError(
                f'BackgroundSubtraction: method is one of {", ".join(THRESHOLDS)}, not {method!r}'
            )
        if threshold is None:
            threshold = THRESHOLDS[method]
        if frames < MIN_IMAGES or not threshold > 0:
            raise OptionError(
                f'BackgroundSubtraction: frames is at least {MIN_IMAGES} and threshold positive, not {frames} '
                f'and {threshold}'
            )
        self.method = method
        self.threshold = threshold
        self.frames = frames
        self.sharpen = sharpen

    def masks(self, sequence: Sequence) -> Frames:
        """Lazy masks; the backgrounds are estimated on the first access to one of them."""
        return LazyMasks(len(sequence), _SequenceMasks(self, sequence).mask)


@dataclasses.dataclass(frozen=True)
class _Camera:
    """A static camera: one of its images, the person's box in it, and its background model."""

    image: np.ndarray
    box: np.ndarray
    segment: Segmenter


class _SequenceMasks:
    """Masks of one sequence."""

    def __init__(self, settings: BackgroundSubtraction, sequence: Sequence) -> None:
        self.settings = settings
        self.sequence = sequence
        self.boxes = sequence.boxes.cpu().double().numpy()

    def mask(self, t: int) -> np.ndarray:
        """(H, W) bool for frame t."""
        image = self.sequence.frames[t]
        box = self.boxes[t]
        empty = np.zeros(image.shape[:2], bool)
        if not np.isfinite(box).all():
            return empty
        for camera in self._cameras:
            if same_view(camera.image, image, np.stack([camera.box, box])):
                return self._person_mask(camera, image, box)
        return empty

    def _person_mask(self, camera: _Camera, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        mask = components_of_box(clean_mask(camera.segment(image), box[2]), box)
        if self.settings.sharpen:
            mask = components_of_box(snap_to_edges(image, mask, box[2]), box)
        return mask

    @functools.cached_property
    def _cameras(self) -> list[_Camera]:
        """Every camera of the sequence that shows at least ``MIN_IMAGES`` of the sampled frames."""
        count = len(self.sequence)
        samples = np.linspace(0, count - 1, min(count, self.settings.frames))
        sampled = np.unique(samples.round().astype(int)).tolist()
        images = {t: self.sequence.frames[t] for t in sampled}
        groups = self._group_by_camera(images)
        unusable = sum(len(group) for group in groups if len(group) < MIN_IMAGES)
        if unusable:
            _log.warning(
                '%s: %d of %d sampled frames come from cameras that show fewer than %d of them; their masks '
                'are empty',
                self.sequence.name,
                unusable,
                len(sampled),
                MIN_IMAGES,
            )
        cameras = []
        for group in groups:
            if len(group) >= MIN_IMAGES:
                segment = _background_model(self.settings, [images[t] for t in group])
                cameras.append(_Camera(images[group[0]], self.boxes[group[0]], segment))
        return cameras

    def _group_by_camera(self, images: dict[int, np.ndarray]) -> list[list[int]]:
        """Groups of frame indices whose images show the same view as the first of the group."""
        groups: list[list[int]] = []
        for t, image in images.items():
            for group in groups:
                if same_view(images[group[0]], image, self.boxes[[group[0], t]]):
                    group.append(t)
                    break
            else:
                groups.append([t])
        return groups


def _background_model(settings: BackgroundSubtraction, images: list[np.ndarray]) -> Segmenter:
    """The function from an image of a camera to its raw foreground, fitted to images of this camera."""
    if settings.method == 'median':
        plate = clean_plate(np.stack(images), settings.threshold)
        return lambda image: foreground(image, plate, settings.threshold)
    model = _opencv_model(settings.method, settings.threshold, len(images))
    for _ in range(2):  # the second pass removes what only the first images show
        for image in images:
            model.apply(image)
    return lambda image: model.apply(image, learningRate=0) == OPENCV_FOREGROUND


def _opencv_model(method: str, threshold: float, history: int) -> cv2.BackgroundSubtractor:
    """A model for slow people: OpenCV's defaults take a colour for background after a tenth of the time."""
    if method == 'mog2':
        mog2 = cv2.createBackgroundSubtractorMOG2(history, threshold, True)
        mog2.setBackgroundRatio(0.5)
        return mog2
    knn = cv2.createBackgroundSubtractorKNN(history, threshold, True)
    knn.setNSamples(21)
    knn.setkNNSamples(8)
    return knn
