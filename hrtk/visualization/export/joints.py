"""Named joints as tables: metres in the camera frame, and pixels of the image."""

from __future__ import annotations

import csv
import io
import json

import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names
from hrtk.visualization.export.motion import Motion

COLUMNS = ('frame', 'frame_id', 'joint', 'x', 'y', 'z', 'u', 'v', 'seconds')
DECIMALS = 6


@torch.no_grad()
def joint_positions(
    motion: Motion, body: BodyModel, skeleton: str = 'smpl24'
) -> tuple[Tensor, Tensor]:
    """Joints in the camera frame and in the image, with the shape of each frame.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.
        skeleton: a list of :mod:`hrtk.body_models.skeletons`.

    Returns:
        (F, J, 3) metres, x right, y down, z away from the viewer; (F, J, 2) px, with (0, 0) at the centre of the
        top-left pixel.

    Raises:
        InputError: the skeleton is unknown, or the body's files lack a joint of it.
    """
    template = body.template
    joints = body.joints(motion.rotmat.to(template), motion.betas.to(template), skeleton)
    xyz = joints.double().cpu() + motion.translation[:, None]
    centre = (torch.tensor(motion.image_size, dtype=xyz.dtype) - 1) / 2
    uv = xyz[..., :2] * motion.focal / xyz[..., 2:] + centre
    return xyz, uv


def to_csv(motion: Motion, body: BodyModel, skeleton: str = 'smpl24') -> str:
    """A CSV table with the columns :data:`COLUMNS` and a row per frame and joint, see :func:`joint_positions`."""
    xyz, uv = joint_positions(motion, body, skeleton)
    positions = torch.cat([xyz, uv], -1).tolist()
    names = joint_names(skeleton)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    writer.writerow(COLUMNS)
    seconds = motion.times
    for frame, frame_id in enumerate(motion.frame_ids):
        for name, values in zip(names, positions[frame]):
            texts = [f'{value:.{DECIMALS}f}' for value in [*values, seconds[frame]]]
            writer.writerow([frame, frame_id, name, *texts])
    return table.getvalue()


def to_json(motion: Motion, body: BodyModel, skeleton: str = 'smpl24') -> str:
    """A JSON object of the same positions.

    Its keys are ``name``, ``skeleton``, ``joints`` (J names), ``frame_ids``, ``fps``, ``seconds`` (F, after the
    first frame), ``image_size``, ``focal``, ``xyz`` (F, J, 3) metres and ``uv`` (F, J, 2) px.
    """
    xyz, uv = joint_positions(motion, body, skeleton)
    return json.dumps(
        dict(
            name=motion.name,
            skeleton=skeleton,
            joints=joint_names(skeleton),
            frame_ids=motion.frame_ids,
            fps=motion.fps,
            seconds=motion.times.tolist(),
            image_size=motion.image_size,
            focal=motion.focal,
            xyz=_rounded(xyz),
            uv=_rounded(uv),
        )
    )


def _rounded(values: Tensor) -> list:
    """Nested lists of numbers of six decimals."""
    factor = 10**DECIMALS
    return values.mul(factor).round().div(factor).tolist()
