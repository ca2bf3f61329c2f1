"""OBJ: the mesh of every frame as text, which most 3D programs read."""

from __future__ import annotations

from typing import Iterator

from hrtk.body_models import BodyModel
from hrtk.visualization.export.motion import Motion, in_world, posed


def to_obj(motion: Motion, body: BodyModel, world: str = 'y-up') -> Iterator[str]:
    """Yields the texts of F OBJ files, metres, with the shape and the pose blend shapes of each frame.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
        world: ``'y-up'``, which most programs expect, ``'z-up'`` or ``'camera'``.
    """
    faces = body.faces.cpu().numpy() + 1
    face_lines = ('f %d %d %d\n' * len(faces)) % tuple(faces.ravel().tolist())
    for output in posed(in_world(motion, body, world), body):
        for vertices in output.vertices:
            coordinates = tuple(vertices.flatten().tolist())
            yield ('v %.6f %.6f %.6f\n' * len(vertices)) % coordinates + face_lines
