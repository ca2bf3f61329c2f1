"""Tables and pictures of error against time, for ``error_against_time.py``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrtk.apis.tables.content import mean_interval
from hrtk.files import write_atomically, write_text_atomically
from hrtk.visualization.pareto import Point, draw_labels, draw_points

Runs = Mapping[str, Sequence[Mapping[str, float]]]  # of every label, the numbers of each seed

TITLES = {
    'mpjpe_mm': 'MPJPE, mm',
    'pa_mpjpe_mm': 'PA-MPJPE, mm',
    'accel_mm': 'acceleration error, mm/frame²',
    'worse_share': 'share of frames made worse',
}
WIDTH = 8.0  # inches; at 100 dots per inch the width of a page of the documentation
PANEL = 4.2  # inches of height


def short_label(text: str) -> str:
    """A config with the values of its options: ``boa/r18_until:adapter.until=6.0`` -> ``boa/r18_until 6.0``."""
    path, *options = text.split(':')
    return ' '.join([path, *(option.split('=', 1)[1] for option in options)])


def points_of(runs: Runs, metric: str) -> list[Point]:
    """The points of a picture; labels without the metric are left out."""
    points = []
    for label, seeds in runs.items():
        if any(metric not in numbers for numbers in seeds) or not seeds:
            continue
        error, interval = mean_interval(numbers[metric] for numbers in seeds)
        ms, _ = mean_interval(numbers['ms'] for numbers in seeds)
        points.append(Point(short_label(label), ms, error, interval))
    return points


def write_csv(runs: Runs, path: Path) -> None:
    """A row per config: means over the seeds, and ``<metric>_95`` of several seeds."""
    names: list[str] = []
    for seeds in runs.values():
        for numbers in seeds:
            names += [name for name in numbers if name not in names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    header = [column for name in names for column in (name, f'{name}_95')]
    writer.writerow(['config', 'seeds', *header])
    for label, seeds in runs.items():
        cells: list[str] = []
        for name in names:
            values = [numbers[name] for numbers in seeds if name in numbers]
            cells += _cells(values)
        writer.writerow([label, len(seeds), *cells])
    write_text_atomically(path, text.getvalue())


def _cells(values: Sequence[float]) -> list[str]:
    if not values:
        return ['', '']
    mean, interval = mean_interval(values)
    if interval is None:
        return [f'{mean:.4g}', '']
    return [f'{mean:.4g}', f'{interval:.4g}']


def draw(runs: Runs, path: Path, metrics: Sequence[str] = ('mpjpe_mm', 'pa_mpjpe_mm')) -> None:
    """Draws a panel per metric: error against milliseconds, the front in orange and a label at every point.

    Args:
        runs: the numbers of each config and seed.
        path: of the picture; its ending says the format.
        metrics: keys of the numbers.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, PANEL * len(metrics)), dpi=100, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(metrics), 1, squeeze=False)[:, 0]
    for axes, metric in zip(panels, metrics):
        points = points_of(runs, metric)
        draw_points(axes, points)
        axes.set_ylabel(TITLES.get(metric, metric))
        axes.set_xlabel('processor time, ms per frame, one thread')
    figure.draw_without_rendering()  # places the axes, which the labels need
    for axes, metric in zip(panels, metrics):
        draw_labels(axes, points_of(runs, metric))
    picture = path.suffix.lstrip('.') or 'png'
    write_atomically(path, lambda file: canvas.figure.savefig(file, format=picture))
