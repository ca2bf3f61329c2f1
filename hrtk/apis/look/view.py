"""``view``: the bodies of a finished run in an interactive window of the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.apis.look.stored import (
    adapter_name,
    bodies_by_role,
    latest_folder,
    stored_body,
    stored_config,
    stored_pairs,
)
from hrtk.errors import InputError
from hrtk.evaluation.report import BEFORE
from hrtk.registry import DATASETS
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.visualization.overlay import draw_keypoints, person_region
from hrtk.visualization.playback import pelvis_meshes
from hrtk.visualization.viewer import MeshViewer


def view(
    work_dir: str | Path,
    *,
    sequence: Optional[str] = None,
    port: int = 8080,
    host: str = '127.0.0.1',
) -> MeshViewer:
    """Serves the stored bodies of one sequence before and after adaptation, with the truth where it is known.

    Args:
        work_dir: of the run, or one of the folders in its ``results/``.
        sequence: its name; default the first.
        port: where to start looking for a free port.
        host: address to listen on.

    Returns:
        The running viewer; ``stop()`` ends it.

    Raises:
        InputError: viser is missing, there is no such sequence, or results are missing or of other data.
    """
    folder = latest_folder(Path(work_dir))
    cfg = stored_config(folder / 'run.json')
    body, pairs = stored_body(folder), stored_pairs(folder, DATASETS.build(cfg.dataset))
    names = []
    for found, result in pairs:
        names.append(found.name)
        if sequence in (None, found.name):
            return _viewer(found, result, body, adapter_name(cfg.adapter), port, host)
    raise InputError(
        f'{folder}: there is no sequence {sequence!r}; there are {", ".join(names[:8])}'
    )


def _viewer(
    sequence: Sequence, result: Result, body: Any, adapter: str, port: int, host: str
) -> MeshViewer:
    bodies = bodies_by_role(sequence, result, adapted=adapter != BEFORE)
    meshes = {role: pelvis_meshes(body, *values) for role, values in bodies.items()}

    def picture(frame: int) -> np.ndarray:
        image = sequence.frames[frame]
        x0, y0, x1, y1 = person_region(sequence.boxes[frame : frame + 1], image.shape[1::-1])
        drawn = draw_keypoints(image, result.keypoints2d[frame], result.skeleton)
        return np.ascontiguousarray(drawn[y0:y1, x0:x1])

    return MeshViewer(
        meshes,
        body.faces.cpu().numpy(),
        sequence.frame_ids,
        picture,
        sequence.fps,
        {'before': BEFORE, 'after': adapter},
        sequence.name,
        port,
        host,
    )
