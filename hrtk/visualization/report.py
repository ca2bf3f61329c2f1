"""A run as one self-contained HTML page: tables, videos, errors over time, worst frames and a 3D player.

The page's templates, style and script lie in ``report_page/``. The 3D player and the plots are drawn by plotly.js from
the plotly wheel, which every page contains in compressed form.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import importlib.util
import json
import math
from pathlib import Path
from string import Template
from typing import Any, Iterable, Optional, Sequence

import numpy as np

from hrtk.errors import InputError
from hrtk.visualization.playback import (
    EncodedVideo,
    compressed,
    data_url,
    encode_image,
    pack_meshes,
)

PAGE_FOLDER = Path(__file__).with_name('report_page')


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts; the first column names the rows, the others hold numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class WorstFrame:
    """A frame with large errors.

    Attributes:
        frame: index of the frame.
        image: (H, W, 3) uint8 RGB.
        text: description of the image.
    """

    frame: int
    image: np.ndarray
    text: str


@dataclasses.dataclass(frozen=True)
class Track:
    """One sequence of F frames; video and meshes may show a subset of them.

    Attributes:
        name: of the sequence.
        frame_ids: F labels.
        shown: indices of the frames that video and meshes show, in order.
        video: of the shown frames.
        video_text: description of the video.
        errors: (F,) errors, NaN where unknown, by name with unit and by role, ``'before'`` or ``'after'``. The worst
            frames are those of the first error.
        meshes: (len(shown), V, 3) metres, y up, by role.
        worst: the worst frames.
    """

    name: str
    frame_ids: Sequence[str]
    shown: Sequence[int]
    video: EncodedVideo
    video_text: str
    errors: dict[str, dict[str, np.ndarray]]
    meshes: dict[str, np.ndarray]
    worst: Sequence[WorstFrame]


@dataclasses.dataclass(frozen=True)
class Page:
    """The content of a report.

    Attributes:
        title: of the page.
        rows: names of the roles that appear, ``'before'``, ``'after'`` and ``'truth'``, e.g.
            ``{'before': 'Source', 'after': 'Bilevel'}``. The page's style has a colour for every role.
        facts: pairs of a name and a text that describe the run.
        tables: of numbers.
        remarks: sentences below the tables.
        tracks: the shown sequences.
        faces: (F, 3) of all meshes.
    """

    title: str
    rows: dict[str, str]
    facts: Sequence[tuple[str, Any]]
    tables: Sequence[Table]
    remarks: Sequence[str]
    tracks: Sequence[Track]
    faces: np.ndarray


def page_html(page: Page) -> str:
    """The whole page as text.

    Raises:
        InputError: plotly is not installed, or a mesh cannot be packed.
    """
    plotly = plotly_script()
    script = (PAGE_FOLDER / 'player.js').read_text(encoding='utf-8')
    facts = [_element('dt', name) + _element('dd', text) for name, text in page.facts]
    options = [
        f'<option value="{i}">{_escaped(track.name)}</option>'
        for i, track in enumerate(page.tracks)
    ]
    tracks = [_track_html(i, track, page.rows) for i, track in enumerate(page.tracks)]
    return _template('page.html').substitute(
        title=_escaped(page.title),
        style=(PAGE_FOLDER / 'style.css').read_text(encoding='utf-8'),
        script=script,
        policy=_policy([script, plotly]),
        facts=''.join(facts),
        tables=''.join(map(_table_html, page.tables)),
        remarks=_elements('li', page.remarks),
        options=''.join(options),
        tracks=''.join(tracks),
        common=_json(dict(rows=page.rows, faces=np.asarray(page.faces).tolist())),
        plotly=compressed(plotly.encode()),
    )


def _policy(scripts: Iterable[str]) -> str:
    """The content-security policy of a page: these inline scripts run and no others, and nothing is loaded or sent.

    ``'unsafe-eval'`` is for plotly, whose drawing of meshes compiles functions; it lets no script of a name or a text
    in, because those would first have to run.

    Args:
        scripts: the texts of the scripts, exactly as the page runs them.
    """
    hashes = []
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        hashes.append(f"'sha256-{digest}'")
    rules = (
        "default-src 'none'",
        f"script-src {' '.join(hashes)} 'unsafe-eval'",
        "style-src 'unsafe-inline'",
        'img-src data: blob:',
        'media-src data: blob:',
        "base-uri 'none'",
        "form-action 'none'",
    )
    return '; '.join(rules)


def plotly_script() -> str:
    """plotly.js from the installed plotly wheel.

    Raises:
        InputError: plotly is not installed.
    """
    path = _plotly_path()
    if path is None or not path.is_file():
        raise InputError(
            'a report takes its 3D player from the package plotly, which is not installed; run '
            "`pip install 'hrtk[report]'` or `pip install plotly`"
        )
    return path.read_text(encoding='utf-8')


def spaced_maxima(values: np.ndarray, count: int, gap: Optional[int] = None) -> list[int]:
    """Indices of the largest finite values, largest first, of which no two are closer than ``gap``.

    Neighbouring frames look alike, so without a gap all worst frames would show the same moment.

    Args:
        values: (F,).
        count: largest number of indices.
        gap: default a twelfth of F.
    """
    if gap is None:
        gap = max(1, len(values) // 12)
    maxima: list[int] = []
    for index in np.argsort(-np.nan_to_num(values, nan=-np.inf), kind='stable'):
        if len(maxima) == count or not np.isfinite(values[index]):
            break
        if all(abs(index - other) >= gap for other in maxima):
            maxima.append(int(index))
    return maxima


def _plotly_path() -> Optional[Path]:
    """Where an installed plotly has its script, or None."""
    package = importlib.util.find_spec('plotly')
    if package is None or package.origin is None:
        return None
    return Path(package.origin).with_name('package_data') / 'plotly.min.js'


def _track_html(number: int, track: Track, rows: dict[str, str]) -> str:
    images = [data_url('image/jpeg', image) for image in track.video.images]
    data = dict(
        name=track.name,
        frameIds=list(track.frame_ids),
        shown=list(map(int, track.shown)),
        fps=track.video.fps,
        errors={name: _json_errors(by_role) for name, by_role in track.errors.items()},
        images=images,
    )
    meshes = [
        f'<script type="text/plain" class="mesh" data-role="{role}">{pack_meshes(vertices)}</script>'
        for role, vertices in track.meshes.items()
    ]
    bodies = ', '.join(rows.get(role, role) for role in track.meshes)
    summary = _summary(track, rows)
    worst = [_worst_frame_html(worst_frame, track) for worst_frame in track.worst]
    return _template('track.html').substitute(
        number=number,
        name=_escaped(track.name),
        video=_video_html(track, images),
        video_text=_escaped(track.video_text),
        meshes=''.join(meshes),
        bodies=_escaped(bodies),
        frames=len(track.shown),
        last=len(track.shown) - 1,
        data=_json(data),
        plot_text=_escaped(f'Errors of {track.name} over time. {summary}'),
        summary=_escaped(summary),
        worst=''.join(worst),
    )


def _video_html(track: Track, images: Sequence[str]) -> str:
    """The video, or the first image if there is none; ``images`` are data URLs."""
    label = _escaped(f'Video of {track.name}: {track.video_text}')
    if track.video.video:
        source = data_url('video/mp4', track.video.video)
        return (
            f'<video src="{source}" aria-label="{label}" controls muted playsinline loop></video>'
        )
    return f'<img class="video" src="{images[0]}" alt="{label}">'


def _worst_frame_html(worst: WorstFrame, track: Track) -> str:
    source = data_url('image/webp', encode_image(worst.image))
    height, width = worst.image.shape[:2]
    text = _escaped(worst.text)
    nearest = int(np.argmin(np.abs(np.asarray(track.shown) - worst.frame)))
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" loading="lazy" alt="{text}">'
        f'<figcaption>{text} <button type="button" class="seek" data-at="{nearest}">show in video and 3D'
        f'</button></figcaption></figure>'
    )


def _summary(track: Track, rows: dict[str, str]) -> str:
    """Means and worst frames of the first known error in words, for readers who cannot see the plot."""
    for name, by_role in track.errors.items():
        sentences = [
            f'{rows.get(role, role)} {np.nanmean(values):.1f} on average, at most {np.nanmax(values):.1f} in frame '
            f'{np.nanargmax(values)}'
            for role, values in by_role.items()
            if np.isfinite(values).any()
        ]
        if sentences:
            return f'{name}: {"; ".join(sentences)}.'
    return 'No error is known.'


def _table_html(table: Table) -> str:
    caption = _escaped(table.caption)
    header = [f'<th scope="col">{_escaped(cell)}</th>' for cell in table.header]
    rows = [
        f'<tr><th scope="row">{_escaped(name)}</th>{_elements("td", numbers)}</tr>'
        for name, *numbers in table.rows
    ]
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f'<thead><tr>{"".join(header)}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _elements(tag: str, texts: Iterable[Any]) -> str:
    return ''.join(_element(tag, text) for text in texts)


def _element(tag: str, text: Any) -> str:
    return f'<{tag}>{_escaped(text)}</{tag}>'


def _escaped(value: Any) -> str:
    return html.escape(str(value))


def _template(name: str) -> Template:
    return Template((PAGE_FOLDER / name).read_text(encoding='utf-8'))


def _json_errors(by_role: dict[str, np.ndarray]) -> dict[str, list[Optional[float]]]:
    return {role: list(map(_json_number, values)) for role, values in by_role.items()}


def _json_number(value: float) -> Optional[float]:
    """Two decimals; None for NaN and infinity."""
    if not math.isfinite(value):
        return None
    return round(float(value), 2)


def _json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(value, separators=(',', ':'), allow_nan=False).replace('<', '\\u003c')
