"""Tables of joints read back."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from export_parts import FRAMES, expected, free_body, make_body, make_motion

from hrtk.body_models.skeletons import SMPL24
from hrtk.errors import InputError
from hrtk.visualization.export import to_csv, to_json


@pytest.mark.parametrize('kind', ['open', 'smpl'])
def test_tables_hold_the_joints(kind: str, tmp_path) -> None:
    body, motion = make_body(kind, tmp_path), make_motion()
    _, joints = expected(motion, body, 'camera', mean_shape=False)
    pixels = joints[..., :2] / joints[..., 2:] * 700 + (319.5, 179.5)
    rows = list(csv.DictReader(io.StringIO(to_csv(motion, body))))
    assert [row['joint'] for row in rows] == list(SMPL24) * FRAMES
    assert [(int(row['frame']), row['frame_id']) for row in rows[::24]] == list(
        enumerate(motion.frame_ids)
    )
    read = np.array([[float(row[key]) for key in 'xyzuv'] for row in rows]).reshape(FRAMES, 24, 5)
    np.testing.assert_allclose(read[..., :3], joints, atol=1e-5)
    np.testing.assert_allclose(read[..., 3:], pixels, atol=1e-3)
    content = json.loads(to_json(motion, body))
    np.testing.assert_allclose(content['xyz'], joints, atol=1e-5)
    np.testing.assert_allclose(content['uv'], pixels, atol=1e-3)
    assert (
        content['joints'] == list(SMPL24)
        and content['focal'] == 700
        and content['image_size'] == [640, 360]
    )


def test_other_lists_and_odd_labels() -> None:
    motion, body = make_motion(), free_body()
    odd = type(motion)(
        'a',
        motion.rotmat,
        motion.betas,
        motion.translation,
        tuple(f'a,"{t}"' for t in range(FRAMES)),
        25.0,
        motion.image_size,
        motion.focal,
    )
    rows = list(csv.DictReader(io.StringIO(to_csv(odd, body, 'coco17'))))
    assert (
        len(rows) == 17 * FRAMES and rows[0]['joint'] == 'nose' and rows[17]['frame_id'] == 'a,"1"'
    )
    with pytest.raises(InputError, match='no skeleton'):
        to_csv(motion, body, 'smpl42')
