"""The metrics of a run: averages over records, ``metrics.json`` and the printed table."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any, Optional

import numpy as np
from rich.console import Console
from rich.table import Table

from hrtk.body_models.skeletons import joint_names
from hrtk.evaluation.protocols import Protocol
from hrtk.files import write_text_atomically

BEFORE = 'Source'
WORSE_MM = 5.0
WORSE_BOX = 0.01
WORSE_RULE = (
    f'share of frames whose MPJPE is more than {WORSE_MM:g} mm above the one before; without 3D truth, whose '
    f'reprojection error is more than {WORSE_BOX:.0%} of the box side above'
)
COLUMNS = {
    'mpjpe_mm': 'MPJPE\nmm',
    'pa_mpjpe_mm': 'PA-MPJPE\nmm',
    'n_mpjpe_mm': 'N-MPJPE\nmm',
    'ray_mpjpe_mm': 'ray-MPJPE\nmm',
    'pve_mm': 'PVE\nmm',
    'pve_boa_mm': 'PVE BOA\nmm',
    'pve_dynaboa_mm': 'PVE DynaBOA\nmm',
    'pck': 'PCK150\n%',
    'auc': 'AUC\n%',
    'pa_pck': 'PA-PCK150\n%',
    'pa_auc': 'PA-AUC\n%',
    'accel_mm': 'Accel\nmm/frame²',
    'accel_pred_mm': 'Accel of\nprediction',
    'root_path_mm': 'root path\nmm',
    'foot_sliding_mm': 'sliding\nmm/frame',
    'reprojection_px': '2D\npx',
    'truth_px': 'true 2D\npx',
    'keypoints_loss': '2D loss\n1e-3',
    'loss_correlation': '2D to MPJPE\ncorr., %',
    'iou': 'mask IoU\n%',
    'ms_per_frame': 'time\nms/frame',
    'worse_share': 'worse\n% frames',
    'worst_regression_mm': 'worst\nmm',
    'kept': 'kept\n% frames',
    'blended': 'blended\n% frames',
    'rolled_back': 'frozen\n% frames',
    'skipped_updates': 'skipped\nupdates',
    'rolled_back_frames': 'undone\nframes',
    'state_kb': 'state\nkB',
    'frames_without_evidence': 'unseen\nframes',
    'tracks_without_evidence': 'unseen\ntracks',
    'mpjpe_true_depth_mm': 'MPJPE, true\nroot depth, mm',
    'pa_mpjpe_true_depth_mm': 'PA-MPJPE, true\nroot depth, mm',
    'params_k': 'parameters\nK',
    'flops_m': 'FLOPs\nM',
}
WHOLE_NUMBERS = (
    'skipped_updates',
    'rolled_back_frames',
    'state_kb',
    'frames_without_evidence',
    'tracks_without_evidence',
)
GATE = ('kept', 'blended', 'rolled_back')  # counts of DoNoHarm, shares of frames
SCALES = {
    'worse_share': 100,
    **dict.fromkeys(GATE, 100),
    'loss_correlation': 100,
    'keypoints_loss': 1000,
}  # factors of printed numbers
# Printed beside the joints.
DETAILS = ('n_mpjpe_mm', 'root_path_mm', 'foot_sliding_mm', 'worst_regression_mm')


@dataclasses.dataclass(frozen=True)
class Record:
    """The errors of one sequence.

    Attributes:
        name: of the sequence.
        frames: F.
        unscored: frames without valid 3D truth.
        source: source of the 2D keypoints.
        adapter: name of the adapted row.
        before: arrays (F,) of the frozen source model by metric name; NaN where a frame is not scored. None where
            there is no such model, as for joints of another program.
        after: the same of the adapted model.
        box_side: (F,) px.
        before_ms: ms per frame of the source model; NaN if unknown.
        after_ms: ms per frame of the adapter; NaN if unknown.
        report: numbers that the adapter counted.
        joints: (3, F, J, 3) predictions before and after adaptation and ground truth, root-aligned, m; only for
            protocols that compare across sequences.
        by_joint: (F, J) errors of every joint before and after adaptation, mm, NaN where a frame is not scored; only
            for protocols that report them.
    """

    name: str
    frames: int
    unscored: int
    source: str
    adapter: str
    before: Optional[dict[str, np.ndarray]]
    after: dict[str, np.ndarray]
    box_side: np.ndarray
    before_ms: float
    after_ms: float
    report: dict[str, float]
    joints: Optional[np.ndarray] = None
    by_joint: Optional[tuple[Optional[np.ndarray], Optional[np.ndarray]]] = None


def summarise(records: list[Record]) -> dict[str, dict[str, float]]:
    """Means over all scored frames, ``{row: {metric: value}}``; the adapted row comes last.

    If the adapter is the frozen baseline, both rows have the same name, and only the adapter's is returned. Without a
    source model there is only the adapter's row, without a comparison.
    """
    if not records:
        return {}
    frames = sum(record.frames for record in records)
    after = _means([record.after for record in records])
    after_ms = sum(record.after_ms * record.frames for record in records) / frames
    if not math.isnan(after_ms):
        after['ms_per_frame'] = after_ms
    earlier = [record.before for record in records if record.before is not None]
    if len(earlier) < len(records):
        return {records[0].adapter: after}
    before = _means(earlier)
    before['ms_per_frame'] = sum(record.before_ms * record.frames for record in records) / frames
    worse = np.concatenate([_worse_frames(record) for record in records])
    if not np.isnan(worse).all():
        after['worse_share'] = float(np.nanmean(worse))
    after.update(_worst_regression(records))
    after['skipped_updates'] = sum(record.report.get('skipped_updates', 0) for record in records)
    undone = sum(record.report.get('rolled_back_frames', 0) for record in records)
    if undone:
        after['rolled_back_frames'] = undone
    after.update(_without_evidence(records))
    state_bytes = max(record.report.get('state_bytes', 0) for record in records)
    if state_bytes:
        after['state_kb'] = state_bytes / 1000
    after.update(_gate_shares(records))
    return {BEFORE: before, records[0].adapter: after}


def summarise_joints(records: list[Record], protocol: Protocol) -> dict[str, dict[str, float]]:
    """Mean errors of every joint in mm, ``{row: {joint: error}}``; empty without errors of joints."""
    rows: dict[str, dict[str, float]] = {}
    for index in (0, 1):
        arrays = []
        for record in records:
            errors = None
            if record.by_joint is not None:
                errors = record.by_joint[index]
            if errors is not None:
                arrays.append(errors)
        stacked = np.concatenate(arrays) if arrays else np.zeros((0, 0))
        stacked = stacked[~np.isnan(stacked).any(1)]
        if len(stacked):
            row = (BEFORE, records[0].adapter)[index]
            rows[row] = dict(zip(joint_names(protocol.joints), stacked.mean(0).tolist()))
    return rows


def write_json(
    path: Path,
    protocol: Protocol,
    sources: list[str],
    metrics: dict[str, float],
    records: list[Record],
    run: dict[str, Any],
) -> None:
    """Writes ``metrics.json``: protocol, sources of the keypoints, metrics, and one entry per sequence.

    Args:
        path: of the file.
        protocol: of the metrics.
        sources: of the 2D keypoints.
        metrics: over all sequences.
        records: of the sequences.
        run: further keys of the file.
    """
    content = dict(
        run,
        protocol=dataclasses.asdict(protocol),
        keypoints_sources=sources,
        worse_rule=WORSE_RULE,
        metrics=metrics,
        per_sequence=[_sequence_entry(record) for record in records],
    )
    if protocol.by_joint:
        content['by_joint_mm'] = summarise_joints(records, protocol)
    write_text_atomically(path, json.dumps(_without_nan(content), indent=1) + '\n')


def print_table(
    rows: dict[str, dict[str, float]],
    protocol: Protocol,
    sources: list[str],
    scored: Optional[int] = None,
    console: Optional[Console] = None,
    caveat: Optional[str] = None,
) -> None:
    """Prints one line per row, below a line with the protocol and the sources of the 2D keypoints.

    Args:
        rows: as :func:`summarise` returns them.
        protocol: of the metrics.
        sources: of the 2D keypoints.
        scored: number of scored frames, compared with that of the protocol's published numbers.
        console: to print to; default the standard output.
        caveat: a sentence on all rows, printed below them.
    """
    if console is None:
        console = _default_console()
    table = Table('')
    columns = [key for key in columns_of(rows) if key not in DETAILS]
    for key in columns:
        table.add_column(COLUMNS[key], justify='right')
    for row, values in rows.items():
        table.add_row(row, *[cell_text(key, values.get(key)) for key in columns])
    console.print(
        f'protocol {protocol.name} ({protocol.summary}) · 2D keypoints: {", ".join(sources)}',
        highlight=False,
        markup=False,
    )
    if protocol.frames not in (None, scored):
        console.print(
            f'published numbers of this protocol are over {protocol.frames} frames, these over {scored}: not '
            f'the same data',
            highlight=False,
            markup=False,
        )
    console.print(table)
    if caveat is not None:
        console.print(caveat, highlight=False, markup=False)


def print_details(
    joints: dict[str, dict[str, float]],
    rows: dict[str, dict[str, float]],
    console: Optional[Console] = None,
) -> None:
    """Prints the errors of the joints, the mean of left and right where there are both, and :data:`DETAILS`.

    Args:
        joints: as :func:`summarise_joints` returns them.
        rows: as :func:`summarise` returns them.
        console: to print to; default the standard output.
    """
    if not joints:
        return
    table = Table('by joint,\nmm')
    by_part = {row: _mean_of_sides(errors) for row, errors in joints.items()}
    parts = list(next(iter(by_part.values())))
    details = [key for key in columns_of(rows) if key in DETAILS]
    for part in parts:
        table.add_column(part, justify='right')
    for key in details:
        table.add_column(COLUMNS[key], justify='right')
    for row, values in by_part.items():
        cells = [cell_text(part, values[part]) for part in parts]
        cells += [cell_text(key, rows[row].get(key)) for key in details]
        table.add_row(row, *cells)
    (console or _default_console()).print(table)


def _mean_of_sides(joints: dict[str, float]) -> dict[str, float]:
    """``left_knee`` and ``right_knee`` as ``knee``; hips and mocap points without their suffix."""
    values: dict[str, list[float]] = {}
    for name, value in joints.items():
        part = name.removeprefix('left_').removeprefix('right_')
        part = part.removesuffix('_lsp').removesuffix('_mocap')
        values.setdefault(part, []).append(value)
    return {part: float(np.mean(both)) for part, both in values.items()}


def columns_of(rows: dict[str, dict[str, float]]) -> list[str]:
    """The keys of :data:`COLUMNS` for which any row has a value, in order."""
    return [key for key in COLUMNS if key in set[str]().union(*rows.values())]


def cell_text(key: str, value: Optional[float]) -> str:
    """Formats a number for its table column; shares become percentages, None an empty cell."""
    if value is None:
        return ''
    if key in WHOLE_NUMBERS:
        return f'{value:.0f}'
    return f'{SCALES.get(key, 1) * value:.1f}'


def _without_evidence(records: list[Record]) -> dict[str, float]:
    """Numbers of frames, and of whole tracks, on which the adapter had nothing to learn from; empty without any."""
    counts = [record.report.get('frames_without_evidence', 0) for record in records]
    if not any(counts):
        return {}
    whole = [count == record.frames for count, record in zip(counts, records)]
    return dict(frames_without_evidence=sum(counts), tracks_without_evidence=sum(whole))


def _default_console() -> Console:
    if sys.stdout.isatty():
        return Console()
    return Console(width=120)


def _sequence_entry(record: Record) -> dict[str, Any]:
    """The entry of a sequence in ``metrics.json``."""
    return dict(
        name=record.name,
        frames=record.frames,
        unscored_frames=record.unscored,
        keypoints_source=record.source,
        rows=summarise([record]),
        report=record.report,
    )


def _means(errors: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Means over all frames of several sequences, by metric name; without metrics that are NaN everywhere."""
    means = {}
    for key in COLUMNS:
        arrays = [by_name[key] for by_name in errors if key in by_name]
        values = np.concatenate([np.zeros(0), *arrays])
        if not np.isnan(values).all():
            means[key] = float(np.nanmean(values))
    correlation = _loss_correlation(errors)
    if correlation is not None:
        means['loss_correlation'] = correlation
    return means


def _loss_correlation(errors: list[dict[str, np.ndarray]]) -> Optional[float]:
    """Pearson's correlation of 2D loss and MPJPE over frames; None where it is not defined."""
    names = ('keypoints_loss', 'mpjpe_mm')
    both = [[by_name[name] for name in names] for by_name in errors if set(names) <= set(by_name)]
    if not both:
        return None
    pairs = np.concatenate([np.stack(arrays) for arrays in both], axis=1)
    pairs = pairs[:, np.isfinite(pairs).all(0)]
    if pairs.shape[1] < 2 or not pairs.std(1).all():
        return None
    return float(np.corrcoef(pairs)[0, 1])


def _worst_regression(records: list[Record]) -> dict[str, float]:
    """Largest rise of the MPJPE of a frame, mm, 0 if none rose; empty without 3D truth."""
    rises = []
    for record in records:
        assert record.before is not None
        if 'mpjpe_mm' in record.after:
            rises.append(record.after['mpjpe_mm'] - record.before['mpjpe_mm'])
    stacked = np.concatenate([np.zeros(0), *rises])
    stacked = stacked[np.isfinite(stacked)]
    if not len(stacked):
        return {}
    return {'worst_regression_mm': max(float(stacked.max()), 0.0)}


def _gate_shares(records: list[Record]) -> dict[str, float]:
    """Shares of all frames that DoNoHarm kept, blended and rolled back; empty for other adapters."""
    if not all(set(GATE) <= set(record.report) for record in records):
        return {}
    frames = [record.frames for record in records]
    shares = {}
    for name in GATE:
        values = [record.report[name] for record in records]
        shares[name] = float(np.average(values, weights=frames))
    return shares


def _worse_frames(record: Record) -> np.ndarray:
    """(F,) 1 for frames that became worse by :data:`WORSE_RULE`, 0 for others, NaN if the errors are unknown."""
    assert record.before is not None
    margin: float | np.ndarray
    if 'mpjpe_mm' in record.after:
        key = 'mpjpe_mm'
        margin = WORSE_MM
    else:
        key = 'reprojection_px'
        margin = WORSE_BOX * record.box_side
    change = record.after[key] - record.before[key]
    return np.where(np.isnan(change), np.nan, change > margin)


def _without_nan(value: Any) -> Any:
    """Replaces NaN and infinity, which JSON cannot represent, by None, and numpy scalars by Python numbers."""
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
