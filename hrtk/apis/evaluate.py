"""``evaluate``: stored results scored again, perhaps under another protocol, without running a network."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Optional

from mmengine.evaluator import Evaluator

from hrtk.apis.stored import body_of, result_folders, stored_config
from hrtk.engine.store import Result
from hrtk.registry import ADAPTERS, DATASETS, METRICS
from hrtk.structures import InputError

AGAIN = 'evaluation'


def evaluate(results: str | Path | Iterable[str | Path], *,
             protocol: Optional[str] = None) -> dict[str, dict[str, float]]:
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
    metrics = [METRICS.build(dict(part, protocol=protocol) if protocol else part)
               for part in (cfg.evaluator if isinstance(cfg.evaluator, list) else [cfg.evaluator])]
    work_dir = folder / AGAIN / '+'.join(dict.fromkeys(metric.protocol.name for metric in metrics))
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dict(getattr(dataset, 'metainfo', None) or {}, body=body, adapter=_name(cfg.adapter),
                                  work_dir=str(work_dir), config=cfg.get('_config_file'), fingerprint=folder.name)
    stored = {result.name: result for result in map(Result.load, sorted(folder.glob('*.npz')))}
    for index in range(len(dataset)):
        sequence = dataset[index]
        result = stored.get(sequence.name)
        if result is None:
            raise InputError(f'{folder}: {sequence.name!r} has no result, {len(stored)} of {len(dataset)} sequences '
                             f'have one; run tools/adapt.py again to finish it')
        if not result.matches(sequence):
            raise InputError(f'{folder}: frames, boxes or keypoints of {sequence.name!r} changed since its result was '
                             f'computed; run tools/adapt.py again')
        evaluator.process(data_samples=[result], data_batch=sequence)
    work_dir.mkdir(parents=True, exist_ok=True)
    return evaluator.evaluate(len(dataset))


def _name(adapter: dict) -> str:
    kind = adapter['type']
    cls = ADAPTERS.get(kind) if isinstance(kind, str) else kind
    return cls.__name__ if cls is not None else kind
