"""Pictures of what an adapter that learns from masks compares, and of how the network comes closer to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, NamedTuple, Optional

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from torch import Tensor

from hrtk.adapters import PreparationStep
from hrtk.engine.output_hook import spread
from hrtk.errors import InputError
from hrtk.files import escaped_name
from hrtk.geometry.boxes import crop_image
from hrtk.geometry.camera import crop_points
from hrtk.geometry.coverage import cover
from hrtk.geometry.masks import crop_mask
from hrtk.registry import HOOKS
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.visualization.topology import progress_row, topology_row
from hrtk.visualization.video import write_picture

SIDE = 224  # px of the crops that are drawn


class _Probe(NamedTuple):
    """A frame that is looked at again and again."""

    path: Path
    picture: np.ndarray
    mask: np.ndarray
    crop: Tensor
    seen: list[tuple[str, np.ndarray]]


@HOOKS.register_module()
class MaskFigureHook(Hook):
    """Writes figures of masks and predicted silhouettes; frames without a usable mask are left out.

    ``<work_dir>/figures/<name>/<frame_id>_before.png`` and ``_after.png``: picture, silhouettes, distance maps and
    skeletons of mask and prediction, as Fig. 2 of "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose
    Recovery". ``<frame_id>_progress.png``, where the adapter prepares over the whole target: the network's own
    prediction, without any pose prior of the adapter, at ``stages`` points of the way.

    Args:
        frames: of every sequence, evenly spread.
        sequences: how many of the first ones are followed while the adapter prepares.
        stages: panels of a progress picture after the first, which shows the first iteration.

    Raises:
        InputError: a number is below 1.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, frames: int = 2, sequences: int = 2, stages: int = 6) -> None:
        if min(frames, sequences, stages) < 1:
            raise InputError(
                f'MaskFigureHook: frames, sequences and stages are at least 1, not {frames}, {sequences}, '
                f'{stages}'
            )
        self.frames, self.sequences, self.stages = frames, sequences, stages
        self._probes: list[_Probe] = []

    def before_test(self, runner: Any) -> None:
        """Reads the frames to be followed before anybody else reads frames."""
        self._probes = []
        if is_main_process():
            dataset = runner.test_loop.dataset
            for index in range(min(self.sequences, len(dataset))):
                self._probes += list(self._open(runner, dataset[index]))

    def after_prepare_step(self, runner: Any, step: PreparationStep) -> None:
        """Looks at the followed frames at a few points of the way."""
        if step.stage != 'adapt' or not self._probes:
            return
        if step.done in {round(float(v)) for v in np.linspace(1, step.total, self.stages + 1)}:
            self._look(runner, str(step.done))

    def after_prepare(self, runner: Any) -> None:
        """Draws how the followed frames went, unless the preparation was taken from an earlier run."""
        for probe in self._probes:
            if probe.seen:
                captions, masks = zip(*probe.seen)
                write_picture(probe.path, progress_row(probe.picture, probe.mask, masks, captions))
        self._probes = []

    def after_sequence(self, runner: Any, sequence: Sequence, result: Result) -> None:
        """Draws both figures of some frames of a finished sequence."""
        if sequence.masks is None:
            return
        body = runner.model.body
        for t in spread(len(sequence), self.frames):
            mask = _mask(sequence, t)
            if mask is None:
                continue
            picture = _picture(sequence, t)
            for name, predictions in (('before', result.before), ('after', result.after)):
                now = predictions[t : t + 1]
                seen = _silhouette(body, now.rotmat, now.betas, now.camera)
                write_picture(_path(runner, sequence, t, name), topology_row(picture, mask, seen))

    def _open(self, runner: Any, sequence: Sequence) -> Iterator[_Probe]:
        if sequence.masks is None:
            return
        for t in spread(len(sequence), self.frames):
            mask = _mask(sequence, t)
            if mask is not None:
                yield _Probe(
                    _path(runner, sequence, t, 'progress'),
                    _picture(sequence, t),
                    mask,
                    runner.model.crops(sequence, [t]),
                    [],
                )

    @torch.no_grad()
    def _look(self, runner: Any, caption: str) -> None:
        for probe in self._probes:
            seen = runner.model(probe.crop)
            probe.seen.append(
                (caption, _silhouette(runner.model.body, seen.rotmat, seen.betas, seen.camera))
            )


def _path(runner: Any, sequence: Sequence, t: int, kind: str) -> Path:
    folder = Path(runner.work_dir) / 'figures' / escaped_name(sequence.name)
    return folder / f'{escaped_name(sequence.frame_ids[t])}_{kind}.png'


def _picture(sequence: Sequence, t: int) -> np.ndarray:
    return (
        crop_image(sequence.frames[t], sequence.boxes[t], SIDE)
        .permute(1, 2, 0)
        .round()
        .byte()
        .numpy()
    )


def _mask(sequence: Sequence, t: int) -> Optional[np.ndarray]:
    crop, _ = crop_mask(
        sequence.masks[t],
        sequence.frames[t].shape[:2],
        sequence.boxes[t],
        SIDE,
        f'{sequence.name}, mask of frame {sequence.frame_ids[t]}',
    )
    return None if crop is None else crop.numpy()


@torch.no_grad()
def _silhouette(body: Any, rotmat: Tensor, betas: Tensor, camera: Tensor) -> np.ndarray:
    points = crop_points(
        body(*(value.to(body.template.device) for value in (rotmat, betas))).vertices,
        camera.to(body.template.device),
        SIDE,
    )
    return cover(points, body.faces, (SIDE, SIDE)).mask[0].cpu().numpy()
