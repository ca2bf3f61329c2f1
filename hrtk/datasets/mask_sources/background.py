"""Masks by background subtraction, for cameras that stand still."""

from __future__ import annotations

import functools
import logging
from typing import Callable, Optional

import cv2
import numpy as np

from hrtk.datasets.mask_sources.base import LazyMasks, MaskSource
from hrtk.datasets.mask_sources.cleaning import belonging, difference, hysteresis, sharpen, tidy
from hrtk.datasets.mask_sources.plate import clean_plate, same_view
from hrtk.errors import InputError
from hrtk.registry import MASK_SOURCES
from hrtk.structures import Frames, Sequence

THRESHOLDS = {'median': 16.0, 'mog2': 16.0, 'knn': 400.0}
LEAST = 3  # pictures of a camera: two cannot say which of them shows the background
_log = logging.getLogger(__name__)


@MASK_SOURCES.register_module()
class BackgroundSubtraction(MaskSource):
    """What differs from the empty scene of a static camera, cleaned, within the person's box.

    Frames are sorted by camera first, by their edges outside the boxes: one sequence may mix pictures of several. A
    frame whose camera shows fewer than three of the frames that are looked at gets an empty mask, which adapters skip
    and count. Soft shadows are background. Nothing is known of a camera that pans, of a person who never moves, or of
    who is who when two people touch.

    Args:
        method: ``'median'``, a plate by :func:`~hrtk.datasets.mask_sources.plate.clean_plate`, good from five pictures
            of different poses on; ``'mog2'`` or ``'knn'``, OpenCV's models (Zivkovic 2004; Zivkovic and van der Heijden
            2006), for videos in which everybody walks on and the light flickers.
        threshold: what counts as different. ``'median'``: grey levels, default 16, and 2.5 times as much somewhere in
            every region; else a squared distance in standard deviations (``'mog2'``, default 16) or grey levels
            (``'knn'``, default 400).
        frames: the most frames that the background is learnt from, evenly spread over the sequence.
        sharpen: move borders to the edges of the picture; off for pictures without edges, such as thermal ones.

    Raises:
        InputError: another method, or a number that is not positive.
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
            raise InputError(
                f'BackgroundSubtraction: method is one of {", ".join(THRESHOLDS)}, not {method!r}'
            )
        if frames < LEAST or threshold is not None and not threshold > 0:
            raise InputError(
                f'BackgroundSubtraction: frames is at least {LEAST} and threshold positive, not {frames} '
                f'and {threshold}'
            )
        self.method, self.threshold = method, THRESHOLDS[method] if threshold is None else threshold
        self.frames, self.sharpen = frames, sharpen

    def masks(self, sequence: Sequence) -> Frames:
        """Masks whose backgrounds are learnt when the first one is asked for."""
        return LazyMasks(len(sequence), _Cameras(self, sequence).mask)


class _Cameras:
    """The cameras of one sequence, each with what it takes to find a person before it."""

    def __init__(self, settings: BackgroundSubtraction, sequence: Sequence) -> None:
        self.settings, self.sequence = settings, sequence
        self.boxes = sequence.boxes.cpu().double().numpy()

    def mask(self, t: int) -> np.ndarray:
        """(H, W) bool for frame t."""
        picture, box = self.sequence.frames[t], self.boxes[t]
        nothing = np.zeros(picture.shape[:2], bool)
        if not np.isfinite(box).all():
            return nothing
        for first, other_box, find in self._cameras:
            if same_view(first, picture, np.stack([other_box, box])):
                found = belonging(tidy(find(picture), box[2]), box)
                return (
                    belonging(sharpen(picture, found, box[2]), box)
                    if self.settings.sharpen
                    else found
                )
        return nothing

    @functools.cached_property
    def _cameras(self) -> list[tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]]:
        """One picture, its box, and the function from a picture to its raw foreground, of every camera."""
        count = len(self.sequence)
        looked_at = np.unique(
            np.linspace(0, count - 1, min(count, self.settings.frames)).round().astype(int)
        )
        groups: list[list[int]] = []
        pictures: dict[int, np.ndarray] = {}
        for t in looked_at.tolist():
            pictures[t] = self.sequence.frames[t]
            for group in groups:
                if same_view(pictures[group[0]], pictures[t], self.boxes[[group[0], t]]):
                    group.append(t)
                    break
            else:
                groups.append([t])
        small = [group for group in groups if len(group) < LEAST]
        if small:
            _log.warning(
                '%s: %d of %d frames looked at come from cameras that show fewer than %d of them; their masks '
                'are empty',
                self.sequence.name,
                sum(map(len, small)),
                len(looked_at),
                LEAST,
            )
        return [
            (
                pictures[group[0]],
                self.boxes[group[0]],
                _learn(self.settings, [pictures[t] for t in group]),
            )
            for group in groups
            if len(group) >= LEAST
        ]


def _learn(
    settings: BackgroundSubtraction, pictures: list[np.ndarray]
) -> Callable[[np.ndarray], np.ndarray]:
    """The function from a picture of this camera to its raw foreground (H, W) bool."""
    threshold = settings.threshold
    if settings.method == 'median':
        plate = clean_plate(np.stack(pictures), threshold)
        return lambda picture: hysteresis(difference(picture, plate), threshold, 2.5 * threshold)
    # OpenCV's defaults are for people who pass quickly: a colour seen a tenth of the time is background to them.
    if settings.method == 'mog2':
        model = cv2.createBackgroundSubtractorMOG2(len(pictures), threshold, True)
        model.setBackgroundRatio(0.5)
    else:
        model = cv2.createBackgroundSubtractorKNN(len(pictures), threshold, True)
        model.setNSamples(21)
        model.setkNNSamples(8)
    for _ in range(2):  # the second pass forgets what only the first pictures show
        for picture in pictures:
            model.apply(picture)
    return lambda picture: model.apply(picture, learningRate=0) == 255  # shadows are 127
