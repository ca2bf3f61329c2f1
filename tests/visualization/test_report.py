"""The page of a report: whole in itself, readable without its script, and playing in a browser where there is one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hrtk.errors import InputError
from hrtk.visualization import playback, report
from hrtk.visualization.playback import encode_video, pack_meshes
from hrtk.visualization.report import (
    Page,
    Table,
    Track,
    WorstFrame,
    page_html,
    plotly_script,
    spaced_maxima,
)
from hrtk.visualization.video import can_write_video

FRAMES, VERTICES = 6, 5
CHROMIUM = (
    shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
)


class Reader(HTMLParser):
    """Keeps elements with their attributes, and the text inside of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[dict[str, str], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append((self.elements[-1][1] if self.elements else {}, data))

    def named(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    def content(self, key, value):
        return [
            text for attributes, text in self.texts if attributes.get(key) == value and text.strip()
        ]


def make_meshes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.5, (FRAMES, VERTICES, 3)).cumsum(0) * 0.3


def make_page() -> Page:
    images = [np.full((32, 64, 3), 40 * t, np.uint8) for t in range(FRAMES)]
    labels = [f'{t}.jpg' for t in range(FRAMES)]
    track = Track(
        'people/<one>',
        labels,
        range(FRAMES),
        encode_video(images, 10),
        'a video',
        {'MPJPE, mm': {'before': np.array([9, 8, np.nan, 6, 5, 4.0]), 'after': np.arange(6.0)}},
        {'before': make_meshes(1), 'after': make_meshes(2)},
        [WorstFrame(5, images[5], 'Frame 5: 5.0 mm')],
    )
    table = Table('Means', ['', 'MPJPE\nmm'], [['Source', '6.4'], ['Tom & Co', '2.5']])
    faces = np.array([[0, 1, 2], [2, 3, 4], [0, 2, 4]])
    return Page(
        'Run </title><b>',
        {'before': 'Source', 'after': 'Tom & Co'},
        [('seed', '0')],
        [table],
        ['A remark.'],
        [track],
        faces,
    )


def decode(text: str, frames: int) -> np.ndarray:
    """What the page's script does, in other words."""
    data = np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).astype(int)
    low, high = data[: len(data) // 2], data[len(data) // 2 :]
    steps = (low + 256 * high + 32768) % 65536 - 32768
    return steps.reshape(frames, -1, 3).cumsum(0) * 0.001


@pytest.fixture
def page(monkeypatch) -> Reader:
    monkeypatch.setattr(report, 'plotly_script', lambda: '/* stand-in */')
    return Reader(page_html(make_page()))


def test_packed_vertices_are_half_a_millimetre_off_at_most():
    meshes = make_meshes()
    assert np.abs(decode(pack_meshes(meshes), FRAMES) - meshes).max() <= 0.0005 + 1e-9


@pytest.mark.parametrize('value', [np.nan, np.inf, 33.0])
def test_damaged_meshes_are_refused(value):
    meshes = make_meshes()
    meshes[2, 1, 0] = value
    with pytest.raises(InputError, match='damaged'):
        pack_meshes(meshes)


def test_slow_motion_is_small():
    still = np.tile(make_meshes()[:1], (100, 40, 1))
    assert len(pack_meshes(still)) < 100 * 40 * VERTICES * 3 / 10


def test_worst_frames_are_apart():
    values = np.array([1, 9, 8, 7, 2, 3, np.nan, 6])
    assert spaced_maxima(values, 3, gap=3) == [1, 7, 4]
    assert spaced_maxima(values, 9, gap=1) == [1, 2, 3, 7, 5, 4, 0]
    assert spaced_maxima(np.full(3, np.nan), 2) == []


def test_nothing_comes_from_elsewhere(page):
    for attributes in page.named('img', 'video', 'script', 'link', 'a', 'source', 'iframe'):
        for key in ('src', 'href', 'srcset', 'poster'):
            assert attributes.get(key, 'data:').startswith('data:')
    assert not [
        text
        for _, text in page.texts
        if re.search(r'url\(|@import|https?://|fetch\(|XMLHttp', text)
    ]


def test_only_the_scripts_of_the_page_run(monkeypatch):
    monkeypatch.setattr(report, 'plotly_script', lambda: '/* stand-in: ünïcode */')
    page = page_html(make_page())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    rules = dict(rule.split(' ', 1) for rule in policy.split('; '))
    assert rules['default-src'] == "'none'" and 'unsafe-inline' not in rules['script-src']
    assert 'connect-src' not in rules and 'http' not in policy
    # The hashes are those of the text between the tags, which a browser computes.
    (script,) = re.findall(r'<script>(.*?)</script>', page, re.S)
    packed = re.search(r'<script type="text/plain" id="plotly">([^<]*)</script>', page)[1]
    library = gzip.decompress(base64.b64decode(packed)).decode()
    for text in (script, library):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules['script-src']
    assert page.index('Content-Security-Policy') < page.index('<script')
    assert not re.search(r'<[^>]+\son\w+=', page[: page.index('<script type="text/plain"')])


def test_names_cannot_break_the_page(page):
    assert not page.named('b', 'one') and len(page.named('title')) == 1
    assert json.loads(page.content('class', 'data')[0])['name'] == 'people/<one>'


def test_everything_has_a_text(page):
    assert page.named('img') and all(image['alt'] for image in page.named('img'))
    assert all(video['aria-label'] and 'controls' in video for video in page.named('video'))
    assert all('aria-label' in field for field in page.named('input') if field['type'] == 'range')
    plots = [
        attributes
        for attributes in page.named('div')
        if attributes.get('class') in ('plot', 'scene')
    ]
    assert len(plots) == 2 and all(plot['aria-label'] for plot in plots)
    assert any(
        'Tom & Co 2.5 on average, at most 5.0 in frame 5' in plot['aria-label'] for plot in plots
    )
    assert {cell.get('scope') for cell in page.named('th')} == {'col', 'row'}


def test_page_carries_what_it_plays(page):
    data = json.loads(page.content('class', 'data')[0])
    assert data['errors']['MPJPE, mm']['before'] == [9, 8, None, 6, 5, 4] and data['shown'] == list(
        range(FRAMES)
    )
    assert json.loads(page.content('id', 'common')[0])['faces'] == [[0, 1, 2], [2, 3, 4], [0, 2, 4]]
    for text, seed in zip(page.content('class', 'mesh'), (1, 2)):
        np.testing.assert_allclose(decode(text, FRAMES), make_meshes(seed), atol=0.00051)
    assert gzip.decompress(base64.b64decode(page.content('id', 'plotly')[0])) == b'/* stand-in */'


def test_without_a_codec_images_play(monkeypatch):
    monkeypatch.setattr(playback, 'can_write_video', lambda codec: False)
    monkeypatch.setattr(report, 'plotly_script', lambda: '')
    page = Reader(page_html(make_page()))
    images = json.loads(page.content('class', 'data')[0])['images']
    assert len(images) == FRAMES and not page.named('video')
    assert all(
        base64.b64decode(image.partition(',')[2])[:2] == b'\xff\xd8' for image in images
    )  # JPEG


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match=r'hrtk\[report\]'):
        plotly_script()


@pytest.mark.skipif(
    not can_write_video(playback.CODEC), reason='this OpenCV cannot write VP9 videos'
)
def test_plays_in_a_browser(tmp_path: Path):
    pytest.importorskip('plotly', reason='plotly draws the 3D player')
    driver = pytest.importorskip('playwright.sync_api', reason='playwright drives the browser')
    if CHROMIUM is None:
        pytest.skip('there is no Chromium here')
    path = tmp_path / 'report.html'
    path.write_text(page_html(make_page()), encoding='utf-8')
    problems, requests = [], []
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                '--no-sandbox',
                '--use-gl=angle',
                '--use-angle=swiftshader',
                '--enable-unsafe-swiftshader',
            ],
        )
        tab = browser.new_page()
        tab.on('console', lambda message: message.type == 'error' and problems.append(message.text))
        tab.on('pageerror', lambda error: problems.append(str(error)))
        tab.on('request', lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_selector('html[data-ready=yes]', timeout=60000)
        tab.locator('.time').evaluate(
            "box => { box.value = 3; box.dispatchEvent(new Event('input')); }"
        )
        assert (
            tab.locator('.now')
            .inner_text()
            .startswith('frame 3 of 6 (3.jpg) · MPJPE, mm: Source 6.0, Tom & Co 3.0')
        )
        drawn = tab.evaluate(
            "() => { const s = document.querySelector('.scene').data;"
            ' return s.map(body => [[...body.x], [...body.z], [...body.y].map(v => -v)]); }'
        )
        tab.locator('.play').click()
        tab.wait_for_function(
            "() => !document.querySelector('.now').textContent.startsWith('frame 3')"
        )
        tab.locator('.play').click()
        assert tab.evaluate("() => document.querySelector('video').readyState") >= 2
        browser.close()
    assert (
        problems == []
        and [url for url in requests if not url.startswith(('data:', 'blob:', 'file:'))] == []
    )
    for body, seed in zip(drawn, (1, 2)):
        expected, found = make_meshes(seed)[3], np.array(body).T
        found[:, 0] -= (found - expected)[:, 0].mean()  # bodies stand next to each other
        np.testing.assert_allclose(found, expected, atol=0.001)
