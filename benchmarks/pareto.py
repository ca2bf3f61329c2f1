"""Tables and pictures of error against time, for ``error_against_time.py``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Optional

from hrtk.apis.tables.content import mean_interval
from hrtk.files import write_atomically, write_text_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import BboxBase

Runs = Mapping[str, Sequence[Mapping[str, float]]]  # of every label, the numbers of each seed

TITLES = {
    'mpjpe_mm': 'MPJPE, mm',
    'pa_mpjpe_mm': 'PA-MPJPE, mm',
    'accel_mm': 'acceleration error, mm/frame²',
    'worse_share': 'share of frames made worse',
}
WIDTH = 8.0  # inches; at 100 dots per inch the width of a page of the documentation
PANEL = 4.2  # inches of height
# Places of a label about its point, in order of preference: offset in typographic points, and alignments.
PLACES = (
    ((7, 0), 'left', 'center'),
    ((-7, 0), 'right', 'center'),
    ((0, 7), 'center', 'bottom'),
    ((0, -7), 'center', 'top'),
    ((6, 6), 'left', 'bottom'),
    ((6, -6), 'left', 'top'),
    ((-6, 6), 'right', 'bottom'),
    ((-6, -6), 'right', 'top'),
    ((0, 18), 'center', 'bottom'),
    ((0, -18), 'center', 'top'),
)


class Point(NamedTuple):
    """A method in the picture.

    Attributes:
        label: its name.
        ms: mean time of a frame.
        error: mean over the seeds.
        interval: half of the 95 % interval; None for a single seed.
    """

    label: str
    ms: float
    error: float
    interval: Optional[float]


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


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points than which no other is both faster and better, by time."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.ms, point.error)):
        if not front or point.error < front[-1].error:
            front.append(point)
    return front


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
        _draw_points(axes, points)
        axes.set_ylabel(TITLES.get(metric, metric))
        axes.set_xlabel('processor time, ms per frame, one thread')
    figure.draw_without_rendering()  # places the axes, which the labels need
    for axes, metric in zip(panels, metrics):
        _draw_labels(axes, points_of(runs, metric))
    picture = path.suffix.lstrip('.') or 'png'
    write_atomically(path, lambda file: canvas.figure.savefig(file, format=picture))


def _draw_points(axes: Axes, points: Sequence[Point]) -> None:
    from matplotlib.ticker import LogLocator

    axes.set_xscale('log')
    axes.grid(True, color='0.92', linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    front = pareto_front(points)
    axes.step(
        [point.ms for point in front],
        [point.error for point in front],
        where='post',
        color='tab:orange',
        linewidth=1.5,
        zorder=1,
    )
    for point in points:
        colour = 'tab:orange' if point in front else 'tab:blue'
        axes.errorbar(
            point.ms,
            point.error,
            yerr=point.interval,
            fmt='o',
            color=colour,
            markersize=5,
            elinewidth=1,
            capsize=2,
        )
    axes.margins(x=0.16, y=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter('{x:g}')


def _draw_labels(axes: Axes, points: Sequence[Point]) -> None:
    """Puts every label beside its point where it covers the least of points and of labels that are placed already."""
    dots = [axes.transData.transform((point.ms, point.error)) for point in points]
    taken: list[BboxBase] = [_box_about(x, y) for x, y in dots]
    for point in points:
        candidates: list[tuple[float, Annotation]] = []
        for offset, horizontal, vertical in PLACES:
            text = axes.annotate(
                point.label,
                (point.ms, point.error),
                offset,
                textcoords='offset points',
                ha=horizontal,
                va=vertical,
                fontsize=9,
                bbox=dict(facecolor='white', alpha=0.8, linewidth=0, pad=0.5),
            )
            box = text.get_window_extent()
            candidates.append(
                (sum(_overlap(box, other) for other in taken) + _outside(box, axes), text)
            )
        best = min(candidates, key=lambda candidate: candidate[0])[1]
        for _, text in candidates:
            if text is not best:
                text.remove()
        taken.append(best.get_window_extent())


def _box_about(x: float, y: float) -> BboxBase:
    from matplotlib.transforms import Bbox

    return Bbox.from_extents(x - 4, y - 4, x + 4, y + 4)


def _overlap(box: BboxBase, other: BboxBase) -> float:
    """The area that two boxes share, px²."""
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return max(width, 0) * max(height, 0)


def _outside(box: BboxBase, axes: Axes) -> float:
    """The area of a box outside the axes, px²."""
    return box.width * box.height - _overlap(box, axes.get_window_extent())
