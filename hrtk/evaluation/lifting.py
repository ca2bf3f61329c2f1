"""Errors of networks from 2D to 3D joints: per action, on MPI-INF-3DHP, and of completed joints."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from typing import Any, Callable, Mapping, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.evaluation.evaluator import BaseMetric
from hrtk.evaluation.functional import AUC_MM, METRE, mpjpe, pa_mpjpe, pck
from hrtk.geometry.mirror import mirror_points
from hrtk.registry import METRICS

PROTOCOLS = ('h36m', '3dhp', 'completion2d', 'completion3d')
KINDS = ('correct', 'released')
PCK_JOINTS = 14  # of 3DHP's 17; pelvis, spine and head come after them

Errors = dict[str, tuple[np.ndarray, np.ndarray]]


def lifting_errors(
    predicted: np.ndarray,
    truth: np.ndarray,
    protocol: str = 'h36m',
    metric: str = 'correct',
    masked: Optional[np.ndarray] = None,
) -> Errors:
    """Errors of one batch, and how much each item counts in the mean.

    ==============  ===========================================  ================================================
    protocol        ``'correct'``                                ``'released'``, as MPM's code computes it
    ==============  ===========================================  ================================================
    h36m            ``mpjpe_mm`` (P1), ``pa_mpjpe_mm`` (P2)      P2: every item has the mean of its batch
    3dhp            ``pck``, ``auc`` over the 14 official        over all joints, the root included; every batch
                    joints, ``mpjpe_mm`` over 17                 counts the same, whatever its size
    completion2d    ``mpjpe_mm`` over masked joints only         over all joints
    completion3d    ``mpjpe_mm`` over masked joints only         over all joints, visible ones replaced by the truth
    ==============  ===========================================  ================================================

    Completion has ``all_joints_mm``, too: over all joints, nothing replaced. PCK counts joints strictly nearer than 150
    mm; AUC is its mean over 0, 5, ..., 150 mm (Mehta et al., 3DV 2017, ``mpii_compute_3d_pck``).

    Args:
        predicted: (B, F, J, 3) metres, relative to the root.
        truth: (B, F, J, 3) likewise.
        protocol: one of :data:`PROTOCOLS`.
        metric: ``'correct'`` or ``'released'``.
        masked: (B, J) or (B, F, J) bool, joints that were hidden, for completion.

    Returns:
        Per error (B,) values, mm or percent, and (B,) weights.

    Raises:
        InputError: the shapes do not fit the protocol, or masks are missing.
    """
    batch, frames, joints = predicted.shape[:3]
    flat = [np.asarray(array, np.float64).reshape(-1, joints, 3) for array in (predicted, truth)]
    ones = np.ones(batch)

    def per_item(values: np.ndarray) -> np.ndarray:
        return values.reshape(batch, frames).mean(1)

    if protocol.startswith('completion'):
        distance = METRE * np.linalg.norm(flat[0] - flat[1], axis=-1).reshape(batch, -1)
        return _completion(distance, masked, (batch, frames, joints), protocol, metric)
    errors = dict(mpjpe_mm=(per_item(mpjpe(*flat)), ones))
    if protocol == 'h36m':
        aligned = per_item(pa_mpjpe(*flat))
        return dict(
            errors,
            pa_mpjpe_mm=(aligned if metric == 'correct' else np.full(batch, aligned.mean()), ones),
        )
    if metric == 'correct':
        if joints != 17:
            raise InputError(
                f"LiftingEvaluator: protocol '3dhp' scores the official 17 joints, the items have "
                f"{joints}; build the data set with joints='mpi17', or choose metric='released'"
            )
        flat = [points[:, :PCK_JOINTS] for points in flat]
    weights = ones if metric == 'correct' else ones / batch
    return dict(
        errors, pck=(per_item(pck(*flat)), weights), auc=(per_item(pck(*flat, AUC_MM)), weights)
    )


def _completion(
    distance: np.ndarray,
    masked: Optional[np.ndarray],
    shape: tuple[int, int, int],
    protocol: str,
    metric: str,
) -> Errors:
    """Errors of completed joints from (B, F * J) distances in mm."""
    batch, frames, joints = shape
    if masked is None or np.shape(masked) not in ((batch, joints), shape):
        raise InputError(
            f'LiftingEvaluator: {protocol} needs `masked`, bool ({joints},) or ({frames}, {joints}), with '
            f'every item; it is {None if masked is None else np.shape(masked)} for the batch'
        )
    hidden = np.broadcast_to(masked if np.ndim(masked) == 3 else masked[:, None], shape).reshape(
        batch, -1
    )
    ones, count = np.ones(batch), hidden.sum(1).astype(np.float64)
    every = distance.mean(1)
    scored = ((distance * hidden).sum(1) / np.maximum(count, 1), count)
    if metric == 'released':
        scored = (every if protocol == 'completion2d' else (distance * hidden).mean(1), ones)
    return dict(mpjpe_mm=scored, all_joints_mm=(every, ones))


@METRICS.register_module()
class LiftingEvaluator(BaseMetric):
    """Scores 3D joints of windows; ranks exchange one record per window.

    A model's prediction is one dict per item: ``joints3d`` (F, J, 3) metres relative to the root, or (1, J, 3), which
    is compared with the middle frame; and for completion ``masked`` (J,) or (F, J) bool, joints that it was not shown.
    The truth is ``joints3d`` of the batch, and ``action`` says what errors are grouped by.

    Errors as in :func:`lifting_errors`. For ``'h36m'`` the result is the unweighted mean over actions, and each action
    is reported as ``mpjpe_mm/Walking``; for ``'3dhp'`` it is the mean over all frames, as in the official evaluation,
    and each sequence is reported; for completion the mean over everything.

    Args:
        protocol: one of :data:`PROTOCOLS`.
        metric: ``'correct'``, or ``'released'``: as MPM's code computes it, for comparison with its tables.
        root: joint whose predictions are set to the origin, where the truth has it; default 0 for ``'h36m'``, and for
            ``'3dhp'`` 14 of 17 joints and 0 of 16. Completion may hide the root and leaves it as predicted.
        collect_device: how ranks exchange records.

    Raises:
        InputError: there is no such protocol or metric.
    """

    default_prefix = 'lifting'

    def __init__(
        self,
        protocol: str = 'h36m',
        metric: str = 'correct',
        root: Optional[int] = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device)
        for name, value, known in (('protocol', protocol, PROTOCOLS), ('metric', metric, KINDS)):
            if value not in known:
                raise InputError(
                    f'LiftingEvaluator: {name} is one of {", ".join(map(repr, known))}, not {value!r}'
                )
        self.protocol, self.metric, self.root = protocol, metric, root

    def process(
        self, data_batch: Mapping[str, Any], data_samples: SequenceOf[Mapping[str, Any]]
    ) -> None:
        """Measures a batch.

        Args:
            data_batch: collated items of a lifting data set.
            data_samples: what the model says about each, in order.

        Raises:
            InputError: predictions do not fit the items.
        """
        predicted = _stack(sample['joints3d'] for sample in data_samples)
        truth = _stack(data_batch['joints3d'])
        if predicted.ndim == 4 and predicted.shape[1] == 1:
            truth = truth[:, truth.shape[1] // 2][:, None]
        if predicted.shape != truth.shape or predicted.ndim != 4:
            raise InputError(
                f'LiftingEvaluator: predictions are {predicted.shape[1:]} for {len(predicted)} items and '
                f'the truth is {truth.shape[1:]} for {len(truth)}; joints3d of a prediction must be '
                f'(F, J, 3) or (1, J, 3) in the order of the items'
            )
        masked = (
            _stack(sample['masked'] for sample in data_samples)
            if 'masked' in data_samples[0]
            else None
        )
        if not self.protocol.startswith('completion'):
            predicted[:, :, self._root(predicted.shape[2])] = 0
        errors = lifting_errors(predicted, truth, self.protocol, self.metric, masked)
        for number, action in enumerate(data_batch['action']):
            self.results.append(
                (
                    action,
                    {
                        name: (values[number], weights[number])
                        for name, (values, weights) in errors.items()
                    },
                )
            )

    def compute_metrics(
        self, results: list[tuple[str, dict[str, tuple[float, float]]]]
    ) -> dict[str, float]:
        """The means.

        Returns:
            The errors above, those of every action as ``<error>/<action>``, and ``windows``, their number.

        Raises:
            InputError: completion was measured where no joint was masked.
        """
        actions = np.array([action for action, _ in results])
        metrics: dict[str, float] = {}
        for name in results[0][1]:
            values, weights = np.array([errors[name] for _, errors in results]).T
            if not weights.any():
                raise InputError(
                    f'LiftingEvaluator: {name} is over masked joints and none was masked; mask some'
                )
            metrics[name] = float(np.average(values, weights=weights))
            if not self.protocol.startswith('completion'):
                groups = {
                    str(action): float(
                        np.average(values[actions == action], weights=weights[actions == action])
                    )
                    for action in sorted(set(actions))
                }
                if self.protocol == 'h36m':
                    metrics[name] = float(np.mean(list(groups.values())))
                metrics.update({f'{name}/{action}': value for action, value in groups.items()})
        return dict(metrics, windows=len(results))

    def _root(self, joints: int) -> int:
        return (
            self.root
            if self.root is not None
            else (14 if self.protocol == '3dhp' and joints == 17 else 0)
        )


@torch.no_grad()
def average_with_mirror(
    predict: Callable[[Tensor, Optional[Tensor]], Tensor],
    poses: Tensor,
    order: SequenceOf[int],
    masked: Optional[Tensor] = None,
    metric: str = 'correct',
) -> Tensor:
    """Test-time flip: the mean of what a network says about poses and about their mirror images, mirrored back.

    The mask is mirrored with the pose. MPM's code keeps it, so that a joint hidden on one side is seen in the mirror;
    ``metric='released'`` does that, too.

    Args:
        predict: (2B, F, J, D) poses and their masks, or None, -> (2B, f, J, 3).
        poses: (B, F, J, D) 2D or 3D.
        order: the data set's ``mirror``.
        masked: (B, J) or (B, F, J) bool, True where hidden.
        metric: ``'correct'`` or ``'released'``.

    Returns:
        (B, f, J, 3).
    """
    order = list(order)
    both = masked
    if masked is not None:
        both = torch.cat([masked, masked if metric == 'released' else masked[..., order]])
    straight, mirrored = predict(torch.cat([poses, mirror_points(poses, order)]), both).chunk(2)
    return (straight + mirror_points(mirrored, order)) / 2


def _stack(values: Any) -> np.ndarray:
    """Tensors or arrays of items, or a batch of them, as one new array."""
    if not isinstance(values, (Tensor, np.ndarray)):
        values = torch.stack([torch.as_tensor(value) for value in values])
    return torch.as_tensor(values).detach().cpu().numpy().copy()
