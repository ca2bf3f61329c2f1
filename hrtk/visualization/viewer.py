"""Stored bodies in a window of the browser, served by viser: play, scrub, orbit, the picture beside them."""

from __future__ import annotations

import threading
from typing import Any, Callable, Sequence

import numpy as np

from hrtk.errors import InputError

COLORS = {'before': (227, 165, 157), 'after': (157, 189, 227), 'truth': (180, 207, 152)}


class MeshViewer:
    """A viser server that shows moving bodies next to each other.

    Args:
        meshes: by role (``'before'``, ``'after'``, ``'truth'``): (F, V, 3) metres, y up, as
            :func:`hrtk.visualization.playback.pelvis_meshes` gives them.
        faces: (N, 3).
        labels: F names of the frames.
        picture: gives the (H, W, 3) uint8 RGB picture of a frame.
        fps: frames per second.
        rows: names of the roles; default the roles themselves.
        title: of the panel.
        port: where to start looking for a free port.
        host: address to listen on; by default nobody from outside can connect.

    Raises:
        InputError: viser is not installed.
    """

    def __init__(
        self,
        meshes: dict[str, np.ndarray],
        faces: np.ndarray,
        labels: Sequence[str],
        picture: Callable[[int], np.ndarray],
        fps: float,
        rows: dict[str, str] | None = None,
        title: str = 'hrtk',
        port: int = 8080,
        host: str = '127.0.0.1',
    ) -> None:
        viser = _viser()
        self.meshes, self.labels, self.picture, self.fps = meshes, labels, picture, fps
        self.server = viser.ViserServer(host=host, port=port, label=title, verbose=False)
        self.server.scene.set_up_direction('+y')
        self.server.scene.configure_environment_map(None)  # it bleaches pale bodies
        reach = max(float(np.abs(values).max()) for values in meshes.values())
        self.server.initial_camera.position = (0.0, 0.2, 3.2 * reach)
        self.server.initial_camera.look_at = (0.0, 0.0, 0.0)
        step = 1.1 * reach
        self.handles = {}
        for number, (role, values) in enumerate(meshes.items()):
            place = (step * (number - (len(meshes) - 1) / 2), 0.0, 0.0)
            self.handles[role] = self.server.scene.add_mesh_simple(
                f'/{role}',
                np.float32(values[0]),
                np.asarray(faces),
                color=COLORS[role],
                position=place,
            )
        self._add_controls(title, rows or {})
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def url(self) -> str:
        """Where the browser finds it."""
        return f'http://{self.server.get_host()}:{self.server.get_port()}'

    def show(self, frame: int) -> None:
        """Goes to a frame."""
        self.time.value = int(frame)

    def stop(self) -> None:
        """Ends the server."""
        self._stopped.set()
        self.server.stop()

    def _add_controls(self, title: str, rows: dict[str, str]) -> None:
        gui = self.server.gui
        gui.add_markdown(f'**{title}**')
        self.playing = gui.add_checkbox('Play', False)
        self.time = gui.add_slider(
            'Frame', 0, max(1, len(self.labels) - 1), 1, 0, disabled=len(self.labels) == 1
        )
        self.speed = gui.add_slider(
            'Frames per second', 1.0, max(60.0, self.fps), 1.0, max(1.0, round(self.fps))
        )
        for role, handle in self.handles.items():
            box = gui.add_checkbox(rows.get(role, role), True)
            box.on_update(
                lambda event, box=box, handle=handle: setattr(handle, 'visible', box.value)
            )
        self.label = gui.add_text('Picture', self.labels[0], disabled=True)
        self.image = gui.add_image(self.picture(0), format='jpeg')
        self.time.on_update(lambda event: self._draw())

    def _draw(self) -> None:
        frame = min(int(self.time.value), len(self.labels) - 1)
        picture = self.picture(frame)
        with self.server.atomic():
            for role, handle in self.handles.items():
                handle.vertices = np.float32(self.meshes[role][frame])
            self.label.value, self.image.image = self.labels[frame], picture

    def _run(self) -> None:
        while not self._stopped.wait(1 / self.speed.value):
            if self.playing.value:
                self.time.value = (int(self.time.value) + 1) % len(self.labels)


def _viser() -> Any:
    try:
        import viser
    except ImportError as error:
        raise InputError(
            "the viewer needs the package viser, which is not installed; run `pip install 'hrtk[viewer]'` "
            'or `pip install viser`'
        ) from error
    return viser
