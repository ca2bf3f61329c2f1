"""Pictures of error against time: points with intervals, the Pareto front, and labels that do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import BboxBase

# Places of a label about its point, in order of preference: offset in typographic points, and alignments.
NEAR = (
    ((7, 0), 'left', 'center'),
    ((-7, 0), 'right', 'center'),
    ((0, 7), 'center', 'bottom'),
    ((0, -7), 'center', 'top'),
    ((6, 6), 'left', 'bottom'),
    ((6, -6), 'left', 'top'),
    ((-6, 6), 'right', 'bottom'),
    ((-6, -6), 'right', 'top'),
)
# Farther places in the same directions; a line leads from the label to its point.
FAR = tuple(
    ((sign_x * distance, sign_y * distance), horizontal, vertical)
    for distance in (18, 30, 44)
    for sign_x, horizontal in ((0, 'center'), (1, 'left'), (-1, 'right'))
    for sign_y, vertical in ((1, 'bottom'), (-1, 'top'))
)
LEADER = dict(arrowstyle='-', color='0.45', linewidth=0.7, shrinkA=0, shrinkB=3)


class Point(NamedTuple):
    """A method in the picture.

    Attributes:
        label: its name.
        ms: mean time of a frame.
        error: mean over the seeds.
        interval: half of the 95 % interval, or its lengths below and above the mean; None without one.
    """

    label: str
    ms: float
    error: float
    interval: Optional[float | tuple[float, float]]


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points than which no other is both faster and better, by time."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.ms, point.error)):
        if not front or point.error < front[-1].error:
            front.append(point)
    return front


def draw_points(axes: Axes, points: Sequence[Point]) -> None:
    """Draws the points over a logarithmic axis of time, the front in orange."""
    from matplotlib.colors import to_rgba
    from matplotlib.ticker import LogLocator, NullFormatter

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
        lengths: Optional[float | tuple[list[float], list[float]]] = None
        if isinstance(point.interval, tuple):
            lengths = ([point.interval[0]], [point.interval[1]])
        else:
            lengths = point.interval
        colour = 'tab:orange' if point in front else 'tab:blue'
        axes.errorbar(
            point.ms,
            point.error,
            yerr=lengths,
            fmt='o',
            color=colour,
            markersize=5,
            elinewidth=1,
            capsize=2,
            ecolor=to_rgba(colour, 0.35),
        )
    axes.margins(x=0.16, y=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter(NullFormatter())  # a short axis would label them as powers


def draw_labels(axes: Axes, points: Sequence[Point]) -> None:
    """Puts every label beside its point where it covers the least of points and of labels that are placed already."""
    dots = [axes.transData.transform((point.ms, point.error)) for point in points]
    taken: list[BboxBase] = [_box_about(x, y) for x, y in dots]
    for point in points:
        candidates: list[tuple[float, Annotation]] = []
        for offset, horizontal, vertical in NEAR + FAR:
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
            cost = sum(_overlap(box, other) for other in taken) + _outside(box, axes)
            candidates.append((cost, text))
            if cost == 0:
                break
        best = min(candidates, key=lambda candidate: candidate[0])[1]
        for _, text in candidates:
            if text is not best:
                text.remove()
        taken.append(best.get_window_extent())
        if best.xyann not in [place[0] for place in NEAR]:
            axes.annotate(
                '', best.xy, best.xyann, textcoords='offset points', arrowprops=LEADER, zorder=1
            )


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
