"""The log-ratio metric loss: ratios of distances between features approach the ratios of distances between poses.

For an anchor a, a positive i and a negative j, with ``r = D(f_a, f_i) / D(f_a, f_j) * D(y_a, y_j) / D(y_a, y_i)``::

    kim       (log r)^2       Eq. 1: Kim et al., "Deep Metric Learning Beyond Binary Supervision", CVPR 2019
    abs       |log r|
    thesis    log(1 + r)      Eq. 2 of "Few-shot Domain Adaptation for 3D Human Pose and Shape Estimation" (UNIST, 2021)

The first two have their minimum at r = 1, where features preserve the ratios of the labels. ``thesis`` decreases
towards r = 0: it attracts positives to the anchor and repels negatives without bound, whatever the labels are; the
labels only weight its gradient. Its exponent p is inside the logarithm and would be another weight, so it is omitted.

With ``u = log D(f_a, .) - log D(y_a, .)`` for every frame of a batch, ``log r`` of a triplet is ``u_i - u_j``: N
numbers per anchor determine all of its triplets. No tensor is larger than one number per triplet, or per joint and
pair.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Callable, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrtk.errors import InputError, OptionError
from hrtk.geometry.constants import indices
from hrtk.registry import LOSSES

# Beyond 40, log(1 + e^x) equals x to the last digit of a float64; torch's default of 20 has an error of 2e-9.
PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {
    'thesis': functools.partial(F.softplus, threshold=40),
    'kim': torch.square,
    'abs': torch.abs,
}
NEARBY = ('exclude', 'include')
REDUCTIONS = ('sum', 'mean')
ROUNDING = (
    1e-14  # relative error of float64 sums of squares: smaller differences are not significant
)


@dataclasses.dataclass(frozen=True)
class Triplets:
    """Positives and negatives of A anchors among N samples; each positive is compared with each negative.

    Attributes:
        positive: (A, P) indices of samples.
        negative: (A, M) indices of samples.
        valid: (A, P) bool, False where a row of ``positive`` is padded.
    """

    positive: Tensor
    negative: Tensor
    valid: Tensor

    def count(self) -> int:
        """Number of triplets; synchronises with the GPU."""
        return int(self.valid.sum()) * self.negative.shape[1]


def video_triplets(
    anchors: Tensor, length: int, skip: int = 3, nearby: str = 'exclude'
) -> Triplets:
    """Selects positives from the sequence of each anchor frame, and all frames of the other sequences as negatives.

    Section 3.3 of the thesis, where the two formulas for positives are exchanged. The positives of a sequence of S
    frames are, ``skip`` being k:

    * ``'exclude'``: frames farther than k from the anchor, S - 2k - 1 in the middle and up to S - k - 1 at both ends
      (9 to 12 of 16 for k = 3);
    * ``'include'``: frames at most k from it, 2k in the middle and down to k at both ends (6 to 3).

    Args:
        anchors: (B,) frame of each sequence, 0 to S - 1.
        length: S.
        skip: k, the number of frames on either side that are near the anchor.
        nearby: ``'exclude'`` or ``'include'``.

    Returns:
        Triplets over B * S samples, frame t of sequence b at ``b * S + t``.

    Raises:
        InputError: an unknown option, or a number of frames that leaves no positives.
    """
    _check_option('nearby', nearby, NEARBY)
    if nearby == 'exclude':
        most_positives = length - 1 - skip
    else:
        most_positives = min(2 * skip, length - 1)
    if skip < 0 or most_positives < 1:
        raise InputError(
            f'nearby={nearby!r} with skip={skip} leaves no positives in sequences of {length} frames'
        )
    frames = torch.arange(length, device=anchors.device)
    gap = (frames - anchors[:, None]).abs()
    is_positive = gap > skip
    if nearby == 'include':
        is_positive = (gap > 0) & (gap <= skip)
    positives_first = is_positive.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    positive_frames = positives_first[:, :most_positives]
    total = len(anchors) * length
    first_sample = torch.arange(0, total, length, device=anchors.device)[:, None]
    return Triplets(
        positive=first_sample + positive_frames,
        negative=(first_sample + torch.arange(length, total, device=anchors.device)) % total,
        valid=is_positive.gather(1, positive_frames),
    )


def ranked_triplets(label_distance: Tensor, share: float = 0.3) -> Triplets:
    """Selects the samples nearest to each anchor by their labels as positives, and the farthest as negatives.

    Section 3.5 and 4.2 of the thesis: of 128 source frames, 38 and 38 for each of 128 target frames, 184 832 triplets.

    Args:
        label_distance: (A, N) distances or their logarithms.
        share: fraction of the N samples that are positives, and that are negatives, rounded down; above 0, at most 0.5.

    Raises:
        InputError: the share is out of range or below one sample.
    """
    samples = label_distance.shape[1]
    count = int(share * samples + 1e-9)
    if not 0 < share <= 0.5 or count < 1:
        raise InputError(
            f'share={share} of {samples} samples: expected at least one on either side, and at most half'
        )
    order = label_distance.argsort(dim=1, stable=True)
    nearest = order[:, :count]
    farthest = order[:, samples - count :]
    return Triplets(nearest, farthest, torch.ones_like(nearest, dtype=torch.bool))


def log_distance(anchors: Tensor, samples: Tensor, eps: float = 1e-8) -> Tensor:
    """Computes logarithms of Euclidean distances, ``log sqrt(|a - b|^2 + eps)``.

    The squares come from a product of matrices in float64: in float32, the distances between successive frames would be
    lost, and all differences at once would need as much memory as A copies of the samples. Samples that coincide have
    distance 0 and no gradient.

    Args:
        anchors: (A, C).
        samples: (N, C).
        eps: square of the distance that is indistinguishable from 0.

    Returns:
        (A, N) in the type of the anchors.
    """
    a = anchors.double()
    b = samples.double()
    norms = a.square().sum(1)[:, None] + b.square().sum(1)
    squared = norms - 2 * a @ b.T
    significant = squared.detach() > ROUNDING * norms.detach()
    squared = squared.where(significant, squared.new_zeros(()))
    return ((squared + eps).log() / 2).to(anchors.dtype)


def log_pose_distance(
    anchors: Tensor, samples: Tensor, root: Sequence[int] = (2, 3), eps: float = 1e-8
) -> Tensor:
    """Computes logarithms of distances between poses: the mean distance of joints relative to a root.

    The thesis does not specify its labels; this choice is the error that is trained and evaluated.

    Args:
        anchors: (A, J, 3) metres.
        samples: (N, J, 3).
        root: joints whose mean is subtracted, default the hips of ``lsp14`` and ``spin24``.
        eps: as for :func:`log_distance`, square metres.

    Returns:
        (A, N) in the type of the anchors.
    """
    a = _relative_to_root(anchors.double(), root).transpose(0, 1)
    b = _relative_to_root(samples.double(), root).transpose(0, 1)
    distance = torch.cdist(a, b, compute_mode='donot_use_mm_for_euclid_dist').mean(0)
    return ((distance.square() + eps).log() / 2).to(anchors.dtype)


def log_ratio_loss(
    features: Tensor,
    labels: Tensor,
    triplets: Triplets,
    variant: str = 'thesis',
    reduction: str = 'sum',
) -> Tensor:
    """Computes the mean over every anchor's triplets, summed or averaged over the anchors.

    Args:
        features: (A, N) logarithms of the distances between features.
        labels: (A, N) logarithms of the distances between labels.
        triplets: positives and negatives of the anchors.
        variant: ``'thesis'``, ``'kim'`` or ``'abs'``, see the module.
        reduction: ``'sum'`` over anchors as in Eq. 2, which grows with the batch, or ``'mean'``.

    Returns:
        A scalar. Anchors without positives or negatives add 0.

    Raises:
        InputError: an unknown variant or reduction.
    """
    _check_option('variant', variant, tuple(PENALTIES))
    _check_option('reduction', reduction, REDUCTIONS)
    ratio = features - labels
    positive = ratio.gather(1, triplets.positive)
    negative = ratio.gather(1, triplets.negative)
    penalties = PENALTIES[variant](positive[:, :, None] - negative[:, None]).sum(2)
    valid_penalties = penalties.where(triplets.valid, penalties.new_zeros(()))
    counts = triplets.valid.sum(1) * negative.shape[1]
    per_anchor = valid_penalties.sum(1) / counts.clamp_min(1)
    if reduction == 'sum':
        return per_anchor.sum()
    return per_anchor.mean()


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f'{name} is one of {", ".join(map(repr, allowed))}, not {value!r}')


def _relative_to_root(joints: Tensor, root: Sequence[int]) -> Tensor:
    return joints - joints[:, indices(tuple(root), joints)].mean(1, keepdim=True)


@LOSSES.register_module()
class LogRatioLoss(nn.Module):
    """The log-ratio loss of a batch of videos, and between target and source frames.

    Args:
        variant: ``'thesis'`` for the thesis' Eq. 2, its default; ``'kim'`` or ``'abs'`` to preserve distances.
        nearby: rule for positives of a video, see :func:`video_triplets`.
        skip: see :func:`video_triplets`.
        share: of positives and negatives between domains, see :func:`ranked_triplets`.
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
        _check_option('LogRatioLoss: variant', variant, tuple(PENALTIES))
        _check_option('LogRatioLoss: nearby', nearby, NEARBY)
        _check_option('LogRatioLoss: reduction', reduction, REDUCTIONS)
        self.variant = variant
        self.nearby = nearby
        self.skip = skip
        self.share = share
        self.root = tuple(root)
        self.reduction = reduction
        self.eps = eps

    def forward(self, features: Tensor, joints: Tensor, anchors: Optional[Tensor] = None) -> Tensor:
        """Computes the loss of B sequences of S frames.

        Args:
            features: (B, S, C), not normalised; flattened predicted joints are valid, too.
            joints: (B, S, J, 3) true joints, metres. Every sequence of the batch must have them.
            anchors: (B,) anchor frames; None draws them at random.

        Returns:
            A scalar; 0 for a single sequence, which has no negatives.

        Raises:
            InputError: shapes that do not match, or no positives in sequences of this length.
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
        distances = log_distance(features[rows, anchors], features.flatten(0, 1), self.eps)
        return log_ratio_loss(distances, labels, triplets, self.variant, self.reduction)

    def between(
        self, target: Tensor, target_joints: Tensor, source: Tensor, source_joints: Tensor
    ) -> Tensor:
        """Computes the loss of A target frames as anchors among N source frames (Algorithm 1 of the thesis).

        Differentiable by the features of both domains.

        Args:
            target: (A, C).
            target_joints: (A, J, 3) metres.
            source: (N, C).
            source_joints: (N, J, 3).

        Raises:
            InputError: the share of the source frames is below one frame.
        """
        labels = log_pose_distance(target_joints, source_joints, self.root, self.eps)
        triplets = ranked_triplets(labels, self.share)
        distances = log_distance(target, source, self.eps)
        return log_ratio_loss(distances, labels, triplets, self.variant, self.reduction)
