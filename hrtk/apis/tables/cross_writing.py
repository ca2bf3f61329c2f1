"""A crossed table in the terminal, and as ``table.md`` and ``table.csv``; ``table.json`` holds its numbers too."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Optional

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from hrtk.apis.tables.cross_content import RULE, SIMPLER_RULE

HEADINGS = (
    'method',
    'reset',
    'order',
    'MPJPE mm',
    'PA-MPJPE mm',
    'change of MPJPE',
    'best simpler method',
    'MPJPE against it',
    'worse % frames',
    'worse % videos',
    'worst video mm',
    'ms/frame',
    'peak MiB',
)
NUMBERS_FROM = 3  # first column of numbers
ESTIMATES = (
    'mpjpe_mm',
    'mpjpe_mm_frozen',
    'mpjpe_mm_change',
    'mpjpe_mm_against_simpler',
    'pa_mpjpe_mm',
    'pa_mpjpe_mm_frozen',
    'pa_mpjpe_mm_change',
    'pa_mpjpe_mm_against_simpler',
)
PLAIN = (
    'stream',
    'source',
    'start',
    'method',
    'reset',
    'order',
    'seeds',
    'sequences',
    'frames',
    'simpler',
    'worse_share',
    'worse_sequences',
    'worst_regression_mm',
    'worst_sequence',
    'ms_per_frame',
    'peak_mib',
)
REMARKS = (
    RULE,
    'change of MPJPE: against the frozen start model on the same frames; negative is better. An interval in bold '
    'excludes zero. It is not corrected for the number of rows: of twenty rows without any effect, one is bold',
    SIMPLER_RULE,
    'worse: more than 5 mm above the frozen start model for frames, any rise of the mean for videos; worst video: the '
    'largest rise of the mean MPJPE of a video, or the smallest fall if none rose',
    'ms/frame: wall time of prediction and adaptation of this machine, without preparations that read the whole '
    'stream first; peak: memory of the process (CPU) or of torch (GPU) in a run',
)


def markdown_lines(entries: Sequence[dict[str, Any]]) -> list[str]:
    """One table per stream, 2D source and start model, then the remarks."""
    lines: list[str] = []
    for group, members in groups(entries):
        lines += [f'## {group}', '']
        lines.append(f'| {" | ".join(HEADINGS)} |')
        rules = ['---'] * NUMBERS_FROM + ['---:'] * (len(HEADINGS) - NUMBERS_FROM)
        lines.append(f'| {" | ".join(rules)} |')
        for entry in members:
            lines.append(f'| {" | ".join(_cells(entry, "**"))} |')
        lines.append('')
    return lines + [f'* {remark}.' for remark in REMARKS]


def print_crossed(entries: Sequence[dict[str, Any]], console: Console) -> None:
    """Prints one table per stream, 2D source and start model, then the remarks."""
    for group, members in groups(entries):
        table = RichTable(title=group, title_justify='left')
        for index, heading in enumerate(HEADINGS):
            table.add_column(heading, justify='right' if index >= NUMBERS_FROM else 'left')
        for entry in members:
            table.add_row(*map(escape, _cells(entry, '')))
        console.print(table)
    for remark in REMARKS:
        console.print(f'{remark}.', highlight=False, markup=False, soft_wrap=True)


def csv_text(entries: Sequence[dict[str, Any]]) -> str:
    """One line per row with unrounded numbers; ``<name>_low`` and ``<name>_high`` are the ends of intervals."""
    columns = [*PLAIN]
    for name in ESTIMATES:
        columns += [name, f'{name}_low', f'{name}_high']
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator='\n')
    writer.writeheader()
    for entry in entries:
        line = {name: entry[name] for name in PLAIN}
        for name in ESTIMATES:
            estimate = entry[name] or {}
            line[name] = estimate.get('mean')
            line[f'{name}_low'] = estimate.get('low')
            line[f'{name}_high'] = estimate.get('high')
        writer.writerow(line)
    return text.getvalue()


def groups(entries: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The entries by stream, 2D source and start model, with the amount of data in the heading."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        found.setdefault((entry['stream'], entry['source'], entry['start']), []).append(entry)
    named = []
    for (stream, source, start), members in found.items():
        counts = {
            f'{e["seeds"]} seeds, {e["sequences"]} videos, {e["frames"]} frames' for e in members
        }
        heading = f'{stream}, 2D {source}, {start}: {" or ".join(sorted(counts))}'
        named.append((heading, members))
    return named


def _cells(entry: dict[str, Any], bold: str) -> list[str]:
    return [
        entry['method'],
        entry['reset'],
        entry['order'],
        _estimate(entry['mpjpe_mm'], '', ''),
        _estimate(entry['pa_mpjpe_mm'], '', ''),
        _estimate(entry['mpjpe_mm_change'], '+', bold),
        entry['simpler'] or '',
        _estimate(entry['mpjpe_mm_against_simpler'], '+', bold),
        _number(entry['worse_share'], 100),
        _number(entry['worse_sequences'], 100),
        _number(entry['worst_regression_mm'], 1, '+'),
        _number(entry['ms_per_frame'], 1),
        _number(entry['peak_mib'], 1),
    ]


def _estimate(estimate: Optional[dict[str, Any]], sign: str, bold: str) -> str:
    """A mean and its interval, ``-3.1 [-5.0, -1.2]``."""
    if estimate is None:
        return ''
    text = f'{estimate["mean"]:{sign}.1f}'
    if estimate['low'] is None:
        return text
    interval = f'[{estimate["low"]:{sign}.1f}, {estimate["high"]:{sign}.1f}]'
    if estimate['beyond_chance'] and sign:
        interval = f'{bold}{interval}{bold}'
    return f'{text} {interval}'


def _number(value: Optional[float], scale: float, sign: str = '') -> str:
    if value is None:
        return ''
    digits = 0 if scale * abs(value) >= 1000 else 1
    return f'{scale * value:{sign}.{digits}f}'
