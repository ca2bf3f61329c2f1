"""An interactive browser window with the stored bodies of a clip, its floor, camera and images, served by viser."""

from __future__ import annotations

import dataclasses
import functools
import html
import re
import threading
from typing import Any, Callable, Mapping, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from hrtk.errors import InputError
from hrtk.visualization.doubts import Doubt, in_clip
from hrtk.visualization.stage import Stage, judged_role

COLORS = {'before': (227, 165, 157), 'after': (157, 189, 227), 'truth': (180, 207, 152)}
OTHER_COLOR = (185, 190, 197)
FRUSTUM_COLOR = (91, 100, 112)
# Nearer, or less far aside, the drawn camera would stand between the viewer and the body.
LEAST_DISTANCE = 2.5  # metres
ASIDE = 50.0  # degrees
FLOOR_MARGIN = 2.0  # metres around people and camera
IN_SCENE = 'in the scene'
SIDE_BY_SIDE = 'side by side'
EARLIER = 'earlier'
LATER = 'later'


@dataclasses.dataclass(frozen=True)
class ViewedPerson:
    """One track of F frames for the viewer.

    Attributes:
        name: of the track.
        frames: F frame numbers of the clip, ascending.
        labels: names of the F frames.
        meshes: (F, V, 3) metres, y up, pelvis at the origin, by role (``'before'``, ``'after'``, ``'truth'``), see
            :func:`hrtk.visualization.playback.pelvis_meshes`.
        places: (F, 3) metres, the pelvis in the world of the stage, by the same roles.
        frame_image: index of one of the F frames -> (H, W, 3) uint8 RGB.
        doubts: the doubtful frames.
    """

    name: str
    frames: Sequence[int]
    labels: Sequence[str]
    meshes: Mapping[str, np.ndarray]
    places: Mapping[str, np.ndarray]
    frame_image: Callable[[int], np.ndarray]
    doubts: Sequence[Doubt]

    @functools.cached_property
    def radius(self) -> float:
        """The largest coordinate of a vertex in any frame, metres."""
        return max(float(np.abs(vertices).max()) for vertices in self.meshes.values())

    @functools.cached_property
    def centre(self) -> np.ndarray:
        """(3,) metres, the middle of the places of all frames."""
        return np.mean([path.mean(0) for path in self.places.values()], axis=0)


class MeshViewer:
    """A viser server that shows the people of a clip in its world, with playback controls.

    The bodies of the chosen person are shown in all roles, in the scene or next to each other; of the other people
    one body stands in the scene. The marks of the time axis are the doubtful frames of anybody.

    Args:
        people: the tracks of a clip.
        chosen: index of the person who is shown first.
        faces: (N, 3).
        fps: frames per second.
        stage: floor and camera of the clip.
        rows: names of the roles; default the roles themselves.
        title: of the panel.
        port: first port to try.
        host: address to listen on; the default accepts connections from this computer only.

    Raises:
        InputError: viser is not installed.
    """

    def __init__(
        self,
        people: Sequence[ViewedPerson],
        chosen: int,
        faces: np.ndarray,
        fps: float,
        stage: Stage,
        rows: dict[str, str] | None = None,
        title: str = 'hrtk',
        port: int = 8080,
        host: str = '127.0.0.1',
    ) -> None:
        viser = import_viser()
        self.people = people
        self.person = people[chosen]
        self.stage = stage
        self.fps = fps
        first = min(person.frames[0] for person in people)
        last = max(person.frames[-1] for person in people)
        self.clip_frames = range(first, last + 1)
        self.positions = [{frame: t for t, frame in enumerate(of.frames)} for of in people]
        self.doubts = _doubts_of_clip(people)
        self.server = viser.ViserServer(host=host, port=port, label=title, verbose=False)
        self.handles = self._add_bodies(np.asarray(faces))
        self.others = self._add_others(np.asarray(faces))
        self.surroundings = self._add_surroundings()
        self._add_controls(title, rows or {})
        self._draw()
        self._stopped = threading.Event()
        threading.Thread(target=self._play, daemon=True).start()

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f'http://{self.server.get_host()}:{self.server.get_port()}'

    def show(self, frame: int) -> None:
        """Shows a frame, counted from the first one of anybody."""
        self.time.value = int(frame)

    def choose(self, name: str) -> None:
        """Shows all bodies of another person.

        Raises:
            InputError: there is no such person.
        """
        for person in self.people:
            if person.name == name:
                self.person = person
                self._draw()
                return
        names = ', '.join(person.name for person in self.people)
        raise InputError(f'there is no person {name!r}; there are {names}')

    def to_doubt(self, direction: int) -> None:
        """Shows the next (1) or the previous (-1) doubtful frame, around the end."""
        frames = sorted(self.doubts)
        if not frames:
            return
        now = int(self.time.value)
        if direction > 0:
            self.show(next((frame for frame in frames if frame > now), frames[0]))
        else:
            self.show(next((frame for frame in reversed(frames) if frame < now), frames[-1]))

    def stop(self) -> None:
        """Stops the server."""
        self._stopped.set()
        self.server.stop()

    def _add_bodies(self, faces: np.ndarray) -> dict[str, Any]:
        """Adds a mesh per role of the chosen person, and places the viewer's camera."""
        self.server.scene.set_up_direction('+y')
        self.server.scene.configure_environment_map(None)  # it would overexpose pale bodies
        paths = [path for person in self.people for path in person.places.values()]
        eye, middle = first_view(np.concatenate(paths), self.stage.camera)
        self.server.initial_camera.position = tuple(eye)
        self.server.initial_camera.look_at = tuple(middle)
        handles = {}
        for role, vertices in self.person.meshes.items():
            handles[role] = self.server.scene.add_mesh_simple(
                f'/{role}', np.float32(vertices[0]), faces, color=COLORS[role]
            )
        return handles

    def _add_others(self, faces: np.ndarray) -> list[Any]:
        """Adds a body per person, which is hidden for the chosen one."""
        handles = []
        if len(self.people) > 1:
            for number, person in enumerate(self.people):
                vertices = np.float32(person.meshes[judged_role(person.meshes)][0])
                handles.append(
                    self.server.scene.add_mesh_simple(
                        f'/person{number}', vertices, faces, color=OTHER_COLOR
                    )
                )
        return handles

    def _add_surroundings(self) -> list[Any]:
        """Adds the floor and the camera of the clip."""
        points = [self.stage.camera[None]]
        for person in self.people:
            points += list(person.places.values())
        stacked = np.concatenate(points)
        low = stacked.min(0) - FLOOR_MARGIN
        high = stacked.max(0) + FLOOR_MARGIN
        middle = (low + high) / 2
        grid = self.server.scene.add_grid(
            '/floor',
            width=float(np.ceil(high[0] - low[0])),
            height=float(np.ceil(high[2] - low[2])),
            plane='xz',
            cell_size=1.0,
            section_size=1.0,
            position=(middle[0], self.stage.floor, middle[2]),
        )
        # viser's own frustum has a constant volume instead of a given length.
        frustum = self.server.scene.add_line_segments(
            '/camera', frustum_edges(self.stage), FRUSTUM_COLOR
        )
        return [grid, frustum]

    def _add_controls(self, title: str, rows: dict[str, str]) -> None:
        gui = self.server.gui
        gui.add_markdown(f'**{escaped(title)}**')
        if len(self.people) > 1:
            names = [person.name for person in self.people]
            person = gui.add_dropdown('Person', names, initial_value=self.person.name)
            person.on_update(lambda event: self.choose(person.value))
        self.playing = gui.add_checkbox('Play', False)
        count = len(self.clip_frames)
        self.time = gui.add_slider(
            'Frame',
            0,
            max(1, count - 1),
            1,
            0,
            marks=tuple(sorted(self.doubts)) or None,
            disabled=count == 1,
            hint='The marks are doubtful frames.',
        )
        steps = gui.add_button_group('Doubtful', (EARLIER, LATER), disabled=not self.doubts)
        steps.on_click(lambda event: self.to_doubt(1 if steps.value == LATER else -1))
        self.reason = gui.add_text('Doubt', '', disabled=True)
        self.speed = gui.add_slider(
            'Frames per second', 1.0, max(60.0, self.fps), 1.0, max(1.0, round(self.fps))
        )
        self.arrangement = gui.add_dropdown('Bodies', (IN_SCENE, SIDE_BY_SIDE))
        self.arrangement.on_update(lambda event: self._draw())
        self.visible = {}
        for role in self.handles:
            self.visible[role] = self._add_toggle(rows.get(role, role))
        dark = gui.add_checkbox('Dark', False)
        dark.on_update(lambda event: gui.configure_theme(dark_mode=dark.value))
        gui.add_markdown(escaped(self.stage.floor_text))
        self.label = gui.add_text('Image', self.person.labels[0], disabled=True)
        self.image = gui.add_image(self.person.frame_image(0), format='jpeg')
        self.time.on_update(lambda event: self._draw())

    def _add_toggle(self, name: str) -> Any:
        toggle = self.server.gui.add_checkbox(name, True)
        toggle.on_update(lambda event: self._draw())
        return toggle

    def _draw(self) -> None:
        """Updates bodies, label, reason and image to the frame of the slider."""
        index = min(int(self.time.value), len(self.clip_frames) - 1)
        number = self.clip_frames[index]
        person = self.person
        own = self.people.index(person)
        t = self.positions[own].get(number)
        image = None
        if t is not None:
            image = person.frame_image(t)
        in_scene = self.arrangement.value == IN_SCENE
        with self.server.atomic():
            self._draw_person(person, t, in_scene)
            for other, (positions, handle) in enumerate(zip(self.positions, self.others)):
                handle.visible = in_scene and other != own and number in positions
                if handle.visible:
                    role = judged_role(self.people[other].meshes)
                    self._put(handle, self.people[other], role, positions[number])
            for handle in self.surroundings:
                handle.visible = in_scene
            self.reason.value = self.doubts.get(index, '')
            if t is None:
                self.label.value = f'{person.name} is not here'
            else:
                self.label.value = person.labels[t]
                self.image.image = image

    def _draw_person(self, person: ViewedPerson, t: int | None, in_scene: bool) -> None:
        """Updates the bodies of the chosen person to one of their frames, None if they are absent."""
        shown = 0
        for role, handle in self.handles.items():
            handle.visible = t is not None and self.visible[role].value
            if t is None:
                continue
            self._put(handle, person, role, t)
            if not in_scene:
                handle.wxyz = (1.0, 0.0, 0.0, 0.0)
                handle.position = tuple(person.centre + (1.1 * person.radius * shown, 0.0, 0.0))
            shown += bool(handle.visible)

    def _put(self, handle: Any, person: ViewedPerson, role: str, t: int) -> None:
        """Gives a mesh the pose and the place of a frame."""
        handle.vertices = np.float32(person.meshes[role][t])
        handle.wxyz = _quaternion(self.stage.level)
        handle.position = tuple(np.asarray(person.places[role][t], np.float64))

    def _play(self) -> None:
        """Advances the slider while the viewer plays, until it is stopped."""
        while not self._stopped.wait(1 / self.speed.value):
            if self.playing.value:
                self.time.value = (int(self.time.value) + 1) % len(self.clip_frames)


def frustum_edges(stage: Stage) -> np.ndarray:
    """(8, 2, 3) float32 ends of the edges of the drawn camera: from the camera to the corners, and around the image."""
    edges = []
    for number, corner in enumerate(stage.corners):
        edges.append((stage.camera, corner))
        edges.append((corner, stage.corners[(number + 1) % 4]))
    return np.array(edges, np.float32)


def first_view(path: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the viewer stands at first: near the people, in front of them, and beside the drawn camera.

    Args:
        path: (N, 3) places of all people, metres, y up.
        camera: (3,) place of the camera of the clip.

    Returns:
        The place of the viewer's camera and the point at which it looks, both (3,).
    """
    middle = path.mean(0)
    radius = float(np.linalg.norm(path - middle, axis=1).max())
    distance = max(LEAST_DISTANCE, 2 * radius)
    towards = (camera - middle) * (1, 0, 1)
    length = float(np.linalg.norm(towards))
    if length < 1e-6:
        return middle + (0, 0.3 * distance, distance), middle
    aside = Rotation.from_euler('y', ASIDE, degrees=True).apply(towards / length)
    return middle + distance * (aside + (0, 0.3, 0)), middle


def _quaternion(rotation: np.ndarray) -> tuple[float, ...]:
    """w, x, y, z of a rotation matrix."""
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return (w, x, y, z)


def _doubts_of_clip(people: Sequence[ViewedPerson]) -> dict[int, str]:
    """What speaks against a frame of the clip, counted from the first one of anybody, in words."""
    first = min(person.frames[0] for person in people)
    found: dict[int, list[str]] = {}
    for person in people:
        for doubt in in_clip(person.doubts, person.frames, first):
            text = doubt.reason
            if len(people) > 1:
                text = f'{person.name}: {text}'
            found.setdefault(doubt.frame, []).append(text)
    return {frame: '; '.join(texts) for frame, texts in found.items()}


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
