"""The content of ``table.json``: means and intervals of finished runs, beside the paper's values."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from scipy.special import stdtrit

from hrtk.apis.tables.cross_content import crossed_content
from hrtk.apis.tables.table import Row, Table
from hrtk.engine.versions import versions
from hrtk.reading.hashes import sha256

ABSENT = 'not reproduced'
INTERVAL_RULE = (
    "mean over the seeds ± half the width of its 95 % interval (Student's t over the seeds' means; none "
    'for a single seed); differences are taken seed by seed'
)
WITHOUT_CHANGE = ('ms_per_frame',)  # metrics whose difference between rows means nothing


def mean_interval(values: Iterable[float]) -> tuple[float, Optional[float]]:
    """Mean, and half the width of its 95 % interval under Student's t; None for a single value."""
    values = list(values)
    mean = math.fsum(values) / len(values)
    degrees = len(values) - 1
    if not degrees:
        return mean, None
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / degrees)
    return mean, float(stdtrit(degrees, 0.975)) * deviation / math.sqrt(len(values))


def table_content(
    table: Table, runs: Mapping[str, list[dict[str, Any]]], obstacles: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The content of ``table.json``.

    Args:
        table: the table.
        runs: the finished runs of every label: ``seed``, ``folder`` and the outcome of
            :func:`hrtk.apis.tables.runs.execute`.
        obstacles: why a label cannot be computed on this machine.

    Returns:
        The content; ``crossed``, for crossed tables alone, has the entries of
        :func:`~hrtk.apis.tables.cross_content.crossed_content`.
    """
    content: dict[str, Any] = {
        'title': table.title,
        'paper': table.paper,
        'time': table.time,
        'table': os.path.relpath(table.file),
        'sha256': sha256(table.file),
        'metrics': list(table.metrics),
        'seeds': list(table.seeds),
        'seed_keys': list(table.seed_keys),
        'baseline': table.baseline,
        'interval': INTERVAL_RULE,
        'notes': list(table.notes),
        'versions': versions(),
        'rows': [_row_content(table, row, runs, obstacles) for row in table.rows],
    }
    if any(row.cell is not None for row in table.rows):
        content['crossed'] = crossed_content(table.rows, runs)
    return content


def _row_content(
    table: Table,
    row: Row,
    runs: Mapping[str, list[dict[str, Any]]],
    obstacles: Mapping[str, list[str]],
) -> dict[str, Any]:
    own_runs = runs.get(row.label, [])
    own = _metrics_by_seed(own_runs)
    baseline: dict[int, dict[str, float]] = {}
    baseline_paper: dict[str, float] = {}
    if row.baseline is not None and row.baseline != row.label:
        baseline = _metrics_by_seed(runs.get(row.baseline, []))
        baseline_paper = _paper_of(table, row.baseline)
    ours = {}
    change = {}
    paper_change = {}
    for key in table.metrics:
        values = {seed: metrics[key] for seed, metrics in own.items() if key in metrics}
        if values:
            ours[key] = _statistics(list(values.values()))
        if key in WITHOUT_CHANGE:
            continue
        common_seeds = [seed for seed in values if key in baseline.get(seed, {})]
        if common_seeds:
            change[key] = _statistics([values[seed] - baseline[seed][key] for seed in common_seeds])
        if key in row.paper and key in baseline_paper:
            paper_change[key] = round(row.paper[key] - baseline_paper[key], 6)
    return {
        'label': row.label,
        'status': _status(own_runs, row.label in obstacles),
        'config': os.path.relpath(row.config),
        'options': row.options,
        'ours': ours,
        'paper': row.paper,
        'baseline': row.baseline,
        'change': change,
        'paper_change': paper_change,
        'needed': obstacles.get(row.label, []),
        'runs': list(own_runs),
    }


def _metrics_by_seed(runs: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, float]]:
    """The metrics of the runs without an error."""
    return {run['seed']: run['metrics'] for run in runs if 'metrics' in run}


def _paper_of(table: Table, label: str) -> dict[str, float]:
    """The paper's values of a row; empty if the row is not part of this selection."""
    for row in table.rows:
        if row.label == label:
            return row.paper
    return {}


def _statistics(values: Sequence[float]) -> dict[str, Any]:
    mean, half_width = mean_interval(values)
    return {'mean': mean, 'interval': half_width, 'seeds': len(values)}


def _status(runs: Sequence[Mapping[str, Any]], absent: bool) -> str:
    if absent:
        return ABSENT
    if any('error' in run for run in runs):
        return 'failed'
    return 'done' if runs else 'waiting'
