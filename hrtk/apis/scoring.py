"""``evaluate``: scores stored results again, under any protocol, without running a network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from mmengine.evaluator import Evaluator

from hrtk.apis.config_check import configs_of
from hrtk.apis.look.stored import adapter_name, body_of, result_folders, stored_config, stored_pairs
from hrtk.registry import DATASETS, METRICS

FOLDER = 'evaluation'


def evaluate(
    results: str | Path | Iterable[str | Path], *, protocol: Optional[str] = None
) -> dict[str, dict[str, float]]:
    """Scores stored results against the ground truth of the data set that their config names.

    Args:
        results: folders of results, ``<work_dir>/results/<fingerprint>``, or work dirs, for all of their folders of
            results.
        protocol: name of an evaluation protocol; default the one they were scored with.

    Returns:
        Metrics as of :func:`hrtk.apis.adapt`, by folder of results. They are also printed, and written to
        ``evaluation/<protocol>/metrics.json`` in that folder.

    Raises:
        InputError: there are no results, some are missing or were computed from other data, or the protocol is unknown
            or does not fit the ground truth.
    """
    paths = [results] if isinstance(results, (str, Path)) else results
    folders: list[Path] = []
    for path in paths:
        folders.extend(result_folders(Path(path)))
    return {str(folder): _evaluate(folder, protocol) for folder in folders}


def _evaluate(folder: Path, protocol: Optional[str]) -> dict[str, float]:
    cfg = stored_config(folder / 'run.json')
    dataset = DATASETS.build(cfg.dataset)
    body = body_of(cfg.estimator)
    evaluators = configs_of(cfg, 'evaluator')
    if protocol:
        evaluators = [{**part, 'protocol': protocol} for part in evaluators]
    metrics = [METRICS.build(part) for part in evaluators]
    protocols = dict.fromkeys(metric.protocol.name for metric in metrics)
    work_dir = folder / FOLDER / '+'.join(protocols)
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = {
        **(getattr(dataset, 'metainfo', None) or {}),
        'body': body,
        'work_dir': str(work_dir),
        'adapter': adapter_name(cfg.adapter),
        'config': cfg.get('_config_file'),
        'fingerprint': folder.name,
    }
    for sequence, result in stored_pairs(folder, dataset):
        evaluator.process(data_samples=[result], data_batch=sequence)
    work_dir.mkdir(parents=True, exist_ok=True)
    return evaluator.evaluate(len(dataset))
