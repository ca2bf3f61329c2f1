"""What a run leaves to read: averages over records, ``metrics.json`` and the printed table."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, Optional

import numpy as np
from rich.console import Console
from rich.table import Table

from hrtk.evaluation.protocols import Protocol

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
    'pve_mm': 'PVE\nmm',
    'pve_boa_mm': 'PVE BOA\nmm',
    'pve_dynaboa_mm': 'PVE DynaBOA\nmm',
    'pck': 'PCK150\n%',
    'auc': 'AUC\n%',
    'pa_pck': 'PA-PCK150\n%',
    'pa_auc': 'PA-AUC\n%',
    'accel_mm': 'Accel\nmm/frame²',
    'reprojection_px': '2D\npx',
    'iou': 'mask IoU\n%',
    'ms_per_frame': 'time\nms/frame',
    'worse_share': 'worse\n% frames',
    'skipped_updates': 'skipped\nupdates',
}


@dataclasses.dataclass(frozen=True)
class Record:
    """The errors of one sequence.

    Attributes:
        name: of the sequence.
        frames: F.
        unscored: frames without valid 3D truth.
        source: who made the 2D keypoints.
        adapter: name of the row ``after``.
        before: arrays (F,) of the frozen source model by metric name; NaN where a frame is not scored.
        after: the same of the adapted model.
        box_side: (F,) px.
        before_ms: ms per frame of the source model.
        after_ms: ms per frame of the adapter.
        report: what the adapter itself counted.
        joints: predictions before and after and the truth, (3, F, J, 3) root-aligned m; only for protocols that
            compare across sequences.
    """

    name: str
    frames: int
    unscored: int
    source: str
    adapter: str
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    box_side: np.ndarray
    before_ms: float
    after_ms: float
    report: dict[str, float]
    joints: Optional[np.ndarray] = None


def summarise(records: list[Record]) -> dict[str, dict[str, float]]:
    """Means over all scored frames, ``{row: {metric: value}}``; the adapted row comes last.

    For the frozen baseline as adapter both rows have one name, and only its own run is kept.
    """
    if not records:
        return {}
    frames = sum(record.frames for record in records)
    before = _means([record.before for record in records])
    before['ms_per_frame'] = sum(record.before_ms * record.frames for record in records) / frames
    after = _means([record.after for record in records])
    after['ms_per_frame'] = sum(record.after_ms * record.frames for record in records) / frames
    worse = np.concatenate([_worse(record) for record in records])
    if not np.isnan(worse).all():
        after['worse_share'] = float(np.nanmean(worse))
    after['skipped_updates'] = sum(record.report.get('skipped_updates', 0) for record in records)
    return {BEFORE: before, records[0].adapter: after}


def write_json(
    path: Path,
    protocol: Protocol,
    sources: list[str],
    metrics: dict[str, float],
    records: list[Record],
    run: dict[str, Any],
) -> None:
    """Writes ``metrics.json``: what was measured, how, on what, and one row per sequence."""
    content = dict(
        run,
        protocol=dataclasses.asdict(protocol),
        keypoints_sources=sources,
        worse_rule=WORSE_RULE,
        metrics=metrics,
        per_sequence=[
            dict(
                name=record.name,
                frames=record.frames,
                unscored_frames=record.unscored,
                keypoints_source=record.source,
                rows=summarise([record]),
                report=record.report,
            )
            for record in records
        ],
    )
    temporary = path.with_name(path.name + '.tmp')
    temporary.write_text(json.dumps(_strict(content), indent=1) + '\n')
    os.replace(temporary, path)


def print_table(
    rows: dict[str, dict[str, float]],
    protocol: Protocol,
    sources: list[str],
    scored: Optional[int] = None,
    console: Optional[Console] = None,
) -> None:
    """Prints one line per row, under a line that names the protocol and the source of the 2D keypoints."""
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    table = Table('')
    columns = [key for key in COLUMNS if any(key in values for values in rows.values())]
    for key in columns:
        table.add_column(COLUMNS[key], justify='right')
    for row, values in rows.items():
        table.add_row(row, *(cell_text(key, values.get(key)) for key in columns))
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


def cell_text(key: str, value: Optional[float]) -> str:
    """A number of a column as tables show it; shares are percentages."""
    if value is None:
        return ''
    if key == 'skipped_updates':
        return f'{value:.0f}'
    return f'{100 * value:.1f}' if key == 'worse_share' else f'{value:.1f}'


def _means(parts: list[dict[str, np.ndarray]]) -> dict[str, float]:
    means = {}
    for key in COLUMNS:
        values = [part[key] for part in parts if key in part]
        values = np.concatenate(values) if values else np.zeros(0)
        if not np.isnan(values).all():
            means[key] = float(np.nanmean(values))
    return means


def _worse(record: Record) -> np.ndarray:
    """(F,) 1 where a frame got worse, 0 where not, NaN where neither error is known."""
    key, margin = 'reprojection_px', WORSE_BOX * record.box_side
    if 'mpjpe_mm' in record.after:
        key, margin = 'mpjpe_mm', WORSE_MM
    change = record.after[key] - record.before[key]
    return np.where(np.isnan(change), np.nan, change > margin)


def _strict(value: Any) -> Any:
    """JSON knows no NaN: it becomes null."""
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
