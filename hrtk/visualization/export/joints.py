"""Named joints as tables: metres before the camera, and pixels of the picture."""

from __future__ import annotations

import csv
import io
import json

import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.visualization.export.motion import Motion

COLUMNS = ('frame', 'frame_id', 'joint', 'x', 'y', 'z', 'u', 'v')


@torch.no_grad()
def joint_positions(
    motion: Motion, body: BodyModel, skeleton: str = 'smpl24'
) -> tuple[Tensor, Tensor]:
    """Joints before the camera and in the picture, with the shape of each frame.

    Args:
        motion: in the camera frame.
        body: the body model that it is for.
        skeleton: a list of :mod:`hrtk.body_models.skeletons`.

    Returns:
        (F, J, 3) metres, x right, y down, z away from the viewer; (F, J, 2) px, the centre of the top-left pixel
        being (0, 0).

    Raises:
        InputError: the skeleton is unknown, or the body's files lack what it needs.
    """
    like = body.template
    points = body.joints(motion.rotmat.to(like), motion.betas.to(like), skeleton).double().cpu()
    points = points + motion.translation[:, None]
    centre = (torch.tensor(motion.image_size, dtype=points.dtype) - 1) / 2
    return points, points[..., :2] * motion.focal / points[..., 2:] + centre


def to_csv(motion: Motion, body: BodyModel, skeleton: str = 'smpl24') -> str:
    """A row per frame and joint; columns as in :data:`COLUMNS`, values as :func:`joint_positions` gives them."""
    xyz, uv = joint_positions(motion, body, skeleton)
    numbers, names = torch.cat([xyz, uv], -1).tolist(), joint_names(skeleton)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    writer.writerow(COLUMNS)
    for frame, (label, joints) in enumerate(zip(motion.frame_ids, numbers)):
        writer.writerows(
            [frame, label, name, *(f'{value:.6f}' for value in values)]
            for name, values in zip(names, joints)
        )
    return table.getvalue()


def to_json(motion: Motion, body: BodyModel, skeleton: str = 'smpl24') -> str:
    """The same as one object: ``name``, ``skeleton``, ``joints`` (J names), ``frame_ids``, ``fps``, ``image_size``,
    ``focal``, ``xyz`` (F, J, 3) metres and ``uv`` (F, J, 2) px.
    """
    xyz, uv = (
        values.mul(1e6).round().div(1e6).tolist()
        for values in joint_positions(motion, body, skeleton)
    )
    return json.dumps(
        dict(
            name=motion.name,
            skeleton=skeleton,
            joints=joint_names(skeleton),
            frame_ids=motion.frame_ids,
            fps=motion.fps,
            image_size=motion.image_size,
            focal=motion.focal,
            xyz=xyz,
            uv=uv,
        )
    )
