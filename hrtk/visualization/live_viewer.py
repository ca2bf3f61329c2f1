"""A browser window with the people of a stream, served by viser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hrtk.visualization.viewer import COLORS, import_viser

DISTANCE = 1.2  # metres between people, who stand side by side


class LiveViewer:
    """A viser server with the newest frame and the bodies of its people.

    Args:
        faces: (N, 3) of the bodies.
        port: first port to try.
        host: address to listen on; the default accepts connections from this computer only.

    Raises:
        InputError: viser is not installed.
    """

    def __init__(self, faces: np.ndarray, port: int = 8080, host: str = '127.0.0.1') -> None:
        viser = import_viser()
        self.faces = faces
        self.server = viser.ViserServer(host=host, port=port, label='hrtk live', verbose=False)
        self.server.scene.set_up_direction('+y')
        self.server.scene.configure_environment_map(None)  # it would overexpose pale bodies
        self.server.initial_camera.position = (0.0, 0.2, 4.0)
        self.server.initial_camera.look_at = (0.0, 0.0, 0.0)
        self._bodies: dict[int, Any] = {}
        self._image: Any = None

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f'http://{self.server.get_host()}:{self.server.get_port()}'

    def show(self, image: np.ndarray, meshes: Mapping[int, np.ndarray]) -> None:
        """Shows a frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            meshes: (V, 3) metres about the pelvis, y up, by identity; people who are not in it are hidden.
        """
        with self.server.atomic():
            if self._image is None:
                self._image = self.server.gui.add_image(image, format='jpeg')
            else:
                self._image.image = image
            for track, handle in self._bodies.items():
                handle.visible = track in meshes
            for track, vertices in meshes.items():
                if track in self._bodies:
                    self._bodies[track].vertices = np.float32(vertices)
                    continue
                place = (DISTANCE * len(self._bodies), 0.0, 0.0)
                self._bodies[track] = self.server.scene.add_mesh_simple(
                    f'/person{track}',
                    np.float32(vertices),
                    self.faces,
                    color=COLORS['after'],
                    position=place,
                )

    def stop(self) -> None:
        """Stops the server."""
        self.server.stop()
