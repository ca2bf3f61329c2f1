"""Figures of masks and predicted silhouettes, after adaptation and while an adapter prepares."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from torch import Tensor

from hrtk.adapters import PreparationStep
from hrtk.errors import OptionError
from hrtk.evaluation.silhouettes import SIDE, frame_mask, silhouettes
from hrtk.files import escaped_name
from hrtk.geometry.boxes import crop_image
from hrtk.registry import HOOKS
from hrtk.results import Result
from hrtk.structures import Prediction, Sequence, evenly_spaced
from hrtk.visualization.topology import progress_row, topology_row
from hrtk.visualization.video import write_image


@dataclasses.dataclass(frozen=True)
class _ProgressFrame:
    """A frame whose prediction is recorded while the adapter prepares.

    Attributes:
        path: of the figure.
        image: (SIDE, SIDE, 3) uint8 RGB crop.
        mask: (SIDE, SIDE) bool.
        crop: input of the estimator.
        captions: of the recorded stages.
        silhouettes: (SIDE, SIDE) bool, predicted at the recorded stages.
    """

    path: Path
    image: np.ndarray
    mask: np.ndarray
    crop: Tensor
    captions: list[str] = dataclasses.field(default_factory=list)
    silhouettes: list[np.ndarray] = dataclasses.field(default_factory=list)


@HOOKS.register_module()
class MaskFigureHook(Hook):
    """Writes figures of masks and predicted silhouettes; frames without a usable mask are skipped.

    ``<work_dir>/figures/<name>/<frame_id>_before.png`` and ``_after.png``: image, silhouettes, distance maps and
    skeletons of mask and prediction, as Fig. 2 of "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose
    Recovery". ``<frame_id>_progress.png``, if the adapter prepares over all target sequences: the network's own
    prediction, without any pose prior of the adapter, at ``stages`` further iterations.

    Args:
        frames: number of frames per sequence, evenly spaced.
        sequences: number of sequences, from the first, that are followed while the adapter prepares.
        stages: panels of a progress figure after the first panel, which shows the first iteration.

    Raises:
        InputError: a number is below 1.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, frames: int = 2, sequences: int = 2, stages: int = 6) -> None:
        if min(frames, sequences, stages) < 1:
            raise OptionError(
                f'MaskFigureHook: frames, sequences and stages are at least 1, not {frames}, {sequences}, '
                f'{stages}'
            )
        self.frames = frames
        self.sequences = sequences
        self.stages = stages
        self._progress_frames: list[_ProgressFrame] = []

    def before_test(self, runner: Any) -> None:
        """Reads the followed frames before the adapter reads frames."""
        self._progress_frames = []
        if not is_main_process():
            return
        dataset = runner.test_loop.dataset
        for index in range(min(self.sequences, len(dataset))):
            self._progress_frames += self._read_frames(runner, dataset[index])

    def after_prepare_step(self, runner: Any, step: PreparationStep) -> None:
        """Records the prediction for the followed frames at ``stages + 1`` iterations."""
        if step.stage == 'adapt':
            self._record(runner, step.done, step.total)

    def after_prepare(self, runner: Any) -> None:
        """Draws the progress figures, unless the preparation was loaded from an earlier run."""
        for frame in self._progress_frames:
            if frame.captions:
                figure = progress_row(frame.image, frame.mask, frame.silhouettes, frame.captions)
                write_image(frame.path, figure)
        self._progress_frames = []

    def after_sequence(self, runner: Any, sequence: Sequence, result: Result) -> None:
        """Draws the figures before and after adaptation of some frames of a finished sequence."""
        for t, mask in self._masks(sequence):
            image = _image_crop(sequence, t)
            for name, predictions in (('before', result.before), ('after', result.after)):
                silhouette = _silhouette(runner.model.body, predictions[t : t + 1])
                path = _figure_path(runner, sequence, t, name)
                write_image(path, topology_row(image, mask, silhouette))

    def _record(self, runner: Any, done: int, total: int) -> None:
        """Records the followed frames at the first iteration, the last one and ``stages - 1`` between them."""
        recorded = {round(float(iteration)) for iteration in np.linspace(1, total, self.stages + 1)}
        if done in recorded:
            for frame in self._progress_frames:
                frame.captions.append(str(done))
                frame.silhouettes.append(_predicted_silhouette(runner.model, frame.crop))

    def _masks(self, sequence: Sequence) -> Iterator[tuple[int, np.ndarray]]:
        """Yields some frames of a sequence with their usable masks, (SIDE, SIDE) bool."""
        if sequence.masks is None:
            return
        for t in evenly_spaced(len(sequence), self.frames):
            mask = frame_mask(sequence, t)
            if mask is not None:
                yield t, mask.numpy()

    def _read_frames(self, runner: Any, sequence: Sequence) -> Iterator[_ProgressFrame]:
        for t, mask in self._masks(sequence):
            path = _figure_path(runner, sequence, t, 'progress')
            crop = runner.model.crops(sequence, [t])
            yield _ProgressFrame(path, _image_crop(sequence, t), mask, crop)


def _figure_path(runner: Any, sequence: Sequence, t: int, kind: str) -> Path:
    folder = Path(runner.work_dir) / 'figures' / escaped_name(sequence.name)
    return folder / f'{escaped_name(sequence.frame_ids[t])}_{kind}.png'


def _image_crop(sequence: Sequence, t: int) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 RGB."""
    crop = crop_image(sequence.frames[t], sequence.boxes[t], SIDE)
    return crop.permute(1, 2, 0).round().byte().numpy()


@torch.no_grad()
def _predicted_silhouette(estimator: Any, crop: Tensor) -> np.ndarray:
    return _silhouette(estimator.body, estimator(crop))


def _silhouette(body: Any, prediction: Prediction) -> np.ndarray:
    """(SIDE, SIDE) bool of a single person."""
    device = body.template.device
    return silhouettes(
        body,
        prediction.rotmat.to(device),
        prediction.betas.to(device),
        prediction.camera.to(device),
    )[0].numpy()
