"""Pre-adaptation of 3DHR-Co: a student learns from a temporal teacher's labels, before any frame is predicted.

Lumentut and Lee, "3DHR-Co: A Collaborative Test-Time Refinement Framework for In-the-Wild 3D Human-Body Reconstruction
Task", IEEE Access 2023: Algorithm 1, lines 3-11, and Eq. 1. The teacher sees clean crops and their neighbours in time,
the student the same crops corrupted by noise; both cameras refer to one crop, without which their comparison would mean
nothing. The method is transductive: all frames of the target, not their 3D truth, are seen before the first prediction
counts.
"""

from __future__ import annotations

import time
from typing import Any, Iterator, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.base import Preparation
from hrtk.adapters.parts.crop_reader import Batch, CropReader
from hrtk.adapters.parts.posed import Evidence, Posed
from hrtk.adapters.parts.progress import Learner, Progress
from hrtk.adapters.parts.targets import crop_targets
from hrtk.adapters.source import Source
from hrtk.errors import InputError
from hrtk.geometry.boxes import normalise as to_input
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.losses import betas_loss, keypoint2d_loss, rotmat_loss
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS, CORRUPTIONS, TEACHERS
from hrtk.structures import Prediction, Sequence

TERMS = dict(pose=10.0, betas=0.1, camera=1.0, keypoints2d=1.0)  # lambda 1..4
SAVE_LABELS = 60.0  # seconds of labelling that a kill may cost
FIELDS = ('rotmat', 'betas', 'camera')


@ADAPTERS.register_module()
class PreAdapt(Source):
    """Pre-adaptation; afterwards the adapted model predicts every frame as it is.

    An epoch is what the paper counts: ``sequences`` tracks, drawn without replacement, one batch of ``frames`` random
    frames and one Adam step each. Its "600 epochs" are 601 (checkpoints at 1, 201, 401, 601) of 24 frames, 0.068 % of
    3DPW's test set each. Labels never change and are computed once; BatchNorm keeps its statistics.

    Args:
        teacher: config of the teacher; may be None if only ``keypoints2d`` has a weight.
        epochs: 601 in the paper's best cells.
        sequences: tracks per epoch.
        frames: frames per track and batch.
        lr: rate of Adam, 1e-5 in the paper (ResNet-50).
        adam_betas: Adam's, torch's defaults; the paper is silent.
        max_norm: gradients with a larger norm are shortened to it; None, as in the paper, does nothing. At rates far
            above the paper's, a single batch may otherwise throw the network off its way.
        corruption: config of what is done to the student's crops, or None; the paper's sigma are 35, 50 and 65.
        weights: factors of Eq. 1 that differ from ``pose`` 10, ``betas`` 0.1, ``camera`` 1, ``keypoints2d`` 1. All
            terms are means over numbers: norms as printed would make the factors depend on sizes.
        pose: what theta of Eq. 1 is: ``'rotmat'``, as in SPIN's and DynaBOA's losses, or ``'axis_angle'`` (72 numbers,
            wraps at pi).
        normalise: ``'all'`` or ``'visible'``, of :func:`~hrtk.losses.keypoint2d_loss`.
        skeleton: joints of the 2D term.
        truncate: replay the official loaders' whole-pixel 2D targets.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        save_every: epochs between states that an interrupted run continues from, with the same digits.

    Raises:
        InputError: an option has another value, or the weights ask for a teacher that is not there.
    """

    def __init__(
        self,
        teacher: Optional[dict] = None,
        epochs: int = 601,
        sequences: int = 3,
        frames: int = 8,
        lr: float = 1e-5,
        adam_betas: tuple[float, float] = (0.9, 0.999),
        corruption: Optional[dict] = dict(type='GaussianNoise', sigma=35.0),
        weights: Optional[dict[str, float]] = None,
        pose: str = 'rotmat',
        normalise: str = 'all',
        skeleton: str = 'spin24',
        truncate: bool = False,
        parameters: str = 'all',
        save_every: int = 50,
        max_norm: Optional[float] = None,
    ) -> None:
        super().__init__()
        unknown = set(weights or {}) - set(TERMS)
        if unknown:
            raise InputError(
                f'PreAdapt: weights has no {sorted(unknown)}; its keys are {sorted(TERMS)}'
            )
        if pose not in ('rotmat', 'axis_angle'):
            raise InputError(f"PreAdapt: pose is 'rotmat' or 'axis_angle', not {pose!r}")
        if min(sequences, frames) < 1 or epochs < 0:
            raise InputError(
                f'PreAdapt: sequences and frames are at least 1 and epochs 0, not {sequences}, {frames} '
                f'and {epochs}'
            )
        self.weights = {**TERMS, **(weights or {})}
        self.labelled = any(self.weights[name] for name in ('pose', 'betas', 'camera'))
        if self.labelled and teacher is None:
            raise InputError(
                'PreAdapt: pose, betas and camera are labels of a teacher; name one, or set their '
                'weights to 0 to use 2D keypoints alone'
            )
        self.teacher = TEACHERS.build(teacher) if self.labelled else None
        self.corruption = CORRUPTIONS.build(corruption) if corruption is not None else None
        self.epochs, self.sequences, self.frames, self.save_every = (
            epochs,
            sequences,
            frames,
            save_every,
        )
        self.lr, self.adam_betas, self.pose, self.normalise = lr, tuple(adam_betas), pose, normalise
        if max_norm is not None and not max_norm > 0:
            raise InputError(f'PreAdapt: max_norm is above 0 or None, not {max_norm}')
        self.skeleton, self.truncate, self.parameters, self.max_norm = (
            skeleton,
            truncate,
            parameters,
            max_norm,
        )

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Optional[Preparation] = None
    ) -> dict[str, Tensor]:
        """Pre-adapts the estimator and returns its weights f_s."""
        preparation = preparation or Preparation()
        finished = preparation.result()
        if finished is not None:
            return finished
        seed = torch.initial_seed()
        tracks = [dataset[i] for i in range(len(dataset))]
        estimator.eval().requires_grad_(False)
        labels = self._labels(estimator, tracks, preparation)
        evidence = self._evidence(estimator, tracks)
        learner = Learner(estimator, self.parameters, self.lr, self.adam_betas, self.max_norm)
        progress = Progress(preparation, learner, self.epochs, self.save_every)
        # The paper's sample percentage (0.068 % of 3DPW an epoch), counted with repetition.
        share = min(self.sequences, len(tracks)) * self.frames / sum(map(len, tracks))
        steps = CropReader(estimator, tracks).read(
            batch for epoch in progress for batch in self._draw(tracks, seed + epoch)
        )
        for epoch in progress:
            # One seed per epoch: nothing but the epoch's number has to be known to go on.
            torch.manual_seed(seed + epoch)
            losses = []
            for _ in range(min(self.sequences, len(tracks))):
                (which, frames), crops = next(steps)
                label = labels and labels[which][frames]
                seen = evidence and Evidence(*(part[frames] for part in evidence[which]))
                losses.append(learner.descend(lambda _: self._loss(estimator, crops, label, seen)))
            progress.finish(epoch, loss=sum(losses) / len(losses), passes=(epoch + 1) * share)
        return progress.weights()

    def fingerprint(self) -> dict[str, str]:
        """The teacher's hashes."""
        return self.teacher.fingerprint() if self.teacher is not None else {}

    def _labels(
        self, estimator: Estimator, tracks: SequenceOf[Sequence], preparation: Preparation
    ) -> Optional[list[Prediction]]:
        if self.teacher is None:
            return None
        stored, labels, saved = preparation.load('labels') or {}, [], time.monotonic()
        for number, track in enumerate(tracks):
            if track.name not in stored:
                label = self.teacher.label(track, estimator)
                stored[track.name] = {name: getattr(label, name).detach().cpu() for name in FIELDS}
                preparation.step(number + 1, len(tracks), labelled=number + 1)
                if time.monotonic() - saved > SAVE_LABELS:
                    preparation.save('labels', stored)
                    saved = time.monotonic()
            labels.append(
                Prediction(
                    **{name: v.to(estimator.device) for name, v in stored[track.name].items()}
                )
            )
        preparation.save('labels', stored)
        return labels

    def _evidence(
        self, estimator: Estimator, tracks: SequenceOf[Sequence]
    ) -> Optional[list[tuple[Tensor, Tensor]]]:
        if not self.weights['keypoints2d']:
            return None
        return [
            crop_targets(track, self.skeleton, self.truncate, estimator.device) for track in tracks
        ]

    def _draw(self, tracks: SequenceOf[Sequence], seed: int) -> Iterator[Batch]:
        """An epoch's batches; from a generator of its own, since it is asked ahead of time."""
        random = torch.Generator().manual_seed(seed)
        for which in torch.randperm(len(tracks), generator=random)[: self.sequences].tolist():
            yield (
                which,
                torch.randperm(len(tracks[which]), generator=random)[: self.frames].tolist(),
            )

    def _loss(
        self,
        estimator: Estimator,
        crops: Tensor,
        label: Optional[Prediction],
        evidence: Optional[Evidence],
    ) -> Tensor:
        """Eq. 1 of one batch; crops (B, 3, R, R) in [0, 255]."""
        predicted = estimator(
            to_input(crops if self.corruption is None else self.corruption(crops))
        )
        loss, w = crops.new_zeros(()), self.weights
        if label is not None:
            loss = w['pose'] * self._pose_loss(predicted.rotmat, label.rotmat)
            loss = loss + w['betas'] * betas_loss(predicted.betas, label.betas)
            loss = loss + w['camera'] * (predicted.camera - label.camera).square().mean()
        if evidence is not None:
            posed = Posed.of(predicted, estimator.body)
            loss = loss + w['keypoints2d'] * keypoint2d_loss(
                posed.joints2d, evidence.xy, evidence.confidence, self.normalise
            )
        return loss

    def _pose_loss(self, predicted: Tensor, label: Tensor) -> Tensor:
        if self.pose == 'rotmat':
            return rotmat_loss(predicted, label)
        return (rotmat_to_axis_angle(predicted) - rotmat_to_axis_angle(label)).square().mean()
