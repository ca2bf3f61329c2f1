"""``view``: the bodies of a finished run in an interactive browser window."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional
from typing import Sequence as SequenceOf

import numpy as np
from mmengine.config import Config

from hrtk.apis.config_check import configs_of
from hrtk.apis.doubts import doubtful_frames
from hrtk.apis.look.clips import clips_of, stage_clip
from hrtk.apis.look.stored import (
    adapter_name,
    bodies_by_role,
    latest_folder,
    stored_body,
    stored_config,
    stored_pairs,
)
from hrtk.body_models import BodyModel
from hrtk.errors import InputError, named_config
from hrtk.evaluation.protocols import Protocol, get_protocol
from hrtk.evaluation.report import BEFORE
from hrtk.registry import DATASETS
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.visualization.doubts import Doubt
from hrtk.visualization.export import Placing
from hrtk.visualization.overlays import draw_keypoints, person_region
from hrtk.visualization.playback import pelvis_meshes
from hrtk.visualization.stage import Stage, StagedPeople
from hrtk.visualization.viewer import MeshViewer, ViewedPerson


def view(
    work_dir: str | Path,
    *,
    sequence: Optional[str] = None,
    port: int = 8080,
    host: str = '127.0.0.1',
    focal: Optional[float] = None,
    fov: Optional[float] = None,
    viewing_ray: bool = True,
) -> MeshViewer:
    """Serves the stored bodies of one sequence before and after adaptation, with the ground truth where it is known.

    Floor, camera and the other people of the same clip are shown with them, and the doubtful frames are marked.

    Args:
        work_dir: of the run, or one of the folders in its ``results/``.
        sequence: name of the sequence; default the first.
        port: first port to try.
        host: address to listen on.
        focal: as of :func:`hrtk.apis.look.exporting.export`.
        fov: likewise.
        viewing_ray: whether bodies of footage without ground truth are turned by the viewing ray of their crop.

    Returns:
        The running viewer; ``stop()`` ends it.

    Raises:
        InputError: viser is missing, the sequence is unknown, or results are missing or of other data.
    """
    placing = Placing(focal, fov, viewing_ray)
    folder = latest_folder(Path(work_dir))
    cfg = stored_config(folder / 'run.json')
    body = stored_body(folder)
    with named_config(folder / 'run.json'):
        dataset = DATASETS.build(cfg.dataset)
    pairs = {candidate.name: (candidate, of) for candidate, of in stored_pairs(folder, dataset)}
    name = sequence
    if name is None:
        name = next(iter(pairs))
    if name not in pairs:
        raise InputError(
            f'{folder}: there is no sequence {sequence!r}; there are {", ".join(list(pairs)[:8])}'
        )
    people, chosen, stage = _clip_of(name, pairs, dataset, cfg, body, placing)
    return MeshViewer(
        people,
        chosen,
        faces=body.faces.cpu().numpy(),
        fps=pairs[name][0].fps,
        stage=stage,
        rows={'before': BEFORE, 'after': adapter_name(cfg.adapter)},
        title=name,
        port=port,
        host=host,
    )


def _clip_of(
    name: str,
    pairs: dict[str, tuple[Sequence, Result]],
    dataset: Any,
    cfg: Config,
    body: BodyModel,
    placing: Placing,
) -> tuple[list[ViewedPerson], int, Stage]:
    """The people of the clip of a sequence, the index of the sequence among them, and the world of the clip."""
    results = {other: result for other, (_, result) in pairs.items()}
    (clip,) = [clip for clip in clips_of(dataset, results) if name in clip.frames]
    adapted = adapter_name(cfg.adapter) != BEFORE
    protocol = _protocol(cfg)
    of_clip = {other: results[other] for other in clip.frames}
    staged = stage_clip(dataset, pairs[name][0], of_clip, adapted, body, placing, protocol)
    people = []
    for other, frames in clip.frames.items():
        candidate, result = pairs[other]
        bodies = bodies_by_role(candidate, result, adapted, placing, protocol)
        doubts = doubtful_frames(dataset, candidate, result, body)
        people.append(_viewed(candidate, result, body, bodies, frames, staged, doubts))
    return people, list(clip.frames).index(name), staged.stage


def _protocol(cfg: Config) -> Protocol:
    """The protocol of the first metric of a stored config."""
    evaluator = configs_of(cfg, 'evaluator')[0]
    with named_config(cfg.filename):
        return get_protocol(evaluator.get('protocol', 'open'))


def _viewed(
    sequence: Sequence,
    result: Result,
    body: BodyModel,
    bodies: dict[str, tuple[Any, Any]],
    frames: SequenceOf[int],
    staged: StagedPeople,
    doubts: list[Doubt],
) -> ViewedPerson:
    meshes = {role: pelvis_meshes(body, rotmat, betas) for role, (rotmat, betas) in bodies.items()}

    def frame_image(frame: int) -> np.ndarray:
        image = sequence.frames[frame]
        image_size = (image.shape[1], image.shape[0])
        x0, y0, x1, y1 = person_region(sequence.boxes[frame : frame + 1], image_size)
        drawn = draw_keypoints(image, result.keypoints2d[frame], result.skeleton)
        return np.ascontiguousarray(drawn[y0:y1, x0:x1])

    return ViewedPerson(
        sequence.name,
        frames,
        sequence.frame_ids,
        meshes,
        staged.places_of(sequence.name, meshes),
        frame_image,
        doubts,
    )
