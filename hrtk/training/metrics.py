"""Metrics of validation: means of errors that a training measures per sample."""

from __future__ import annotations

from mmengine.evaluator import BaseMetric

from hrtk.registry import METRICS


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
