"""OBJ: the mesh of every frame as text, which everything reads."""

from __future__ import annotations

from typing import Iterator

from hrtk.body_models import BodyModel
from hrtk.visualization.export.motion import Motion, in_world, posed


def to_obj(motion: Motion, body: BodyModel, world: str = 'y-up') -> Iterator[str]:
    """The texts of F OBJ files, metres, with the shape and the pose blend shapes of each frame.

    Args:
        motion: in the camera frame.
        body: the body model that it is for.
        world: ``'y-up'``, which most programs expect, ``'z-up'`` or ``'camera'``.
    """
    faces = body.faces.cpu().numpy() + 1
    ending = ('f %d %d %d\n' * len(faces)) % tuple(faces.ravel().tolist())
    for output in posed(in_world(motion, body, world), body):
        for vertices in output.vertices:
            yield ('v %.6f %.6f %.6f\n' * len(vertices)) % tuple(
                vertices.flatten().tolist()
            ) + ending
