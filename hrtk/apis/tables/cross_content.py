"""What a crossed table says of every row: errors, paired differences, costs, and what became worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from hrtk.apis.tables.cross import Cell
from hrtk.apis.tables.memory import peak_memory
from hrtk.apis.tables.table import Row
from hrtk.evaluation.report import BEFORE
from hrtk.evaluation.resampling import RESAMPLES, Estimate, Stratum, resampled_mean
from hrtk.reading import read_json

ERRORS = ('mpjpe_mm', 'pa_mpjpe_mm')
RULE = (
    'mean over the seeds and its 95 % interval: percentiles of '
    f'{RESAMPLES} draws of whole sequences within every seed, N - 1 of N; differences are paired by '
    'sequence and seed. There is no interval where the sequences are not independent'
)
SIMPLER_RULE = (
    'best simpler method: of the methods that stand earlier in the file, in the same stream with the same 2D and start '
    'model, the one with the lowest MPJPE on the same sequences, chosen on the very numbers that it is compared by'
)


class Scored(NamedTuple):
    """One sequence of one run.

    Attributes:
        frames: scored ones.
        before: mean errors of the frozen start model.
        after: mean errors and other numbers of the method.
    """

    frames: int
    before: Mapping[str, float]
    after: Mapping[str, float]


Scores = dict[tuple[int, str], Scored]  # by seed and name of the sequence


def crossed_content(
    rows: Sequence[Row], runs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """One entry per row that has a finished run.

    Args:
        rows: of a crossed table.
        runs: the finished runs of every label, see :func:`hrtk.apis.tables.content.table_content`.
    """
    scores: dict[str, Scores] = {}
    for row in rows:
        finished = [run for run in runs.get(row.label, ()) if 'metrics' in run]
        found = _scores(finished)
        if found:
            scores[row.label] = found
    return [
        _entry(row, rows, scores, runs[row.label])
        for row in rows
        if row.cell is not None and row.label in scores
    ]


def paired_change(scores: Scores, other: Scores, metric: str, resample: bool) -> Optional[Estimate]:
    """The error of one row minus that of another on the sequences and seeds that both have; None if there are none.

    Args:
        scores: of the row.
        other: of the row that it is compared with.
        metric: key of the error.
        resample: whether to give an interval.
    """
    differences = {}
    for key in scores:
        if key in other and metric in scores[key].after and metric in other[key].after:
            change = scores[key].after[metric] - other[key].after[metric]
            differences[key] = (change, scores[key].frames)
    return _estimate(differences, resample)


def _scores(runs: Iterable[Mapping[str, Any]]) -> Scores:
    """The sequences of all runs that have 3D errors."""
    scores: Scores = {}
    for run in runs:
        report = read_json(Path(run['folder']) / 'metrics.json', kind=dict)
        for entry in report['per_sequence']:
            after = entry['rows'][report['adapter']]
            before = entry['rows'].get(BEFORE, after)
            frames = entry['frames'] - entry['unscored_frames']
            if frames and 'mpjpe_mm' in after:
                scores[run['seed'], entry['name']] = Scored(frames, before, after)
    return scores


def _error(scores: Scores, metric: str, resample: bool) -> Optional[Estimate]:
    """The error of a row; None if no sequence has this metric."""
    errors = {}
    for key, score in scores.items():
        if metric in score.after:
            errors[key] = (score.after[metric], score.frames)
    return _estimate(errors, resample)


def _estimate(
    values: Mapping[tuple[int, str], tuple[float, int]], resample: bool
) -> Optional[Estimate]:
    """The mean of values with their numbers of frames, by seed and sequence."""
    if not values:
        return None
    strata = []
    for seed in sorted({seed for seed, _ in values}):
        of_seed = [entry for key, entry in sorted(values.items()) if key[0] == seed]
        numbers, frames = np.array(of_seed, dtype=float).T
        strata.append(Stratum(numbers, frames))
    return resampled_mean(strata, resample)


def _entry(
    row: Row,
    rows: Sequence[Row],
    scores: Mapping[str, Scores],
    runs: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    assert row.cell is not None
    own = scores[row.label]
    frozen = {key: Scored(score.frames, score.before, score.before) for key, score in own.items()}
    cell = row.cell
    simpler = _best_simpler(row, rows, scores)
    content: dict[str, Any] = {
        'label': row.label,
        'stream': cell.stream,
        'source': cell.source,
        'start': cell.start,
        'method': cell.method,
        **row.settings,
        'seeds': len({seed for seed, _ in own}),
        'sequences': len(own),
        'frames': sum(score.frames for score in own.values()),
    }
    for metric in ERRORS:
        content[metric] = _as_dict(_error(own, metric, cell.resample))
        content[f'{metric}_frozen'] = _as_dict(_error(frozen, metric, cell.resample))
        content[f'{metric}_change'] = _as_dict(paired_change(own, frozen, metric, cell.resample))
        against = None
        if simpler is not None:
            against = _as_dict(paired_change(own, scores[simpler.label], metric, cell.resample))
        content[f'{metric}_against_simpler'] = against
    content['simpler'] = simpler.cell.method if simpler is not None and simpler.cell else None
    content.update(_worse(own))
    content.update(_costs(own, runs))
    content['by_sequence'] = [
        {
            'seed': seed,
            'name': name,
            'frames': score.frames,
            'frozen': {metric: score.before.get(metric) for metric in ERRORS},
            'adapted': {metric: score.after.get(metric) for metric in ERRORS},
        }
        for (seed, name), score in sorted(own.items())
    ]
    return content


def _best_simpler(row: Row, rows: Sequence[Row], scores: Mapping[str, Scores]) -> Optional[Row]:
    """The best of the simpler rows of the same group that have all sequences of the row."""
    assert row.cell is not None
    own = scores[row.label]
    best: Optional[Row] = None
    lowest = np.inf
    for other in rows:
        others = scores.get(other.label, {})
        if not _is_simpler(other.cell, row.cell) or not own.keys() <= others.keys():
            continue
        same = {key: (others[key].after['mpjpe_mm'], own[key].frames) for key in own}
        estimate = _estimate(same, False)
        if estimate is not None and estimate.mean < lowest:
            best = other
            lowest = estimate.mean
    return best


def _is_simpler(cell: Optional[Cell], than: Cell) -> bool:
    return cell is not None and cell.group == than.group and cell.rank < than.rank


def _worse(scores: Scores) -> dict[str, Any]:
    """How much became worse than the frozen start model, in MPJPE."""
    changes = {
        key: score.after['mpjpe_mm'] - score.before['mpjpe_mm'] for key, score in scores.items()
    }
    worst = max(changes, key=lambda key: changes[key])
    return {
        'worse_share': _mean_of_frames(scores, 'worse_share'),
        'worse_sequences': float(np.mean([change > 0 for change in changes.values()])),
        'worst_regression_mm': changes[worst],
        'worst_sequence': worst[1],
    }


def _costs(scores: Scores, runs: Sequence[Mapping[str, Any]]) -> dict[str, Optional[float]]:
    """Time of a frame, mean over all frames, and the largest peak memory of a run."""
    peaks = [peak_memory(Path(run['folder'])) for run in runs]
    known = [peak for peak in peaks if peak is not None]
    return {
        'ms_per_frame': _mean_of_frames(scores, 'ms_per_frame'),
        'peak_mib': max(known, default=None),
    }


def _mean_of_frames(scores: Scores, name: str) -> Optional[float]:
    """The mean of a number over all frames; None if no sequence has it."""
    found = [(score.after[name], score.frames) for score in scores.values() if name in score.after]
    if not found:
        return None
    values, frames = np.array(found, dtype=float).T
    return float(np.average(values, weights=frames))


def _as_dict(estimate: Optional[Estimate]) -> Optional[dict[str, Any]]:
    if estimate is None:
        return None
    return {**estimate._asdict(), 'beyond_chance': estimate.excludes_zero()}
