"""Metrics of validation: means of errors that a training measures per sample."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from hrtk.evaluation import accel_error, mpjpe, pa_mpjpe
from hrtk.registry import METRICS
from hrtk.training.supervision import centred


class SampleMeans(BaseMetric):
    """Means over the samples of the validation."""

    default_prefix = 'views'
    keys: tuple[str, ...] = ()  # of the numbers of a sample

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Collects the numbers of each sample."""
        for sample in data_samples:
            self.results.append({key: float(sample[key]) for key in self.keys})

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Returns the means."""
        means = {}
        for key in self.keys:
            means[key] = sum(row[key] for row in results) / len(results)
        return means


@METRICS.register_module()
class ViewError(SampleMeans):
    """Mean joint error over held-out views, mm (``spin24``, hip-centred)."""

    keys = ('mpjpe_mm',)


@METRICS.register_module()
class ClipError(SampleMeans):
    """Mean joint error in mm and mean error of acceleration in mm/frame^2 over held-out clips of equal length."""

    keys = ('mpjpe_mm', 'accel_mm')


@METRICS.register_module()
class VIBEErrors(BaseMetric):
    """The errors that VIBE's evaluator prints, over all frames of all clips.

    ``mpjpe_mm`` and ``pa_mpjpe_mm`` of 14 joints relative to the middle of the hips; ``pve_mm``, of vertices that are
    not aligned, over frames with a body; ``accel_mm``, the error of acceleration (``ACCEL_ERR``), and
    ``accel_pred_mm``, the acceleration of the prediction itself (``ACCEL``, which tables of other papers call the
    acceleration error), both in mm/frame^2 and, as in the released code, also over the borders of clips and videos.
    """

    default_prefix = 'clips'

    def process(self, data_batch: dict, data_samples: list[dict[str, Tensor]]) -> None:
        """Collects the joints and vertex errors of each clip."""
        for sample in data_samples:
            self.results.append({name: value.float().cpu() for name, value in sample.items()})

    def compute_metrics(self, results: list[dict[str, Tensor]]) -> dict[str, float]:
        """Returns the numbers above."""
        joints = centred(torch.cat([clip['joints'] for clip in results]))
        true_joints = centred(torch.cat([clip['true_joints'] for clip in results]))
        at_rest = torch.zeros_like(joints)
        metrics = dict(
            mpjpe_mm=mpjpe(joints, true_joints).mean(),
            pa_mpjpe_mm=pa_mpjpe(joints, true_joints).mean(),
            accel_mm=accel_error(joints, true_joints).mean(),
            accel_pred_mm=accel_error(joints, at_rest).mean(),
        )
        vertex_errors = torch.cat([clip['pve_mm'] for clip in results]).double().numpy()
        if not np.isnan(vertex_errors).all():
            metrics['pve_mm'] = np.nanmean(vertex_errors)
        return {name: float(value) for name, value in metrics.items()}
