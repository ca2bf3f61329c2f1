"""The world of a clip for 3D players: where its people, its floor and its camera are."""

from __future__ import annotations

import copy
import dataclasses
from typing import Container, Iterable, Mapping, Optional

import numpy as np

from hrtk.body_models import BodyModel
from hrtk.results import Result
from hrtk.visualization.export import Placing
from hrtk.visualization.export.ground import on_floor, soles_of
from hrtk.visualization.export.motion import Motion, rest_joints, world_transform
from hrtk.visualization.export.people import place_people
from hrtk.visualization.export.placing import Placed, place_track

WORLD = 'y-up'
UP_AXES = np.diag([1.0, -1.0, -1.0])  # camera frame (y down, z away) <-> y up, z towards the viewer
FRUSTUM_SHARE = 0.25  # of the distance of the people: the length of the drawn frustum


@dataclasses.dataclass(frozen=True)
class Stage:
    """A world in metres: y up, the camera above or at the origin, its view along -z.

    Attributes:
        level: (3, 3) rotation to the world from the axes of the camera with y up (x right, z towards the viewer).
        camera: (3,) position of the camera.
        corners: (4, 3) corners of the image, some way in front of the camera: top left, top right, bottom right,
            bottom left.
        floor: height of the floor.
        floor_text: whether the floor was found or is assumed, in words.
    """

    level: np.ndarray
    camera: np.ndarray
    corners: np.ndarray
    floor: float
    floor_text: str


@dataclasses.dataclass(frozen=True)
class StagedPeople:
    """The people of a clip in its world.

    Attributes:
        stage: floor and camera.
        places: (F, 3) metres, the pelvis in every frame, by the name of the track and by role.
    """

    stage: Stage
    places: dict[str, dict[str, np.ndarray]]

    def places_of(self, name: str, roles: Iterable[str]) -> dict[str, np.ndarray]:
        """The places of a track by some roles; a role without places stands where the judged body does."""
        by_role = self.places[name]
        return {role: by_role.get(role, by_role[judged_role(by_role)]) for role in roles}


def judged_role(roles: Container[str]) -> str:
    """The role that errors and marks are about: the adapted body, or a frozen one that nothing adapted."""
    return 'after' if 'after' in roles else 'before'


def stage_people(
    results: Mapping[str, Result],
    adapted: bool,
    body: BodyModel,
    placing: Placing,
    background: Optional[Mapping[str, float]] = None,
) -> StagedPeople:
    """Places the people of one clip as exports do, with the floor of the adapted bodies for both rows.

    Only the feet of the judged row are locked.

    Args:
        results: of the tracks of the clip, by name.
        adapted: whether there is a row ``'after'``; the frozen baseline has only ``'before'``.
        body: the body model of the results.
        placing: options of the placing.
        background: as of :func:`hrtk.visualization.export.people.place_people`.

    Raises:
        InputError: an array of a result has another shape or is not finite.
    """
    body = copy.deepcopy(body).double()  # as exports do
    row = 'after' if adapted else 'before'
    people = place_people(results, row, body, placing, background)
    places = {}
    for name, person in people.items():
        places[name] = {row: _pelvis_path(person.motion, body)}
        if adapted:
            before = place_track(results[name], 'before', body, placing).motion
            if person.motion.floor is not None:
                before = on_floor(before, body, person.motion.floor)
            places[name]['before'] = _pelvis_path(before, body)
    return StagedPeople(_stage(people, places, body), places)


def _stage(
    people: Mapping[str, Placed], places: dict[str, dict[str, np.ndarray]], body: BodyModel
) -> Stage:
    first = next(iter(people.values()))
    motion = first.motion
    rotation, camera = (value.numpy() for value in world_transform(motion, WORLD))
    distances = [
        np.linalg.norm(path - camera, axis=1)
        for by_role in places.values()
        for path in by_role.values()
    ]
    length = FRUSTUM_SHARE * float(np.median(np.concatenate(distances)))
    width, height = motion.image_size
    half = np.array([width, height]) / (2 * motion.focal)
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    corners = np.array([(x * half[0], y * half[1], 1.0) for x, y in signs]) * length
    floor = 0.0
    found = first.facts['floor']
    text = f'The floor was found from standing feet (confidence {found.get("confidence", 0):.2f}).'
    if not found['found']:
        floor = _lowest_feet(people, body, rotation, camera)
        text = f'The floor is assumed: level in the image, under the feet ({found["reason"]}).'
    return Stage(
        level=rotation @ UP_AXES,
        camera=camera,
        corners=corners @ rotation.T + camera,
        floor=floor,
        floor_text=text,
    )


def _lowest_feet(
    people: Mapping[str, Placed], body: BodyModel, rotation: np.ndarray, camera: np.ndarray
) -> float:
    """The median over all people and frames of the height of the lowest sole, metres."""
    lowest = []
    for person in people.values():
        heights = soles_of(person.motion, body) @ rotation[1] + camera[1]
        lowest.append(heights.min((1, 2)))
    return float(np.median(np.concatenate(lowest)))


def _pelvis_path(motion: Motion, body: BodyModel) -> np.ndarray:
    """(F, 3) metres in the world."""
    rotation, camera = world_transform(motion, WORLD)
    pelvis = rest_joints(body, motion.betas)[:, 0] + motion.translation
    return np.asarray(pelvis @ rotation.T + camera)
