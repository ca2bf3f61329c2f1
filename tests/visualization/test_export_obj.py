"""OBJ files read back: every frame's own vertices and the faces."""

from __future__ import annotations

import io

import numpy as np
import pytest
from export_parts import FRAMES, expected, free_body, make_body, make_motion

from hrtk.visualization.export import to_obj


@pytest.mark.parametrize(
    'kind, world', [('open', 'camera'), ('open', 'y-up'), ('open', 'z-up'), ('smpl', 'y-up')]
)
def test_vertices_of_every_frame(kind: str, world: str, tmp_path) -> None:
    body, motion = make_body(kind, tmp_path), make_motion()
    vertices, _ = expected(motion, body, world, mean_shape=False)
    texts = list(to_obj(motion, body, world))
    assert len(texts) == FRAMES
    for text, wanted in zip(texts, vertices):
        rows = [line.split() for line in text.splitlines()]
        np.testing.assert_allclose(
            np.array([row[1:] for row in rows if row[0] == 'v'], float), wanted, atol=1e-5
        )
        faces = np.array([row[1:] for row in rows if row[0] == 'f'], int)
        np.testing.assert_array_equal(faces - 1, body.faces.numpy())


def test_trimesh_reads_it() -> None:
    trimesh = pytest.importorskip('trimesh', reason='trimesh reads OBJ')
    text = next(to_obj(make_motion(), free_body()))
    mesh = trimesh.load(io.StringIO(text), file_type='obj', process=False, maintain_order=True)
    assert mesh.is_watertight and len(mesh.vertices) == free_body().num_vertices
