"""An interactive browser window with stored bodies and their images, served by viser."""

from __future__ import annotations

import html
import re
import threading
from typing import Any, Callable, Sequence

import numpy as np

from hrtk.errors import InputError

COLORS = {'before': (227, 165, 157), 'after': (157, 189, 227), 'truth': (180, 207, 152)}


class MeshViewer:
    """A viser server that shows moving bodies next to each other, with playback controls.

    Args:
        meshes: (F, V, 3) metres, y up, by role (``'before'``, ``'after'``, ``'truth'``), see
            :func:`hrtk.visualization.playback.pelvis_meshes`.
        faces: (N, 3).
        labels: names of the F frames.
        frame_image: index of a frame -> (H, W, 3) uint8 RGB.
        fps: frames per second.
        rows: names of the roles; default the roles themselves.
        title: of the panel.
        port: first port to try.
        host: address to listen on; the default accepts connections from this computer only.

    Raises:
        InputError: viser is not installed.
    """

    def __init__(
        self,
        meshes: dict[str, np.ndarray],
        faces: np.ndarray,
        labels: Sequence[str],
        frame_image: Callable[[int], np.ndarray],
        fps: float,
        rows: dict[str, str] | None = None,
        title: str = 'hrtk',
        port: int = 8080,
        host: str = '127.0.0.1',
    ) -> None:
        viser = import_viser()
        self.meshes = meshes
        self.labels = labels
        self.frame_image = frame_image
        self.fps = fps
        self.server = viser.ViserServer(host=host, port=port, label=title, verbose=False)
        self.handles = self._add_bodies(np.asarray(faces))
        self._add_controls(title, rows or {})
        self._stopped = threading.Event()
        threading.Thread(target=self._play, daemon=True).start()

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f'http://{self.server.get_host()}:{self.server.get_port()}'

    def show(self, frame: int) -> None:
        """Shows a frame."""
        self.time.value = int(frame)

    def stop(self) -> None:
        """Stops the server."""
        self._stopped.set()
        self.server.stop()

    def _add_bodies(self, faces: np.ndarray) -> dict[str, Any]:
        """Adds a mesh per role, side by side, and places the camera."""
        radius = max(float(np.abs(vertices).max()) for vertices in self.meshes.values())
        self.server.scene.set_up_direction('+y')
        self.server.scene.configure_environment_map(None)  # it would overexpose pale bodies
        self.server.initial_camera.position = (0.0, 0.2, 3.2 * radius)
        self.server.initial_camera.look_at = (0.0, 0.0, 0.0)
        distance = 1.1 * radius
        handles = {}
        for i, (role, vertices) in enumerate(self.meshes.items()):
            offset = distance * (i - (len(self.meshes) - 1) / 2)
            handles[role] = self.server.scene.add_mesh_simple(
                f'/{role}',
                np.float32(vertices[0]),
                faces,
                color=COLORS[role],
                position=(offset, 0.0, 0.0),
            )
        return handles

    def _add_controls(self, title: str, rows: dict[str, str]) -> None:
        gui = self.server.gui
        gui.add_markdown(f'**{escaped(title)}**')
        self.playing = gui.add_checkbox('Play', False)
        single_frame = len(self.labels) == 1
        self.time = gui.add_slider(
            'Frame', 0, max(1, len(self.labels) - 1), 1, 0, disabled=single_frame
        )
        self.speed = gui.add_slider(
            'Frames per second', 1.0, max(60.0, self.fps), 1.0, max(1.0, round(self.fps))
        )
        for role, handle in self.handles.items():
            self._add_visibility_toggle(rows.get(role, role), handle)
        self.label = gui.add_text('Image', self.labels[0], disabled=True)
        self.image = gui.add_image(self.frame_image(0), format='jpeg')
        self.time.on_update(lambda event: self._draw())

    def _add_visibility_toggle(self, name: str, handle: Any) -> None:
        toggle = self.server.gui.add_checkbox(name, True)
        toggle.on_update(lambda event: setattr(handle, 'visible', toggle.value))

    def _draw(self) -> None:
        """Updates bodies, label and image to the frame of the slider."""
        frame = min(int(self.time.value), len(self.labels) - 1)
        image = self.frame_image(frame)
        with self.server.atomic():
            for role, handle in self.handles.items():
                handle.vertices = np.float32(self.meshes[role][frame])
            self.label.value = self.labels[frame]
            self.image.image = image

    def _play(self) -> None:
        """Advances the slider while the viewer plays, until it is stopped."""
        while not self._stopped.wait(1 / self.speed.value):
            if self.playing.value:
                self.time.value = (int(self.time.value) + 1) % len(self.labels)


def escaped(name: str) -> str:
    """A name for Markdown, which a viewer shows as it is: without markup, links, HTML or lines of its own."""
    name = html.escape(' '.join(name.split()), quote=False)
    return re.sub(r'([\\`*_{}\[\]()#+\-.!|~:/@])', r'\\\1', name)


def import_viser() -> Any:
    """The package; raises InputError where it is not installed."""
    try:
        import viser
    except ImportError as error:
        raise InputError(
            "the viewer needs the package viser, which is not installed; run `pip install 'hrtk[viewer]'` "
            'or `pip install viser`'
        ) from error
    return viser
