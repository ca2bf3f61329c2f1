"""A few labelled frames of the target, drawn evenly over its sequences."""

from __future__ import annotations

from typing import NamedTuple, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.few_shot.labels import Labels, labels_of_frames
from hrtk.body_models.gendered import GenderedBodies
from hrtk.errors import InputError
from hrtk.models.estimators import ClipEstimator, Estimator
from hrtk.structures import Sequence


class Shot(NamedTuple):
    """A labelled frame, or a clip of consecutive labelled frames.

    Attributes:
        sequence: index of the sequence.
        frames: indices of the frames.
    """

    sequence: int
    frames: range


def draw_shots(sequences: SequenceOf[Sequence], count: int, seed: int, clip: int = 1) -> list[Shot]:
    """Draws labelled frames, or clips of them, evenly over the sequences.

    Each round takes one of the remaining shots of every sequence, in random order. The order does not depend on
    ``count``: with the same seed, a smaller draw is the beginning of a larger one.

    Args:
        sequences: sequences; only valid frames with ground-truth bodies can be drawn.
        count: number of shots; with ``clip`` above 1, number of clips.
        seed: seed of the draw.
        clip: consecutive frames per shot; clips begin at multiples of ``clip``.

    Raises:
        InputError: the sequences have fewer shots than ``count``.
    """
    random = torch.Generator().manual_seed(seed)
    queues = [
        _shuffled(candidate_shots(index, sequence, clip), random)
        for index, sequence in enumerate(sequences)
    ]
    rounds = max(map(len, queues), default=0)
    drawn: list[Shot] = []
    for number in range(rounds):
        shots = [queue[number] for queue in queues if number < len(queue)]
        drawn += _shuffled(shots, random)
    check_count(len(drawn), count, len(sequences), clip)
    return drawn[:count]


def check_count(available: int, count: int, sequences: int, clip: int) -> None:
    """Raises an error if fewer shots are available than wanted."""
    if available >= count:
        return
    unit = 'frames' if clip == 1 else f'clips of {clip} frames'
    raise InputError(
        f'{count} labelled {unit} are wanted; {sequences} sequences have {available} of them with a true '
        f'body (rotmat and betas); ask for fewer shots or name another `labelled` data set'
    )


def candidate_shots(index: int, sequence: Sequence, clip: int) -> list[Shot]:
    """Returns all possible shots of one sequence, in temporal order; ``index`` is the index of the sequence."""
    starts = range(0, len(sequence) - clip + 1, clip)
    shots = [Shot(index, range(start, start + clip)) for start in starts]
    return [shot for shot in shots if _is_labelled(sequence, shot.frames)]


def read_shots(
    estimator: Estimator,
    sequences: SequenceOf[Sequence],
    shots: SequenceOf[Shot],
    bodies: Optional[GenderedBodies] = None,
) -> tuple[Tensor, list[Labels]]:
    """Reads the crops and labels of shots.

    Args:
        estimator: defines the crops and provides the body model of neutral betas.
        sequences: the sequences from which the shots were drawn.
        shots: N shots, at least one.
        bodies: body models of gendered ground truth, or None.

    Returns:
        (N, 3, R, R) crops or (N, T, 3, R, R) clips, and the labels of each shot.

    Raises:
        InputError: the estimator does not take clips, or a gendered body model is missing.
    """
    clip = len(shots[0].frames)
    if clip > 1 and not isinstance(estimator, ClipEstimator):
        raise InputError(
            f'{type(estimator).__name__} takes single images, not clips of {clip} frames; set clip=1'
        )
    crops = [estimator.crops(sequences[shot.sequence], shot.frames) for shot in shots]
    labels = [
        labels_of_frames(estimator, sequences[shot.sequence], shot.frames, bodies) for shot in shots
    ]
    return torch.cat(crops), labels


def _is_labelled(sequence: Sequence, frames: range) -> bool:
    truth = sequence.truth
    if truth is None or truth.rotmat is None or truth.betas is None:
        return False
    if truth.valid is None:
        return True
    return bool(truth.valid[frames.start : frames.stop].all())


def _shuffled(shots: list[Shot], random: torch.Generator) -> list[Shot]:
    order = torch.randperm(len(shots), generator=random).tolist()
    return [shots[i] for i in order]
