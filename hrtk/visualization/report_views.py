"""The parts of a report that play: one person, or everybody of a clip."""

from __future__ import annotations

import html
import json
import math
from pathlib import Path
from string import Template
from typing import Any, Iterable, Iterator, Optional, Sequence

import numpy as np

from hrtk.geometry.floor import runs
from hrtk.visualization.doubts import Doubt
from hrtk.visualization.playback import EncodedVideo, data_url, encode_image, pack_meshes
from hrtk.visualization.report_content import Clip, Page, Track, WorstFrame
from hrtk.visualization.stage import Stage, judged_role

PAGE_FOLDER = Path(__file__).with_name('report_page')
PERSON_COLORS = 6  # of the page's style, --person0 to --person5
ARRANGEMENTS = {'scene': 'in the scene', 'side': 'side by side', 'spot': 'on one spot'}
# Doubts: frames of a person, and the name and colour of the person.
DoubtRow = tuple[Sequence[Doubt], str, str]


def track_view(number: int, page: Page) -> str:
    """The part of the page about one track."""
    track = page.tracks[number]
    lines = {}
    for role in page.rows:
        lines[role] = dict(name=page.rows[role], color=role, dashed=role == 'before')
    bodies = []
    at = list(range(len(track.shown)))
    for role in track.meshes:
        name = page.rows.get(role, role)
        bodies.append(_body(number, role, at, name, f'skin-{role}', role))
    for person in track.others:
        role = judged_role(page.tracks[person.track].meshes)
        bodies.append(_body(person.track, role, person.at, 'others', 'other', 'others'))
    arrangements = list(ARRANGEMENTS)
    if track.stage is None:
        arrangements.remove('scene')
    data = dict(
        name=track.name,
        frameIds=list(track.frame_ids),
        shown=list(map(int, track.shown)),
        fps=track.video.fps,
        lines=lines,
        errors={name: _json_errors(by_role) for name, by_role in track.errors.items()},
        doubts=_doubt_texts(track.doubts),
        bodies=bodies,
        places={role: _json_places(path) for role, path in track.places.items()},
        stage=_json_stage(track.stage),
    )
    return _view_html(
        track.name,
        track.video,
        track.video_text,
        data,
        doubts=[(track.doubts, '', 'doubt')],
        worst=track.worst,
        arrangements=arrangements,
        floor_text=track.stage.floor_text if track.stage is not None else '',
        body_names=', '.join(page.rows.get(role, role) for role in track.meshes),
        summary=_summary(track, page.rows),
    )


def clip_view(clip: Clip, page: Page) -> str:
    """The part of the page about everybody of a clip."""
    lines = {}
    errors = {}
    bodies = []
    doubts = []
    names = []
    for index, person in enumerate(clip.people):
        name = page.tracks[person.track].name
        key = f'person{index}'
        color = f'person{index % PERSON_COLORS}'
        lines[key] = dict(name=name, color=color, dashed=False)
        errors[key] = clip.errors[index]
        bodies.append(_body(person.track, clip.role, person.at, name, color, key))
        doubts.append((clip.doubts[index], name, color))
        names.append(name)
    texts = []
    for found, name, _ in doubts:
        texts += [[frame, f'{name}: {reason}'] for frame, reason in _doubt_texts(found)]
    data = dict(
        name=clip.name,
        frameIds=list(clip.frame_ids),
        shown=list(map(int, clip.shown)),
        fps=clip.video.fps,
        lines=lines,
        errors={clip.error: _json_errors(errors)},
        doubts=texts,
        bodies=bodies,
        places={},
        stage=_json_stage(clip.stage),
    )
    return _view_html(
        f'{clip.name}: everybody',
        clip.video,
        clip.video_text,
        data,
        doubts=doubts,
        worst=clip.worst,
        arrangements=['scene'],
        floor_text=clip.stage.floor_text,
        body_names=', '.join(names),
        summary=f'{clip.error} of {len(names)} people over the frames of the clip.',
    )


def mesh_elements(tracks: Sequence[Track]) -> Iterator[str]:
    """The packed bodies of all tracks; views refer to them by the number of the track and the role."""
    for number, track in enumerate(tracks):
        for role, vertices in track.meshes.items():
            yield (
                f'<script type="text/plain" class="mesh" data-role="{role}" data-track="{number}" '
                f'data-frames="{len(vertices)}">{pack_meshes(vertices)}</script>'
            )


def _view_html(
    name: str,
    video: EncodedVideo,
    video_text: str,
    data: dict[str, Any],
    *,
    doubts: Sequence[DoubtRow],
    worst: Sequence[WorstFrame],
    arrangements: Sequence[str],
    floor_text: str,
    body_names: str,
    summary: str,
) -> str:
    shown = data['shown']
    images = [data_url('image/jpeg', image) for image in video.images]
    choices = [f'<option value="{key}">{ARRANGEMENTS[key]}</option>' for key in arrangements]
    figures = [_worst_frame_html(worst_frame, shown) for worst_frame in worst]
    return template('view.html').substitute(
        name=escaped(name),
        video=_video_html(name, video, video_text, images),
        video_text=escaped(video_text),
        bodies=escaped(body_names),
        frames=len(shown),
        last=len(shown) - 1,
        arrangements=''.join(choices),
        floor_text=escaped(floor_text),
        marks=_marks_html(doubts, shown),
        doubts=_doubts_html(doubts, shown, len(data['frameIds'])),
        data=json_text(dict(data, images=images)),
        plot_text=escaped(f'Errors of {name} over time. {summary}'),
        summary=escaped(summary),
        worst=''.join(figures),
    )


def _video_html(name: str, video: EncodedVideo, text: str, images: Sequence[str]) -> str:
    """The video, or the first image if there is none; ``images`` are data URLs."""
    label = escaped(f'Video of {name}: {text}')
    if video.video:
        source = data_url('video/mp4', video.video)
        return (
            f'<video src="{source}" aria-label="{label}" controls muted playsinline loop></video>'
        )
    return f'<img class="video" src="{images[0]}" alt="{label}">'


def _marks_html(doubts: Sequence[DoubtRow], shown: Sequence[int]) -> str:
    """A row of marks per person above the time axis, one where any frame that a shown frame stands for is doubtful."""
    last = max(len(shown) - 1, 1)
    rects = []
    for row, (found, name, color) in enumerate(doubts):
        for start, end in _runs([nearest(shown, doubt.frame) for doubt in found], len(shown)):
            x = max(start - 0.5, 0)
            width = min(end + 0.5, last) - x
            rects.append(
                f'<rect x="{x}" y="{row + 0.1}" width="{width}" height="0.8" fill="var(--{color})"/>'
            )
    label = 'Doubtful frames on the time axis; the list below tells them.'
    style = f'style="height:{12 * len(doubts)}px"'
    return (
        f'<svg class="marks" viewBox="0 0 {last} {len(doubts)}" preserveAspectRatio="none" '
        f'role="img" aria-label="{label}" {style}>{"".join(rects)}</svg>'
    )


def _doubts_html(doubts: Sequence[DoubtRow], shown: Sequence[int], count: int) -> str:
    """The doubtful frames in words: consecutive frames with the same reason as one line."""
    items = []
    frames = set()
    for found, name, color in doubts:
        by_reason: dict[str, list[int]] = {}
        for doubt in found:
            by_reason.setdefault(doubt.reason, []).append(doubt.frame)
            frames.add(doubt.frame)
        for reason, of in by_reason.items():
            for start, end in _runs(of, count):
                items.append((start, end, name, reason, color))
    if not items:
        return (
            '<p class="doubtless">No frame is doubtful by its own evidence; that is no proof.</p>'
        )
    lines = []
    for start, end, name, reason, color in sorted(items):
        stretch = f'frame {start}' if start == end else f'frames {start} to {end}'
        text = ': '.join(part for part in (name, stretch, reason) if part)
        lines.append(
            f'<li><span class="dot" style="background:var(--{color})"></span>{escaped(text)} '
            f'{_seek_button(nearest(shown, start), "show")}</li>'
        )
    return (
        f'<details class="doubts"><summary>{len(frames)} of {count} frames are doubtful'
        f'</summary><ul>{"".join(lines)}</ul></details>'
    )


def _worst_frame_html(worst: WorstFrame, shown: Sequence[int]) -> str:
    source = data_url('image/webp', encode_image(worst.image))
    height, width = worst.image.shape[:2]
    text = escaped(worst.text)
    button = _seek_button(nearest(shown, worst.frame), 'show in video and 3D')
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" loading="lazy" alt="{text}">'
        f'<figcaption>{text} {button}</figcaption></figure>'
    )


def _seek_button(index: int, text: str) -> str:
    return f'<button type="button" class="seek" data-at="{index}">{text}</button>'


def nearest(shown: Sequence[int], frame: int) -> int:
    """The position of the shown frame that is nearest to a frame."""
    return int(np.argmin(np.abs(np.asarray(shown) - frame)))


def _runs(numbers: Sequence[int], count: int) -> list[tuple[int, int]]:
    """First and last number of every run of consecutive ones among numbers below ``count``."""
    flags = np.zeros(count, bool)
    flags[numbers] = True
    return [(start, stop - 1) for start, stop in runs(flags)]


def _body(
    track: int, role: str, at: Sequence[int], name: str, color: str, key: str
) -> dict[str, Any]:
    """What the player needs to know about a moving body; bodies of one key are shown and hidden together."""
    return dict(track=track, role=role, at=list(map(int, at)), name=name, color=color, key=key)


def _doubt_texts(doubts: Sequence[Doubt]) -> list[list[Any]]:
    return [[int(doubt.frame), doubt.reason] for doubt in doubts]


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


def elements(tag: str, texts: Iterable[Any]) -> str:
    """One element per text."""
    return ''.join(element(tag, text) for text in texts)


def element(tag: str, text: Any) -> str:
    """An element that contains a text, escaped."""
    return f'<{tag}>{escaped(text)}</{tag}>'


def escaped(value: Any) -> str:
    """Text for HTML and for quoted attributes."""
    return html.escape(str(value))


def template(name: str) -> Template:
    """A file of the page's folder, whose ``$name`` are replaced."""
    return Template((PAGE_FOLDER / name).read_text(encoding='utf-8'))


def json_text(value: Any) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(value, separators=(',', ':'), allow_nan=False).replace('<', '\\u003c')


def _json_errors(by_role: dict[str, np.ndarray]) -> dict[str, list[Optional[float]]]:
    return {role: list(map(_json_number, values)) for role, values in by_role.items()}


def _json_number(value: float) -> Optional[float]:
    """Two decimals; None for NaN and infinity."""
    if not math.isfinite(value):
        return None
    return round(float(value), 2)


def _json_places(path: np.ndarray) -> list[list[float]]:
    """Millimetres are enough."""
    return np.round(np.asarray(path, np.float64), 3).tolist()


def _json_stage(stage: Optional[Stage]) -> Optional[dict[str, Any]]:
    if stage is None:
        return None
    return dict(
        level=_json_places(stage.level),
        camera=_json_places(stage.camera),
        corners=_json_places(stage.corners),
        floor=round(stage.floor, 3),
    )
