"""A run as one self-contained HTML page: films with doubtful frames, worst frames, a 3D player, errors and tables.

The page's templates, style and script lie in ``report_page/``. The 3D player and the plots are drawn by plotly.js from
the plotly wheel, which every page contains in compressed form.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from pathlib import Path
from typing import Iterable, Optional

import numpy as np

from hrtk.errors import InputError
from hrtk.visualization.doubts import Doubt
from hrtk.visualization.playback import compressed
from hrtk.visualization.report_content import (
    Clip,
    Page,
    Person,
    Table,
    Track,
    WorstFrame,
)
from hrtk.visualization.report_views import (
    PAGE_FOLDER,
    clip_view,
    element,
    elements,
    escaped,
    json_text,
    mesh_elements,
    template,
    track_view,
)

__all__ = [
    'Clip',
    'Doubt',
    'Page',
    'Person',
    'Table',
    'Track',
    'WorstFrame',
    'page_html',
    'plotly_script',
    'spaced_maxima',
]

SCRIPTS = ('scene.js', 'player.js')


def page_html(page: Page) -> str:
    """The whole page as text.

    Raises:
        InputError: plotly is not installed, or a mesh cannot be packed.
    """
    plotly = plotly_script()
    script = ''.join((PAGE_FOLDER / name).read_text(encoding='utf-8') for name in SCRIPTS)
    facts = [element('dt', name) + element('dd', text) for name, text in page.facts]
    views = [clip_view(clip, page) for clip in page.clips]
    views += [track_view(number, page) for number in range(len(page.tracks))]
    titles = [f'{clip.name}: everybody' for clip in page.clips]
    titles += [track.name for track in page.tracks]
    options = [f'<option value="{i}">{escaped(title)}</option>' for i, title in enumerate(titles)]
    return template('page.html').substitute(
        title=escaped(page.title),
        style=(PAGE_FOLDER / 'style.css').read_text(encoding='utf-8'),
        script=script,
        policy=_policy([script, plotly]),
        facts=''.join(facts),
        tables=''.join(map(_table_html, page.tables)),
        remarks=elements('li', page.remarks),
        options=''.join(options),
        views=''.join(views),
        meshes=''.join(mesh_elements(page.tracks)),
        common=json_text(dict(faces=np.asarray(page.faces).tolist())),
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


def _table_html(table: Table) -> str:
    caption = escaped(table.caption)
    header = [f'<th scope="col">{escaped(cell)}</th>' for cell in table.header]
    rows = [
        f'<tr><th scope="row">{escaped(name)}</th>{elements("td", numbers)}</tr>'
        for name, *numbers in table.rows
    ]
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f'<thead><tr>{"".join(header)}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
