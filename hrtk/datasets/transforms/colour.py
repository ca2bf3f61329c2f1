"""Pictures without colour."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hrtk.datasets.transforms.base import MappedFrames, Transform
from hrtk.errors import InputError
from hrtk.registry import TRANSFORMS
from hrtk.structures import Sequence


@TRANSFORMS.register_module()
class Greyscale(Transform):
    """The luma of ITU-R BT.601, as OpenCV rounds it, in all three channels."""

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence without colour."""
        return dataclasses.replace(sequence, frames=MappedFrames(sequence.frames, _grey))


@TRANSFORMS.register_module()
class Thermal(Transform):
    """An imitation of a thermal camera, not a simulation: no temperature is known.

    Luma is smoothed and compressed to a dark background without texture and, within the mask, to a bright person with
    a little of the clothes' pattern left; then the whole is blurred as by a coarse sensor. Without masks there is only
    the dark, smooth picture.

    Args:
        background: darkest and brightest grey level of the background.
        person: of the person.
        smooth: standard deviation over which texture is lost, share of the box's side.
        blur: of the sensor, likewise.

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
                raise InputError(
                    f'Thermal: {name} is (darkest, brightest) grey level in 0..255, not ({low}, {high})'
                )
        if not min(smooth, blur) > 0:
            raise InputError(
                f'Thermal: smooth and blur are positive shares of the box, not {smooth} and {blur}'
            )
        self.background, self.person, self.smooth, self.blur = (
            tuple(background),
            tuple(person),
            smooth,
            blur,
        )

    def __call__(self, sequence: Sequence) -> Sequence:
        """The sequence as if bodies were warm."""

        def change(image: np.ndarray, t: int) -> np.ndarray:
            side = float(sequence.boxes[t, 2])
            side = side if np.isfinite(side) else max(image.shape[:2])
            luma = _blur(_grey(image, t)[..., 0].astype(np.float32) / 255, self.smooth * side)
            warm = (
                np.zeros_like(luma)
                if sequence.masks is None
                else sequence.masks[t].astype(np.float32)
            )
            (cold_low, cold_high), (low, high) = self.background, self.person
            picture = (1 - warm) * (cold_low + (cold_high - cold_low) * luma) + warm * (
                low + (high - low) * luma
            )
            return np.repeat(
                np.rint(_blur(picture, self.blur * side)).clip(0, 255).astype(np.uint8)[..., None],
                3,
                2,
            )

        return dataclasses.replace(sequence, frames=MappedFrames(sequence.frames, change))


def _blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _grey(image: np.ndarray, t: int) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
