"""Where the bodies of a stream are shown: a window, a page of viser, a film."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Iterator, Optional, Protocol

import cv2
import numpy as np
import torch

from hrtk.apis.live.people import LivePerson
from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.reading.pictures import decode_picture
from hrtk.structures import Prediction
from hrtk.visualization.live_viewer import LiveViewer
from hrtk.visualization.overlays import overlay
from hrtk.visualization.playback import pelvis_meshes
from hrtk.visualization.render import person_colors
from hrtk.visualization.video import write_image, write_video

TITLE = 'hrtk live (Q ends)'
ENDING_KEYS = (ord('q'), ord('Q'), 27)
WITHOUT_WINDOW = 'use --show page (needs viser), or --record FILE --show none'


class Screen(Protocol):
    """Shows frames with their people."""

    def show(self, image: np.ndarray, people: list[LivePerson], time: float) -> bool:
        """Shows a frame, drawn; returns False if the user wants to end."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


def draw(image: np.ndarray, people: list[LivePerson], body: BodyModel) -> np.ndarray:
    """The filtered bodies of all people over their frame, (H, W, 3) uint8 RGB."""
    if not people:
        return image
    bodies = Prediction.cat([person.shown for person in people]).cpu()
    boxes = torch.stack([person.box for person in people])
    colors = person_colors([person.track - 1 for person in people])
    with torch.no_grad():
        return overlay(image, bodies, boxes, body, colors)


class Window:
    """A window of OpenCV.

    Raises:
        InputError: there is no display, or this OpenCV has no windows.
    """

    def __init__(self) -> None:
        is_x11 = sys.platform.startswith('linux')
        has_display = os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
        if is_x11 and not has_display:  # OpenCV's Qt ends the process there
            raise InputError(f'there is no display for a window; {WITHOUT_WINDOW}')
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise InputError(
                f'this OpenCV has no windows (opencv-python-headless?); {WITHOUT_WINDOW}'
            ) from error

    def show(self, image: np.ndarray, people: list[LivePerson], time: float) -> bool:
        """Shows the drawn frame; False after Q, Escape, or if the user closed the window."""
        cv2.imshow(TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
        visible = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
        return key not in ENDING_KEYS and visible

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyWindow(TITLE)


class Page:
    """A page of viser with the frame and the bodies in 3D.

    Args:
        body: the body model of the predictions.

    Raises:
        InputError: viser is not installed.
    """

    def __init__(self, body: BodyModel) -> None:
        self.body = body
        self.viewer = LiveViewer(np.asarray(body.faces))

    def show(self, image: np.ndarray, people: list[LivePerson], time: float) -> bool:
        """Shows the frame and the bodies."""
        meshes = {}
        for person in people:
            shown = person.shown.cpu()
            meshes[person.track] = pelvis_meshes(self.body, shown.rotmat, shown.betas)[0]
        self.viewer.show(image, meshes)
        return True

    def close(self) -> None:
        """Stops the server."""
        self.viewer.stop()


class Film:
    """Stores the drawn frames and makes a video of even rate of them, in which every frame has its true time.

    Args:
        path: of the video, ``.mp4``.
        fps: frames per second of the video.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        self.fps = fps
        self._folder = tempfile.TemporaryDirectory(prefix='hrtk-live-')
        self._times: list[float] = []

    def show(self, image: np.ndarray, people: list[LivePerson], time: float) -> bool:
        """Stores a frame."""
        write_image(self._file(len(self._times)), image)
        self._times.append(time)
        return True

    def close(self) -> None:
        """Writes the video, if there is a frame."""
        try:
            if self._times:
                write_video(self.path, self._images(), self.fps)
        finally:
            self._folder.cleanup()

    def _images(self) -> Iterator[np.ndarray]:
        duration = self._times[-1] - self._times[0]
        times = np.array(self._times) - self._times[0]
        read: Optional[int] = None
        for number in range(round(duration * self.fps) + 1):
            moment = number / self.fps + 0.5 / self.fps
            index = int(np.searchsorted(times, moment, side='right')) - 1
            if index != read:
                pixels = decode_picture(self._file(index), cv2.IMREAD_COLOR)
                image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
                read = index
            yield image

    def _file(self, index: int) -> Path:
        return Path(self._folder.name) / f'{index:06d}.jpg'
