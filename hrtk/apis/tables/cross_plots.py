"""Pictures of a crossed table: error against time, gain per stream, and gain against the error of the frozen model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hrtk.files import write_atomically
from hrtk.visualization.pareto import Point, draw_labels, draw_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 8.0  # inches; at 100 dots per inch the width of a page of the documentation
PANEL = 4.2  # inches of height
GAIN = 'fall of the MPJPE, mm'  # against the frozen start model
CELL = 0.4  # inches of height of a stream in the heat map
COLOURS = 10  # of matplotlib's cycle; more methods take the next marker
MARKERS = 'o^sDv'
Entries = Sequence[dict[str, Any]]


def write_pictures(entries: Entries, folder: Path) -> list[str]:
    """Writes ``pareto.png``, ``gain_per_stream.png`` and ``gain_against_error.png``.

    Args:
        entries: of :func:`hrtk.apis.tables.cross_content.crossed_content`, at least one.
        folder: exists.

    Returns:
        The names of the files.
    """
    pictures = {
        'pareto.png': _pareto(entries),
        'gain_per_stream.png': _heat_map(entries),
        'gain_against_error.png': _gain_against_error(entries),
    }
    for name, figure in pictures.items():
        _write(figure, folder / name)
    return list(pictures)


def _write(figure: Figure, path: Path) -> None:
    write_atomically(path, lambda file: figure.savefig(file, format='png'))


def gains(entries: Entries) -> tuple[list[str], list[str], np.ndarray]:
    """The heat map: names of its rows and columns, and (R, C) gains in mm, NaN where there is no run.

    A row is a stream with a source of 2D keypoints, a column a start model with a method other than the frozen one.
    """
    adapted = [entry for entry in entries if _adapts(entry)]
    rows = list(dict.fromkeys(_stream(entry) for entry in adapted))
    columns = list(dict.fromkeys(_method(entry) for entry in adapted))
    values = np.full((len(rows), len(columns)), np.nan)
    for entry in adapted:
        gain = -entry['mpjpe_mm_change']['mean']
        values[rows.index(_stream(entry)), columns.index(_method(entry))] = gain
    return rows, columns, values


def _adapts(entry: dict[str, Any]) -> bool:
    return entry['method'] != 'Source'


def _stream(entry: dict[str, Any]) -> str:
    return f'{entry["stream"]}, 2D {entry["source"]}'


def _panel(entry: dict[str, Any]) -> str:
    return f'{_stream(entry)}, {entry["start"]}'


def _method(entry: dict[str, Any]) -> str:
    return f'{entry["start"]}: {entry["method"]}'


def _figure(height: float = PANEL) -> Figure:
    """A figure of a height in inches, drawn without a window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, height), dpi=100, layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def _pareto(entries: Entries) -> Figure:
    """A panel per stream, source of 2D keypoints and start model."""
    panels: dict[str, list[Point]] = {}
    for entry in entries:
        if not entry['ms_per_frame']:
            continue
        error = entry['mpjpe_mm']
        interval = None
        if error['low'] is not None:
            interval = (error['mean'] - error['low'], error['high'] - error['mean'])
        point = Point(entry['method'], entry['ms_per_frame'], error['mean'], interval)
        panels.setdefault(_panel(entry), []).append(point)
    figure = _figure(PANEL * max(1, len(panels)))
    axes_of = figure.subplots(max(1, len(panels)), 1, squeeze=False)[:, 0]
    for axes, (title, points) in zip(axes_of, panels.items()):
        draw_points(axes, points)
        axes.set_title(title)
        axes.set_ylabel('MPJPE, mm')
        axes.set_xlabel('ms per frame, without preparations that read the whole stream')
    figure.draw_without_rendering()  # places the axes, which the labels need
    figure.set_layout_engine('none')  # so that the labels do not move the axes
    for axes, points in zip(axes_of, panels.values()):
        draw_labels(axes, points)
    return figure


def _heat_map(entries: Entries) -> Figure:
    """A panel per start model; its columns are methods."""
    starts = list(dict.fromkeys(entry['start'] for entry in entries if _adapts(entry)))
    maps = [gains([entry for entry in entries if entry['start'] == start]) for start in starts]
    heights = [2 + CELL * len(rows) for rows, _, _ in maps]
    figure = _figure(max(sum(heights), 2))
    if not maps:
        return figure
    largest = max(float(np.nanmax(np.abs(values))) for _, _, values in maps)
    limit = max(largest, 1.0)
    axes_of = figure.subplots(len(maps), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, start, (rows, columns, values) in zip(axes_of, starts, maps):
        image = axes.imshow(values, cmap='RdBu', vmin=-limit, vmax=limit, aspect='auto')
        methods = [column.removeprefix(f'{start}: ') for column in columns]
        axes.set_title(start)
        axes.set_xticks(range(len(columns)), methods, rotation=30, ha='right')
        axes.set_yticks(range(len(rows)), rows)
        for (row, column), value in np.ndenumerate(values):
            if np.isnan(value):
                continue
            colour = 'black'
            if abs(value) > 0.6 * limit:
                colour = 'white'
            axes.text(
                column, row, f'{value:+.0f}', ha='center', va='center', color=colour, fontsize=9
            )
    figure.colorbar(image, ax=axes_of, label=GAIN)
    return figure


def _gain_against_error(entries: Entries) -> Figure:
    """A point per video: its gain over the error of the frozen start model, in panels as those of :func:`_pareto`."""
    adapted = [entry for entry in entries if _adapts(entry)]
    methods = list(dict.fromkeys(entry['method'] for entry in adapted))
    panels: dict[str, list[dict[str, Any]]] = {}
    for entry in adapted:
        panels.setdefault(_panel(entry), []).append(entry)
    figure = _figure(PANEL * max(1, len(panels)))
    axes_of = figure.subplots(max(1, len(panels)), 1, squeeze=False)[:, 0]
    handles: dict[str, Any] = {}
    for axes, (title, of_panel) in zip(axes_of, panels.items()):
        axes.axhline(0, color='0.4', linewidth=1)
        for entry in of_panel:
            place = methods.index(entry['method'])
            frozen = np.array([video['frozen']['mpjpe_mm'] for video in entry['by_sequence']])
            error = np.array([video['adapted']['mpjpe_mm'] for video in entry['by_sequence']])
            (handles[entry['method']],) = axes.plot(
                frozen,
                frozen - error,
                MARKERS[place // COLOURS % len(MARKERS)],
                color=f'C{place % COLOURS}',
                markersize=4,
                label=entry['method'],
            )
        axes.grid(True, color='0.92', linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_title(title)
        axes.set_xlabel('MPJPE of the frozen start model in a video, mm')
        axes.set_ylabel('gain of the video, mm')
    if handles:
        shown = [handles[method] for method in methods]
        figure.legend(handles=shown, loc='outside right upper', fontsize=9)
    return figure
