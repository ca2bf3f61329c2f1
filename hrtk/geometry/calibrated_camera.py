"""Calibrated cameras with lens distortion: from the world to the camera frame, to pixels, and back to rays."""

from __future__ import annotations

import dataclasses

import numpy as np

UNDISTORT_STEPS = 30


@dataclasses.dataclass(frozen=True)
class CalibratedCamera:
    """A camera that does not move, in OpenCV's conventions.

    The camera frame has x right, y down and z away from the viewer; the centre of the top-left pixel is (0, 0).

    Attributes:
        name: of the camera.
        size: (width, height) of its images, px.
        matrix: (3, 3) intrinsics, px, without skew.
        distortion: (5,) ``k1, k2, p1, p2, k3`` of Brown's lens.
        rotation: (3, 3) world to camera.
        translation: (3,) metres; ``camera = rotation @ world + translation``.
    """

    name: str
    size: tuple[int, int]
    matrix: np.ndarray
    distortion: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    @property
    def focal(self) -> float:
        """The mean of both focal lengths, px."""
        return float(self.matrix[0, 0] + self.matrix[1, 1]) / 2

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the world in the camera frame, metres."""
        return points @ self.rotation.T + self.translation

    def project(self, points: np.ndarray) -> np.ndarray:
        """Projects points of the camera frame with lens distortion.

        Args:
            points: (..., 3) metres, in front of the camera.

        Returns:
            (..., 2) px.
        """
        plane = points[..., :2] / points[..., 2:]
        radial, tangential = self._lens(plane)
        distorted = plane * radial + tangential
        return distorted * self.matrix[[0, 1], [0, 1]] + self.matrix[:2, 2]

    def undistort(self, pixels: np.ndarray) -> np.ndarray:
        """The rays of pixels, by fixed-point iteration, as OpenCV's ``undistortPoints``.

        Args:
            pixels: (..., 2) px.

        Returns:
            (..., 2) positions in the plane z = 1 m of the camera frame.
        """
        distorted = (pixels - self.matrix[:2, 2]) / self.matrix[[0, 1], [0, 1]]
        plane = distorted
        for _ in range(UNDISTORT_STEPS):
            radial, tangential = self._lens(plane)
            plane = (distorted - tangential) / radial
        return plane

    def _lens(self, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Radial factor (..., 1) and tangential shift (..., 2) of the lens at positions (..., 2) in the plane z = 1."""
        k1, k2, p1, p2, k3 = self.distortion
        x = plane[..., :1]
        y = plane[..., 1:]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        shift_x = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        shift_y = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        return radial, np.concatenate([shift_x, shift_y], axis=-1)
