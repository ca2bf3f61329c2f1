"""Images without colour."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hrtk.datasets.transforms.base import MappedFrames, Transform
from hrtk.errors import OptionError
from hrtk.registry import TRANSFORMS
from hrtk.structures import Sequence


@TRANSFORMS.register_module()
class Greyscale(Transform):
    """The luma of ITU-R BT.601, as OpenCV rounds it, in all three channels."""

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence without colour."""

        def change(image: np.ndarray, t: int) -> np.ndarray:
            return cv2.cvtColor(_luma(image), cv2.COLOR_GRAY2RGB)

        return dataclasses.replace(sequence, frames=MappedFrames(sequence.frames, change))


@TRANSFORMS.register_module()
class Thermal(Transform):
    """An imitation of a thermal camera, not a simulation: no temperature is known.

    Luma is smoothed and compressed to a dark background without texture and, within the mask, to a bright person with
    a faint pattern of the clothes; then the image is blurred as by a coarse sensor. Without masks the whole image is
    dark and smooth.

    Args:
        background: darkest and brightest grey level of the background.
        person: darkest and brightest grey level of the person.
        smooth: standard deviation over which texture is lost, share of the box's side.
        blur: standard deviation of the sensor's blur, share of the box's side.

    Raises:
        InputError: a range is not ``0 <= low <= high <= 255``, or a blur is not positive.
    """

    def __init__(
        self,
        background: tuple[float, float] = (30, 80),
        person: tuple[float, float] = (165, 235),
        smooth: float = 0.02,
        blur: float = 0.008,
    ) -> None:
        for name, (low, high) in dict(background=background, person=person).items():
            if not 0 <= low <= high <= 255:
                raise OptionError(
                    f'Thermal: {name} is (darkest, brightest) grey level in 0..255, not ({low}, {high})'
                )
        if not min(smooth, blur) > 0:
            raise OptionError(
                f'Thermal: smooth and blur are positive shares of the box, not {smooth} and {blur}'
            )
        self.background = tuple(background)
        self.person = tuple(person)
        self.smooth = smooth
        self.blur = blur

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence as if bodies were warm."""

        def change(image: np.ndarray, t: int) -> np.ndarray:
            side = float(sequence.boxes[t, 2])
            if not np.isfinite(side):
                side = max(image.shape[:2])
            mask = np.zeros(image.shape[:2], np.float32)
            if sequence.masks is not None:
                mask = sequence.masks[t].astype(np.float32)
            return self._thermal_image(image, mask, side)

        return dataclasses.replace(sequence, frames=MappedFrames(sequence.frames, change))

    def _thermal_image(self, image: np.ndarray, mask: np.ndarray, side: float) -> np.ndarray:
        """(H, W, 3) uint8, from an image, its mask (H, W) float32, and the side of the box in px."""
        luma = _blur(_luma(image).astype(np.float32) / 255, self.smooth * side)
        cold = _compress(luma, *self.background)
        warm = _compress(luma, *self.person)
        levels = _blur((1 - mask) * cold + mask * warm, self.blur * side)
        grey = np.rint(levels).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2)


def _compress(luma: np.ndarray, low: float, high: float) -> np.ndarray:
    return low + (high - low) * luma


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _luma(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
