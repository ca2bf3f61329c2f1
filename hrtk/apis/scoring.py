"""``evaluate``, ``evaluate_joints``: score stored results and joints of other programs, without running a network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.evaluator import Evaluator

from hrtk.apis.adaptation import load_config
from hrtk.apis.assets import require_assets
from hrtk.apis.config_check import configs_of
from hrtk.apis.look.stored import adapter_name, body_of, result_folders, stored_config, stored_pairs
from hrtk.engine.runner import check_keys
from hrtk.errors import InputError, named_config
from hrtk.evaluation import MeshEvaluator
from hrtk.evaluation.stored_joints import read_joints
from hrtk.files import escaped_name
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


def evaluate_joints(
    joints: str | Path,
    config: str | Path | dict | Config,
    *,
    cfg_options: Optional[dict[str, Any]] = None,
    work_dir: Optional[str | Path] = None,
) -> dict[str, float]:
    """Scores 3D joints that another program computed against the ground truth of a config's data set.

    Args:
        joints: a folder with ``<name of the sequence>.json`` for every sequence, of the layout of
            :func:`hrtk.evaluation.stored_joints.read_joints`. A file may hold more frames than its sequence.
        config: names the data set and the evaluator; its estimator and adapter are not built.
        cfg_options: replacements by dotted key, e.g. ``{'dataset.stride': 1}``.
        work_dir: where ``metrics.json`` is written; None for nowhere.

    Returns:
        ``'joints/<metric>'`` numbers, ``sequences``, ``frames`` and ``unscored_frames``. They are also printed.

    Raises:
        InputError: the config or a file is wrong, a file is missing, or the ground truth has no measured joints.
    """
    cfg = load_config(config, cfg_options)
    check_keys(cfg, required=('dataset', 'evaluator'))
    require_assets(dict(dataset=cfg.dataset))
    with named_config(cfg.filename):
        dataset = DATASETS.build(cfg.dataset)
        metric = METRICS.build(configs_of(cfg, 'evaluator')[0])
    if not isinstance(metric, MeshEvaluator):
        raise InputError(
            f'{type(metric).__name__} does not score joints; use a config whose first evaluator is MeshEvaluator'
        )
    metric.dataset_meta = dict(dataset.metainfo, adapter='joints', config=cfg.filename)
    if work_dir is not None:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        metric.dataset_meta['work_dir'] = str(work_dir)
    for index in range(len(dataset)):
        sequence = dataset[index]
        path = Path(joints) / f'{escaped_name(sequence.name)}.json'
        metric.process_joints(sequence, read_joints(path), path)
    return metric.evaluate(len(dataset))


def _evaluate(folder: Path, protocol: Optional[str]) -> dict[str, float]:
    path = folder / 'run.json'
    cfg = stored_config(path)
    evaluators = configs_of(cfg, 'evaluator')
    if protocol:
        evaluators = [{**part, 'protocol': protocol} for part in evaluators]
    with named_config(path):
        dataset = DATASETS.build(cfg.dataset)
        body = body_of(cfg.estimator)
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
