"""The log-ratio metric loss: distances between features shall stand to each other as distances between poses do.

For an anchor a, a positive i and a negative j, with ``r = D(f_a, f_i) / D(f_a, f_j) * D(y_a, y_j) / D(y_a, y_i)``::

    kim       (log r)^2       Eq. 1: Kim et al., "Deep Metric Learning Beyond Binary Supervision", CVPR 2019
    abs       |log r|
    thesis    log(1 + r)      Eq. 2 of "Few-shot Domain Adaptation for 3D Human Pose and Shape Estimation" (UNIST, 2021)

The first two are least at r = 1, where features keep the ratios of the labels. ``thesis`` falls on towards r = 0: it
pulls positives to the anchor and pushes negatives away without bound, whatever the labels say; they weigh its gradient
only. Its exponent p stands inside the logarithm and would be another weight, so there is none.

With ``u = log D(f_a, .) - log D(y_a, .)`` for every frame of a batch, ``log r`` of a triplet is ``u_i - u_j``. So N
numbers per anchor stand for all its triplets. Nothing is larger than one number per triplet, or per joint and pair.
"""

from __future__ import annotations

import dataclasses
from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError
from hrtk.registry import LOSSES

# Beyond 40, log(1 + e^x) is x to the last digit of a float64; torch's own limit of 20 leaves 2e-9.
PENALTIES = {'thesis': lambda x: F.softplus(x, threshold=40), 'kim': torch.square, 'abs': torch.abs}
NEARBY = ('exclude', 'include')
REDUCTIONS = ('sum', 'mean')
ROUNDING = 1e-14  # of float64 sums of squares, relative: smaller differences of them mean nothing


@dataclasses.dataclass(frozen=True)
class Triplets:
    """Which of N samples every one of A anchors is compared by: each of its positives with each of its negatives.

    Attributes:
        positive: (A, P) places among the samples.
        negative: (A, M).
        counted: (A, P) bool, False where a row of ``positive`` is filled up.
    """

    positive: Tensor
    negative: Tensor
    counted: Tensor

    def count(self) -> int:
        """How many triplets there are; waits for the GPU."""
        return int(self.counted.sum()) * self.negative.shape[1]


def video_triplets(
    anchors: Tensor, length: int, skip: int = 3, nearby: str = 'exclude'
) -> Triplets:
    """One anchor frame per sequence of a batch, positives from its sequence, all frames of the others as negatives.

    Section 3.3 of the thesis, where the two formulas for positives have changed places. In a sequence of S frames
    there are, ``skip`` being k:

    * ``'exclude'``: frames farther than k from the anchor, S - 2k - 1 in the middle and up to S - k - 1 at both ends
      (9 to 12 of 16 for k = 3);
    * ``'include'``: frames at most k from it, 2k in the middle and down to k at both ends (6 to 3).

    Args:
        anchors: (B,) frame of each sequence, 0 to S - 1.
        length: S.
        skip: k, frames that count as near the anchor.
        nearby: ``'exclude'`` or ``'include'``.

    Returns:
        Triplets over B * S samples, frame t of sequence b at ``b * S + t``.

    Raises:
        InputError: an unknown rule, or a number of frames that leaves no positives.
    """
    if nearby not in NEARBY:
        raise InputError(f'nearby is one of {NEARBY}, not {nearby!r}')
    most = length - 1 - skip if nearby == 'exclude' else min(2 * skip, length - 1)
    if skip < 0 or most < 1:
        raise InputError(
            f'nearby={nearby!r} with skip={skip} leaves no positives in sequences of {length} frames'
        )
    frames = torch.arange(length, device=anchors.device)
    gap = (frames - anchors[:, None]).abs()
    wanted = gap > skip if nearby == 'exclude' else (gap > 0) & (gap <= skip)
    order = wanted.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
    total = len(anchors) * length
    own = torch.arange(0, total, length, device=anchors.device)[:, None]
    others = (own + torch.arange(length, total, device=anchors.device)) % total
    return Triplets(own + order, others, wanted.gather(1, order))


def ranked_triplets(label_distance: Tensor, share: float = 0.3) -> Triplets:
    """The samples nearest to each anchor by their labels as positives, the farthest as negatives.

    Section 3.5 and 4.2 of the thesis: of 128 source frames, 38 and 38 for each of 128 target frames, 184 832 triplets.

    Args:
        label_distance: (A, N) distances or their logarithms.
        share: of the N samples on either side, rounded down; above 0, at most 0.5.

    Raises:
        InputError: the share is out of range or not even one sample.
    """
    samples = label_distance.shape[1]
    count = int(share * samples + 1e-9)
    if not 0 < share <= 0.5 or count < 1:
        raise InputError(
            f'share={share} of {samples} samples: expected at least one on either side, and at most half'
        )
    order = label_distance.argsort(dim=1, stable=True)
    near = order[:, :count]
    return Triplets(near, order[:, samples - count :], torch.ones_like(near, dtype=torch.bool))


def log_distance(anchors: Tensor, samples: Tensor, eps: float = 1e-8) -> Tensor:
    """Logarithms of Euclidean distances, ``log sqrt(|a - b|^2 + eps)``.

    The squares come from a product of matrices in float64: in float32 it would lose the distances between neighbours
    in time, and all differences at once would take as much memory as A copies of the samples. Samples that coincide
    have distance 0 and no gradient.

    Args:
        anchors: (A, C).
        samples: (N, C).
        eps: square of the distance that cannot be told from none.

    Returns:
        (A, N) in the type of the anchors.
    """
    a, b = anchors.double(), samples.double()
    squares = a.square().sum(1)[:, None] + b.square().sum(1)
    apart = squares - 2 * a @ b.T
    apart = apart.where(apart.detach() > ROUNDING * squares.detach(), apart.new_zeros(()))
    return ((apart + eps).log() / 2).to(anchors.dtype)


def log_pose_distance(
    anchors: Tensor, samples: Tensor, root: Sequence[int] = (2, 3), eps: float = 1e-8
) -> Tensor:
    """Logarithms of distances between poses: joints relative to a root, the mean over joints of their distance.

    The thesis does not say what its labels are; this choice is the error that they are trained and scored by.

    Args:
        anchors: (A, J, 3) metres.
        samples: (N, J, 3).
        root: joints whose mean is subtracted, default the hips of ``lsp14`` and ``spin24``.
        eps: as for :func:`log_distance`, square metres.

    Returns:
        (A, N) in the type of the anchors.
    """
    a, b = (
        (joints - joints[:, list(root)].mean(1, keepdim=True)).transpose(0, 1)
        for joints in (anchors.double(), samples.double())
    )
    distance = torch.cdist(a, b, compute_mode='donot_use_mm_for_euclid_dist').mean(0)
    return ((distance.square() + eps).log() / 2).to(anchors.dtype)


def log_ratio_loss(
    features: Tensor,
    labels: Tensor,
    triplets: Triplets,
    variant: str = 'thesis',
    reduction: str = 'sum',
) -> Tensor:
    """The mean over every anchor's triplets, summed or averaged over the anchors.

    Args:
        features: (A, N) logarithms of the distances between features.
        labels: (A, N) logarithms of the distances between labels.
        triplets: which to compare.
        variant: ``'thesis'``, ``'kim'`` or ``'abs'``, see the module.
        reduction: ``'sum'`` over anchors as in Eq. 2, which grows with the batch, or ``'mean'``.

    Returns:
        A scalar. Anchors without positives or negatives add 0.

    Raises:
        InputError: an unknown variant or reduction.
    """
    if variant not in PENALTIES or reduction not in REDUCTIONS:
        raise InputError(
            f'the variant is one of {tuple(PENALTIES)} and the reduction one of {REDUCTIONS}, not '
            f'{variant!r} and {reduction!r}'
        )
    ratio = features - labels
    near, far = ratio.gather(1, triplets.positive), ratio.gather(1, triplets.negative)
    penalties = PENALTIES[variant](near[:, :, None] - far[:, None]).sum(2)
    counts = triplets.counted.sum(1) * far.shape[1]
    per_anchor = penalties.where(triplets.counted, penalties.new_zeros(())).sum(
        1
    ) / counts.clamp_min(1)
    return per_anchor.sum() if reduction == 'sum' else per_anchor.mean()


@LOSSES.register_module()
class LogRatioLoss(nn.Module):
    """The loss of a batch of videos, and that between target and source frames.

    Args:
        variant: ``'thesis'`` for the thesis' Eq. 2, its default; ``'kim'`` or ``'abs'`` to keep distances.
        nearby: positives of a video, see :func:`video_triplets`.
        skip: the same.
        share: positives and negatives between domains, see :func:`ranked_triplets`.
        root: joints that poses are relative to, see :func:`log_pose_distance`.
        reduction: see :func:`log_ratio_loss`.
        eps: see :func:`log_distance`.

    Raises:
        InputError: an unknown variant, rule or reduction.
    """

    def __init__(
        self,
        variant: str = 'thesis',
        nearby: str = 'exclude',
        skip: int = 3,
        share: float = 0.3,
        root: Sequence[int] = (2, 3),
        reduction: str = 'sum',
        eps: float = 1e-8,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ('variant', variant, tuple(PENALTIES)),
            ('nearby', nearby, NEARBY),
            ('reduction', reduction, REDUCTIONS),
        ):
            if value not in known:
                raise InputError(f'LogRatioLoss: {name} is one of {known}, not {value!r}')
        self.variant, self.nearby, self.skip, self.share = variant, nearby, skip, share
        self.root, self.reduction, self.eps = tuple(root), reduction, eps

    def forward(self, features: Tensor, joints: Tensor, anchors: Optional[Tensor] = None) -> Tensor:
        """The loss of B sequences of S frames.

        Args:
            features: (B, S, C), not normalised; flattened predicted joints will do too.
            joints: (B, S, J, 3) true joints, metres. Sequences without them must not be in the batch.
            anchors: (B,) anchor frames; None draws them.

        Returns:
            A scalar; 0 for a single sequence, which has no negatives.

        Raises:
            InputError: shapes that do not fit, or no positives in sequences of this length.
        """
        if features.ndim != 3 or joints.ndim != 4 or joints.shape[:2] != features.shape[:2]:
            raise InputError(
                f'LogRatioLoss takes features (B, S, C) and joints (B, S, J, 3), not '
                f'{tuple(features.shape)} and {tuple(joints.shape)}'
            )
        batch, length = features.shape[:2]
        if anchors is None:
            anchors = torch.randint(length, (batch,), device=features.device)
        rows = torch.arange(batch, device=features.device)
        triplets = video_triplets(anchors, length, self.skip, self.nearby)
        labels = log_pose_distance(joints[rows, anchors], joints.flatten(0, 1), self.root, self.eps)
        found = log_distance(features[rows, anchors], features.flatten(0, 1), self.eps)
        return log_ratio_loss(found, labels, triplets, self.variant, self.reduction)

    def between(
        self, target: Tensor, target_joints: Tensor, source: Tensor, source_joints: Tensor
    ) -> Tensor:
        """The loss of A target frames as anchors among N source frames (Algorithm 1 of the thesis).

        Gradients reach the features of both.

        Args:
            target: (A, C).
            target_joints: (A, J, 3) metres.
            source: (N, C).
            source_joints: (N, J, 3).

        Raises:
            InputError: the share of the source frames is not even one.
        """
        labels = log_pose_distance(target_joints, source_joints, self.root, self.eps)
        triplets = ranked_triplets(labels, self.share)
        return log_ratio_loss(
            log_distance(target, source, self.eps), labels, triplets, self.variant, self.reduction
        )
