"""A run as one HTML page that needs nothing else: tables, films, errors over time, worst frames, a 3D player.

The page's style and script lie in ``report_page/``. The 3D player and the plots are drawn by plotly.js out of the
plotly wheel, which each page carries along, compressed.
"""

from __future__ import annotations

import dataclasses
import html
import importlib.util
import json
import math
from pathlib import Path
from string import Template
from typing import Any, Optional, Sequence

import numpy as np

from hrtk.errors import InputError
from hrtk.visualization.playback import Film, compressed, data_url, encode_picture, pack_meshes

PARTS = Path(__file__).with_name('report_page')
ROLES = ('before', 'after', 'truth')  # what rows are to a page: each has its colour


@dataclasses.dataclass(frozen=True)
class Table:
    """Texts; the first column names the rows, the others hold numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Worst:
    """A frame to look at: its number, (H, W, 3) uint8 RGB, and what it shows in words."""

    frame: int
    picture: np.ndarray
    text: str


@dataclasses.dataclass(frozen=True)
class Track:
    """One sequence of F frames, of which a film and meshes show some.

    Attributes:
        name: of the sequence.
        frame_ids: F labels.
        shown: the frames, in order, that film and meshes have.
        film: of the shown frames.
        film_text: what it shows, in words.
        errors: by name of the error with its unit, by role ``'before'`` or ``'after'``: (F,), NaN where unknown. The
            first one chose the worst frames.
        meshes: by role: (len(shown), V, 3) metres, y up.
        worst: frames to look at.
    """

    name: str
    frame_ids: Sequence[str]
    shown: Sequence[int]
    film: Film
    film_text: str
    errors: dict[str, dict[str, np.ndarray]]
    meshes: dict[str, np.ndarray]
    worst: Sequence[Worst]


@dataclasses.dataclass(frozen=True)
class Page:
    """What a report shows.

    Attributes:
        title: of the page.
        rows: names of the roles that appear, e.g. ``{'before': 'Source', 'after': 'Bilevel'}``.
        facts: what was run, as pairs of a name and a text.
        tables: of numbers.
        remarks: sentences under them.
        tracks: the sequences that are shown.
        faces: (F, 3) of all meshes.
    """

    title: str
    rows: dict[str, str]
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    remarks: Sequence[str]
    tracks: Sequence[Track]
    faces: np.ndarray


def page_html(page: Page) -> str:
    """The whole page as text.

    Raises:
        InputError: plotly is not installed, or a mesh cannot be shown.
    """
    script = plotly_script()
    common = dict(rows=page.rows, faces=np.asarray(page.faces).tolist())
    options = ''.join(
        f'<option value="{i}">{_text(track.name)}</option>' for i, track in enumerate(page.tracks)
    )
    return _part('page.html').substitute(
        title=_text(page.title),
        style=(PARTS / 'style.css').read_text(),
        script=(PARTS / 'player.js').read_text(),
        facts=''.join(f'<dt>{_text(k)}</dt><dd>{_text(v)}</dd>' for k, v in page.facts),
        tables=''.join(map(_table, page.tables)),
        remarks=''.join(f'<li>{_text(line)}</li>' for line in page.remarks),
        options=options,
        tracks=''.join(_track(i, track, page.rows) for i, track in enumerate(page.tracks)),
        common=_json(common),
        plotly=compressed(script.encode()),
    )


def plotly_script() -> str:
    """plotly.js, as the installed plotly wheel carries it.

    Raises:
        InputError: it is not installed.
    """
    found = importlib.util.find_spec('plotly')
    path = (
        Path(found.origin).with_name('package_data') / 'plotly.min.js'
        if found and found.origin
        else None
    )
    if path is None or not path.is_file():
        raise InputError(
            'a report takes its 3D player from the package plotly, which is not installed; run '
            "`pip install 'hrtk[report]'` or `pip install plotly`"
        )
    return path.read_text(encoding='utf-8')


def spaced_maxima(values: np.ndarray, count: int, gap: Optional[int] = None) -> list[int]:
    """Indices of the largest finite values, largest first, of which no two are closer than ``gap``.

    Neighbouring frames look alike, so the four worst in a row would show one.

    Args:
        values: (F,).
        count: at most so many.
        gap: default a twelfth of F.
    """
    gap = max(1, len(values) // 12) if gap is None else gap
    chosen: list[int] = []
    for index in np.argsort(-np.nan_to_num(values, nan=-np.inf), kind='stable'):
        if len(chosen) == count or not np.isfinite(values[index]):
            break
        if all(abs(index - other) >= gap for other in chosen):
            chosen.append(int(index))
    return chosen


def _track(number: int, track: Track, rows: dict[str, str]) -> str:
    data = dict(
        name=track.name,
        frameIds=list(track.frame_ids),
        shown=list(map(int, track.shown)),
        fps=track.film.fps,
        errors={
            key: {role: [_number(v) for v in values] for role, values in by_role.items()}
            for key, by_role in track.errors.items()
        },
        pictures=[data_url('image/jpeg', picture) for picture in track.film.pictures],
    )
    alt = f'Film of {track.name}: {track.film_text}'
    if track.film.video:
        source = data_url('video/mp4', track.film.video)
        film = f'<video src="{source}" aria-label="{_text(alt)}" controls muted playsinline loop></video>'
    else:
        film = f'<img class="film" src="{data["pictures"][0]}" alt="{_text(alt)}">'
    meshes = ''.join(
        f'<script type="text/plain" class="mesh" data-role="{role}">{pack_meshes(values)}</script>'
        for role, values in track.meshes.items()
    )
    return _part('track.html').substitute(
        number=number,
        name=_text(track.name),
        film=film,
        film_text=_text(track.film_text),
        meshes=meshes,
        shapes=_text(', '.join(rows.get(role, role) for role in track.meshes)),
        frames=len(track.shown),
        last=len(track.shown) - 1,
        data=_json(data),
        plot_text=_text(f'Errors of {track.name} over time. {_summary(track, rows)}'),
        summary=_text(_summary(track, rows)),
        worst=''.join(_figure(number, worst, track) for worst in track.worst),
    )


def _figure(number: int, worst: Worst, track: Track) -> str:
    source = data_url('image/webp', encode_picture(worst.picture))
    height, width = worst.picture.shape[:2]
    near = int(np.argmin(np.abs(np.asarray(track.shown) - worst.frame)))
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" loading="lazy" alt="{_text(worst.text)}">'
        f'<figcaption>{_text(worst.text)} <button type="button" class="seek" data-at="{near}">show in film and 3D'
        f'</button></figcaption></figure>'
    )


def _summary(track: Track, rows: dict[str, str]) -> str:
    """Means and the worst frame of the first error, in words: what a plot says to who cannot see it."""
    for key, by_role in track.errors.items():
        said = [
            f'{rows.get(role, role)} {np.nanmean(values):.1f} on average, at most {np.nanmax(values):.1f} in frame '
            f'{np.nanargmax(values)}'
            for role, values in by_role.items()
            if np.isfinite(values).any()
        ]
        if said:
            return f'{key}: {"; ".join(said)}.'
    return 'No error is known.'


def _table(table: Table) -> str:
    head = ''.join(f'<th scope="col">{_text(cell)}</th>' for cell in table.header)
    body = ''.join(
        f'<tr><th scope="row">{_text(row[0])}</th>{"".join(f"<td>{_text(v)}</td>" for v in row[1:])}</tr>'
        for row in table.rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(table.caption)}"><table><caption>'
        f'{_text(table.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _part(name: str) -> Template:
    return Template((PARTS / name).read_text(encoding='utf-8'))


def _number(value: float) -> Optional[float]:
    return round(float(value), 2) if math.isfinite(value) else None


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, separators=(',', ':'), allow_nan=False).replace('<', '\\u003c')


def _text(value: Any) -> str:
    return html.escape(str(value))
