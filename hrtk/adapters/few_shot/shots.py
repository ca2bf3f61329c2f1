"""A few labelled frames of the target, and what supervision makes of labelled crops."""

from __future__ import annotations

import dataclasses
from typing import Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.parts.posed import SKELETON, Posed
from hrtk.adapters.parts.source_bank import SourceBatch
from hrtk.adapters.parts.targets import crop_targets
from hrtk.body_models import BodyModel
from hrtk.body_models.gendered import WHERE, GenderedBodies
from hrtk.errors import InputError
from hrtk.losses import betas_loss, hips, keypoint2d_loss, keypoint3d_loss, rotmat_loss
from hrtk.models.estimators import Estimator
from hrtk.structures import Sequence

Shot = tuple[int, range]  # which sequence, which of its frames


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labels of N frames.

    Attributes:
        rotmat: (N, 24, 3, 3).
        betas: (N, 10).
        neutral: (N, 1), 1 where the betas belong to the estimator's body and 0 where to that of a gender.
        joints: (N, 24, 3) ``spin24``, metres.
        points: (N, 24, 2) ``spin24`` in [-1, 1].
        confidence: (N, 24) of the points.
    """

    rotmat: Tensor
    betas: Tensor
    neutral: Tensor
    joints: Tensor
    points: Tensor
    confidence: Tensor

    @staticmethod
    def of_source(batch: SourceBatch, body: BodyModel) -> Labels:
        """Those of source crops, or of all frames of source clips, whose bodies are the estimator's."""
        rotmat, betas = batch.rotmat.reshape(-1, 24, 3, 3), batch.betas.reshape(-1, 10)
        points = batch.keypoints2d.reshape(-1, 24, 2)
        with torch.no_grad():
            joints = body.joints(rotmat, betas, SKELETON)
        return Labels(
            rotmat,
            betas,
            torch.ones_like(betas[:, :1]),
            joints,
            points,
            torch.ones_like(points[..., 0]),
        )

    @staticmethod
    def cat(parts: SequenceOf[Labels]) -> Labels:
        """Those of all parts, one after the other."""
        names = [field.name for field in dataclasses.fields(Labels)]
        return Labels(
            **{name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        )

    def losses(self, posed: Posed) -> dict[str, Tensor]:
        """The terms of SPIN's and VIBE's supervision without factors: squared errors, joints relative to the hips."""
        prediction = posed.prediction
        return dict(
            keypoints2d=keypoint2d_loss(posed.joints2d, self.points, self.confidence),
            joints3d=keypoint3d_loss(posed.joints3d, self.joints, root=hips(SKELETON)),
            rotmat=rotmat_loss(prediction.rotmat, self.rotmat),
            betas=betas_loss(self.neutral * prediction.betas, self.neutral * self.betas),
        )


def draw_shots(sequences: SequenceOf[Sequence], count: int, seed: int, clip: int = 1) -> list[Shot]:
    """Draws labelled frames, or clips of them, evenly over the sequences.

    Rounds take one shot from every sequence that has any left, in random order. The order does not depend on
    ``count``: with one seed, a smaller draw is the beginning of a larger one.

    Args:
        sequences: those with true bodies count, their frames that are valid.
        count: shots wanted; clips, not frames.
        seed: of the draw.
        clip: consecutive frames of a shot; clips begin at its multiples.

    Raises:
        InputError: there are not so many.
    """
    random = torch.Generator().manual_seed(seed)
    queues = []
    for which, sequence in enumerate(sequences):
        starts = [
            start
            for start in range(0, len(sequence) - clip + 1, clip)
            if _labelled(sequence, slice(start, start + clip))
        ]
        queues.append(
            [
                (which, range(starts[i], starts[i] + clip))
                for i in torch.randperm(len(starts), generator=random).tolist()
            ]
        )
    drawn: list[Shot] = []
    for turn in range(max(map(len, queues), default=0)):
        members = [queue[turn] for queue in queues if turn < len(queue)]
        drawn += [members[i] for i in torch.randperm(len(members), generator=random).tolist()]
    if len(drawn) < count:
        what = 'frames' if clip == 1 else f'clips of {clip} frames'
        raise InputError(
            f'{count} labelled {what} are wanted; {len(sequences)} sequences have {len(drawn)} of them '
            f'with a true body (rotmat and betas); ask for fewer shots or name another `labelled` data '
            f'set'
        )
    return drawn[:count]


def read_shots(
    estimator: Estimator,
    sequences: SequenceOf[Sequence],
    shots: SequenceOf[Shot],
    bodies: Optional[GenderedBodies] = None,
) -> tuple[Tensor, list[Labels]]:
    """Crops of N shots, (N, 3, R, R) or (N, T, 3, R, R), and the labels of each.

    Args:
        estimator: says how a frame becomes a crop, and whose body neutral betas belong to.
        sequences: which the shots were drawn from.
        shots: at least one.
        bodies: for truth that belongs to a gendered body.

    Raises:
        InputError: the estimator does not take clips, or truth belongs to a body that is not there.
    """
    crops = [estimator.crops(sequences[which], frames) for which, frames in shots]
    if len(crops[0]) != 1:
        raise InputError(
            f'{type(estimator).__name__} takes single pictures, not clips of {len(crops[0])} frames; set '
            f'clip=1'
        )
    return torch.cat(crops), [
        _labels(estimator, sequences[which], frames, bodies) for which, frames in shots
    ]


def _labelled(sequence: Sequence, frames: slice) -> bool:
    truth = sequence.truth
    if truth is None or truth.rotmat is None or truth.betas is None:
        return False
    return truth.valid is None or bool(truth.valid[frames].all())


@torch.no_grad()
def _labels(
    estimator: Estimator, sequence: Sequence, frames: range, bodies: Optional[GenderedBodies]
) -> Labels:
    truth, like = sequence.truth, next(estimator.parameters())
    neutral = truth.gender == 'neutral'
    if not neutral and bodies is None:
        raise InputError(
            f'{sequence.name}: its bodies are {truth.gender}; give the adapter bodies=dict(male=..., '
            f'female=...). {WHERE}'
        )
    body = estimator.body if neutral else bodies.get(truth.gender, like=estimator.body)
    rotmat, betas = (value[list(frames)].to(like) for value in (truth.rotmat, truth.betas))
    points, confidence = (
        value[list(frames)].to(like) for value in crop_targets(sequence, SKELETON)
    )
    return Labels(
        rotmat,
        betas,
        torch.full_like(betas[:, :1], float(neutral)),
        body.joints(rotmat, betas, SKELETON),
        points,
        confidence,
    )
