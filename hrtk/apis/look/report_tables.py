"""The tables of a report: means over all frames, and over the frames of every sequence."""

from __future__ import annotations

import numpy as np

from hrtk.apis.look.comparison import Comparison, Summary
from hrtk.evaluation.report import COLUMNS, GATE, WHOLE_NUMBERS, cell_text, columns_of
from hrtk.visualization.report import Table

# Columns of the adapted row only.
WITHOUT_CHANGE = (*WHOLE_NUMBERS, *GATE, 'worse_share', 'worst_regression_mm')
PER_SEQUENCE = ('mpjpe_mm', 'pa_mpjpe_mm', 'pve_mm', 'reprojection_px')


def means_table(comparison: Comparison) -> Table:
    """Means over all scored frames, and the change between the compared rows."""
    columns = columns_of(comparison.summary)
    rows = []
    for name, means in comparison.summary.items():
        cells = [cell_text(key, means.get(key)) for key in columns]
        rows.append([name, *cells])
    if comparison.adapted:
        rows.append(['change', *_changes(comparison, columns)])
    header = [COLUMNS[key] for key in columns]
    return Table('Means over all scored frames', ['', *header], rows)


def sequence_table(comparison: Comparison) -> Table:
    """Means over the frames of every sequence."""
    known = set[str]().union(*[record.after for record in comparison.records])
    columns = [key for key in PER_SEQUENCE if key in known]
    header = ['sequence', 'frames']
    for key in columns:
        header += [f'{COLUMNS[key]}\n{name}' for name in comparison.rows.values()]
    rows = []
    for record in comparison.records:
        cells = [record.name, str(record.frames)]
        for key in columns:
            for errors in comparison.errors(record).values():
                cells.append(_mean_text(errors.get(key, np.zeros(0))))
        rows.append(cells)
    return Table('Each sequence, means over its frames', header, rows)


def _changes(comparison: Comparison, columns: list[str]) -> list[str]:
    """Differences of the compared rows, with their sign; empty where there is no difference to show."""
    summary: Summary = comparison.summary
    before = summary[comparison.rows['before']]
    after = summary[comparison.rows['after']]
    cells = []
    for key in columns:
        if key in before and key in after and key not in WITHOUT_CHANGE:
            cells.append(f'{after[key] - before[key]:+.1f}')
        else:
            cells.append('')
    return cells


def _mean_text(values: np.ndarray) -> str:
    if not np.isfinite(values).any():
        return ''
    return f'{np.nanmean(values):.1f}'
