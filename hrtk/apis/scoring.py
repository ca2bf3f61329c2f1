"""``evaluate``: stored results scored again, perhaps under another protocol, without running a network."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Optional

from mmengine.evaluator import Evaluator

from hrtk.apis.look.stored import adapter_name, body_of, result_folders, stored_config, stored_pairs
from hrtk.registry import DATASETS, METRICS

AGAIN = 'evaluation'


def evaluate(
    results: str | Path | Iterable[str | Path], *, protocol: Optional[str] = None
) -> dict[str, dict[str, float]]:
    """Scores stored results against the ground truth of the data set that their config names.

    Args:
        results: folders of results, ``<work_dir>/results/<fingerprint>``, or work dirs, of which every folder of
            results is taken.
        protocol: name of an evaluation protocol; default the one they were scored with.

    Returns:
        Metrics as :func:`hrtk.apis.adapt` gives them, by folder of results. They are also printed, and written to
        ``evaluation/<protocol>/metrics.json`` in that folder.

    Raises:
        InputError: there are no results, some are missing or were made from other data, or the protocol is unknown or
            does not fit the ground truth.
    """
    given = [results] if isinstance(results, (str, Path)) else results
    folders = [found for folder in given for found in result_folders(Path(folder))]
    return {str(folder): _evaluate(folder, protocol) for folder in folders}


def _evaluate(folder: Path, protocol: Optional[str]) -> dict[str, float]:
    cfg = stored_config(folder / 'run.json')
    dataset, body = DATASETS.build(cfg.dataset), body_of(cfg.estimator)
    metrics = [
        METRICS.build(dict(part, protocol=protocol) if protocol else part)
        for part in (cfg.evaluator if isinstance(cfg.evaluator, list) else [cfg.evaluator])
    ]
    work_dir = folder / AGAIN / '+'.join(dict.fromkeys(metric.protocol.name for metric in metrics))
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dict(
        getattr(dataset, 'metainfo', None) or {},
        body=body,
        work_dir=str(work_dir),
        adapter=adapter_name(cfg.adapter),
        config=cfg.get('_config_file'),
        fingerprint=folder.name,
    )
    for sequence, result in stored_pairs(folder, dataset):
        evaluator.process(data_samples=[result], data_batch=sequence)
    work_dir.mkdir(parents=True, exist_ok=True)
    return evaluator.evaluate(len(dataset))
