"""Errors of networks that lift 2D to 3D joints: per action, on MPI-INF-3DHP, and of completed joints."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from typing import Any, Callable, Mapping, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.joint_orders import ORDERS, root_of
from hrtk.errors import InputError, OptionError
from hrtk.evaluation.evaluator import BaseMetric
from hrtk.evaluation.functional import AUC_MM, MM_PER_METRE, mpjpe, pa_mpjpe, pck
from hrtk.geometry.mirror import mirror_points
from hrtk.registry import METRICS

PROTOCOLS = ('h36m', '3dhp', 'completion2d', 'completion3d')
VARIANTS = ('correct', 'released')
PCK_JOINTS = 14  # of 3DHP's 17; pelvis, spine and head follow them

Errors = dict[str, tuple[np.ndarray, np.ndarray]]


def lifting_errors(
    predicted: np.ndarray,
    truth: np.ndarray,
    protocol: str = 'h36m',
    metric: str = 'correct',
    masked: Optional[np.ndarray] = None,
) -> Errors:
    """Errors of one batch, and the weight of each item in the mean.

    ==============  ===========================================  ================================================
    protocol        ``'correct'``                                ``'released'``, as MPM's code computes it
    ==============  ===========================================  ================================================
    h36m            ``mpjpe_mm`` (P1), ``pa_mpjpe_mm`` (P2)      P2: every item has the mean of its batch
    3dhp            ``pck``, ``auc`` over the 14 official        over all joints, the root included; every batch
                    joints, ``mpjpe_mm`` over 17                 has the same weight, whatever its size
    completion2d    ``mpjpe_mm`` over masked joints only         over all joints
    completion3d    ``mpjpe_mm`` over masked joints only         over all joints, visible ones replaced by the truth
    ==============  ===========================================  ================================================

    Completion also has ``all_joints_mm``: over all joints, none replaced. PCK counts joints strictly nearer than 150
    mm; AUC is its mean over 0, 5, ..., 150 mm (Mehta et al., 3DV 2017, ``mpii_compute_3d_pck``).

    Args:
        predicted: (B, F, J, 3) metres, relative to the root.
        truth: (B, F, J, 3) metres, relative to the root.
        protocol: one of :data:`PROTOCOLS`.
        metric: ``'correct'`` or ``'released'``.
        masked: (B, J) or (B, F, J) bool, hidden joints, for completion.

    Returns:
        Per error (B,) values, mm or percent, and (B,) weights.

    Raises:
        InputError: the shapes do not fit the protocol, or masks are missing.
    """
    joints = predicted.shape[2]
    frame_predicted = np.asarray(predicted, np.float64).reshape(-1, joints, 3)
    frame_truth = np.asarray(truth, np.float64).reshape(-1, joints, 3)
    shape = predicted.shape[:3]
    if protocol.startswith('completion'):
        distance = MM_PER_METRE * np.linalg.norm(frame_predicted - frame_truth, axis=-1)
        return _completion_errors(distance.reshape(shape), masked, protocol, metric)
    if protocol == 'h36m':
        return _h36m_errors(frame_predicted, frame_truth, shape, metric)
    return _3dhp_errors(frame_predicted, frame_truth, shape, metric)


def _h36m_errors(
    predicted: np.ndarray, truth: np.ndarray, shape: tuple[int, ...], metric: str
) -> Errors:
    """MPJPE and PA-MPJPE of (B * F, J, 3) joints."""
    weights = np.ones(shape[0])
    aligned = _per_item(pa_mpjpe(predicted, truth), shape)
    if metric == 'released':
        aligned = np.full(len(aligned), aligned.mean())
    return dict(
        mpjpe_mm=(_per_item(mpjpe(predicted, truth), shape), weights),
        pa_mpjpe_mm=(aligned, weights),
    )


def _3dhp_errors(
    predicted: np.ndarray, truth: np.ndarray, shape: tuple[int, ...], metric: str
) -> Errors:
    """MPJPE, PCK and AUC of (B * F, J, 3) joints."""
    batch, _, joints = shape
    ones = np.ones(batch)
    errors = dict(mpjpe_mm=(_per_item(mpjpe(predicted, truth), shape), ones))
    if metric == 'correct':
        if joints != 17:
            raise InputError(
                f"LiftingEvaluator: protocol '3dhp' scores the official 17 joints, the items have "
                f"{joints}; build the data set with joints='mpi17', or choose metric='released'"
            )
        weights = ones
        predicted = predicted[:, :PCK_JOINTS]
        truth = truth[:, :PCK_JOINTS]
    else:
        weights = ones / batch
    return dict(
        errors,
        pck=(_per_item(pck(predicted, truth), shape), weights),
        auc=(_per_item(pck(predicted, truth, AUC_MM), shape), weights),
    )


def _per_item(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Means over the frames of each item: (B * F,) -> (B,)."""
    return values.reshape(shape[:2]).mean(1)


def _completion_errors(
    distance: np.ndarray, masked: Optional[np.ndarray], protocol: str, metric: str
) -> Errors:
    """Errors of completed joints from (B, F, J) distances in mm."""
    batch, frames, joints = distance.shape
    if masked is None or np.shape(masked) not in ((batch, joints), distance.shape):
        mask_shape = None if masked is None else np.shape(masked)
        raise InputError(
            f'LiftingEvaluator: {protocol} needs `masked`, bool ({joints},) or ({frames}, {joints}), with '
            f'every item; it is {mask_shape} for the batch'
        )
    if masked.ndim == 2:
        masked = masked[:, None]
    hidden = np.broadcast_to(masked, distance.shape).reshape(batch, -1)
    distance = distance.reshape(batch, -1)
    weights = np.ones(batch)
    all_joints = distance.mean(1)
    count = hidden.sum(1).astype(np.float64)
    if metric == 'correct':
        scored = ((distance * hidden).sum(1) / np.maximum(count, 1), count)
    elif protocol == 'completion2d':
        scored = (all_joints, weights)
    else:
        scored = ((distance * hidden).mean(1), weights)
    return dict(mpjpe_mm=scored, all_joints_mm=(all_joints, weights))


@METRICS.register_module()
class LiftingEvaluator(BaseMetric):
    """Scores 3D joints of windows; ranks exchange one record per window.

    A model predicts one dict per item: ``joints3d`` (F, J, 3) metres relative to the root, or (1, J, 3), which is
    compared with the middle frame; and for completion ``masked`` (J,) or (F, J) bool, joints that were hidden from the
    model. The batch holds the ground truth as ``joints3d``, ``action``, which errors are grouped by, and
    ``joint_order``, as :class:`~hrtk.datasets.PoseWindows` have it.

    A sample with ``true_root_depth`` was predicted with the true depth of the root and the camera, as of
    :class:`~hrtk.models.lifting.RefinedLifter`. Its errors are called ``mpjpe_true_depth_mm`` and so on, so that they
    cannot be taken for those of a network that sees 2D joints alone.

    Errors as in :func:`lifting_errors`. For ``'h36m'`` the result is the unweighted mean over actions, and each action
    is reported as ``mpjpe_mm/Walking``; for ``'3dhp'`` it is the mean over all frames, as in the official evaluation,
    and each sequence is reported; for completion it is the mean over all items.

    Args:
        protocol: one of :data:`PROTOCOLS`.
        metric: ``'correct'``, or ``'released'``: as MPM's code computes it, for comparison with its tables.
        root: joint whose predictions are set to the origin, where the ground truth has it; default the root of the
            batch's ``joint_order``. Completion may hide the root and leaves it as predicted.
        collect_device: how ranks exchange records.

    Raises:
        InputError: the protocol or the metric is unknown.
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
        for name, value, known in (
            ('protocol', protocol, PROTOCOLS),
            ('metric', metric, VARIANTS),
        ):
            if value not in known:
                raise OptionError(
                    f'LiftingEvaluator: {name} is one of {", ".join(map(repr, known))}, not {value!r}'
                )
        self.protocol = protocol
        self.metric = metric
        self.root = root
        self.completion = protocol.startswith('completion')

    def process(
        self, data_batch: Mapping[str, Any], data_samples: SequenceOf[Mapping[str, Any]]
    ) -> None:
        """Measures a batch.

        Args:
            data_batch: collated items of a lifting data set.
            data_samples: the prediction for each item, in order.

        Raises:
            InputError: predictions do not fit the items.
        """
        predicted = _stack([sample['joints3d'] for sample in data_samples])
        truth = _stack(data_batch['joints3d'])
        if predicted.ndim == 4 and predicted.shape[1] == 1:
            truth = truth[:, truth.shape[1] // 2][:, None]
        if predicted.shape != truth.shape or predicted.ndim != 4:
            raise InputError(
                f'LiftingEvaluator: predictions are {predicted.shape[1:]} for {len(predicted)} items and '
                f'the truth is {truth.shape[1:]} for {len(truth)}; joints3d of a prediction must be '
                f'(F, J, 3) or (1, J, 3) in the order of the items'
            )
        masked = None
        if 'masked' in data_samples[0]:
            masked = _stack([sample['masked'] for sample in data_samples])
        if not self.completion:
            predicted[:, :, self._root_joint(data_batch)] = 0
        errors = lifting_errors(predicted, truth, self.protocol, self.metric, masked)
        if data_samples[0].get('true_root_depth'):
            errors = {_with_true_depth(name): value for name, value in errors.items()}
        for i, action in enumerate(data_batch['action']):
            weighted_errors = {
                name: (values[i], weights[i]) for name, (values, weights) in errors.items()
            }
            self.results.append((action, weighted_errors))

    def compute_metrics(
        self, results: list[tuple[str, dict[str, tuple[float, float]]]]
    ) -> dict[str, float]:
        """Averages the errors.

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
            if self.completion:
                continue
            per_action = _means_by_action(actions, values, weights)
            if self.protocol == 'h36m':
                metrics[name] = float(np.mean(list(per_action.values())))
            metrics.update({f'{name}/{action}': mean for action, mean in per_action.items()})
        return dict(metrics, windows=len(results))

    def _root_joint(self, data_batch: Mapping[str, Any]) -> int:
        """Index of the root of a batch's joints."""
        orders = set(data_batch.get('joint_order', ()))
        if self.protocol == '3dhp' and self.metric == 'correct' and orders - {'mpi17'}:
            raise InputError(
                f"LiftingEvaluator: protocol '3dhp' scores the official 17 joints, the items have the "
                f"order {min(orders)!r}; build the data set with joints='mpi17', or choose metric='released'"
            )
        if self.root is not None:
            return self.root
        if len(orders) != 1:
            raise InputError(
                f'LiftingEvaluator: the items have {len(orders)} joint orders, so their root is unknown; give '
                f'every item the same `joint_order` (of {", ".join(ORDERS)}), or set root'
            )
        return root_of(orders.pop())


def _with_true_depth(name: str) -> str:
    """The name of an error of predictions that were told the depth of the root."""
    stem = name.removesuffix('_mm')
    return f'{stem}_true_depth{name.removeprefix(stem)}'


def _means_by_action(
    actions: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    means = {}
    for action in sorted(set(actions)):
        items = actions == action
        means[str(action)] = float(np.average(values[items], weights=weights[items]))
    return means


@torch.no_grad()
def average_with_mirror(
    predict: Callable[[Tensor, Optional[Tensor]], Tensor],
    poses: Tensor,
    order: SequenceOf[int],
    masked: Optional[Tensor] = None,
    metric: str = 'correct',
) -> Tensor:
    """Test-time flip: the mean of a network's prediction for poses and its mirrored prediction for mirrored poses.

    The mask is mirrored with the pose. MPM's code does not mirror it, so that a joint hidden on one side is visible in
    the mirror image; ``metric='released'`` reproduces that.

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
    both_masks = None
    if masked is not None:
        mirrored_mask = masked
        if metric != 'released':
            mirrored_mask = masked[..., order]
        both_masks = torch.cat([masked, mirrored_mask])
    both_poses = torch.cat([poses, mirror_points(poses, order)])
    straight, mirrored = predict(both_poses, both_masks).chunk(2)
    return (straight + mirror_points(mirrored, order)) / 2


def _stack(values: Any) -> np.ndarray:
    """Copies a batch, or stacks the tensors or arrays of its items, into a new array."""
    if not isinstance(values, (Tensor, np.ndarray)):
        values = torch.stack([torch.as_tensor(value) for value in values])
    return torch.as_tensor(values).detach().cpu().numpy().copy()
