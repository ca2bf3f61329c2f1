"""The page of a report: whole in itself, readable without its script, and playing in a browser where there is one."""

from __future__ import annotations

import base64
import dataclasses
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
    Clip,
    Doubt,
    Page,
    Person,
    Table,
    Track,
    WorstFrame,
    page_html,
    plotly_script,
    spaced_maxima,
)
from hrtk.visualization.stage import Stage
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


NAME = "clip</script><script>alert('x')</script>_person"
LEVEL = np.array([[1.0, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
STAGE = Stage(
    level=LEVEL,
    camera=np.array([0, 1.5, 0]),
    corners=np.array([[-1, 2, -1], [1, 2, -1], [1, 1, -1], [-1, 1, -1.0]]),
    floor=0.0,
    floor_text='The floor is <assumed>.',
)
DOUBTS = [Doubt(1, 'a <b>jump</b>'), Doubt(2, 'a <b>jump</b>'), Doubt(4, 'hidden')]


def make_track(number: int, name: str, doubts: list[Doubt], others: list[Person]) -> Track:
    images = [np.full((32, 64, 3), 40 * t, np.uint8) for t in range(FRAMES)]
    meshes = {'before': make_meshes(2 * number + 1), 'after': make_meshes(2 * number + 2)}
    path = np.linspace((number, 0.9, -4), (number + 1, 0.9, -3), FRAMES)
    return Track(
        name,
        [f'{t}.jpg' for t in range(FRAMES)],
        range(FRAMES),
        encode_video(images, 10),
        'a video',
        {'MPJPE, mm': {'before': np.array([9, 8, np.nan, 6, 5, 4.0]), 'after': np.arange(6.0)}},
        meshes,
        [WorstFrame(5, images[5], 'Frame 5: 5.0 mm', 5.0)],
        doubts,
        {'before': path, 'after': path + 0.1},
        STAGE,
        others,
    )


def make_page(people: int = 1) -> Page:
    """A page of one person, or of two people of a clip; the second one is absent in the first two frames."""
    here = list(range(FRAMES))
    late = [-1, -1, 2, 3, 4, 5]
    tracks = [make_track(0, f'{NAME}1', DOUBTS, [Person(1, late)][: people - 1])]
    clips = []
    if people == 2:
        tracks.append(make_track(1, f'{NAME}2', [], [Person(0, here)]))
        clip = Clip(
            name='clip',
            frame_ids=tracks[0].frame_ids,
            shown=here,
            video=tracks[0].video,
            video_text='everybody',
            error='MPJPE, mm',
            errors=[np.arange(6.0), np.array([np.nan, np.nan, 2, 3, 4, 5])],
            people=[Person(0, here), Person(1, late)],
            role='after',
            doubts=[DOUBTS, [Doubt(5, 'far away')]],
            worst=tracks[0].worst,
            stage=STAGE,
        )
        clips.append(clip)
    table = Table('Means', ['', 'MPJPE\nmm'], [['Source', '6.4'], ['Tom & Co', '2.5']])
    faces = np.array([[0, 1, 2], [2, 3, 4], [0, 2, 4]])
    return Page(
        'Run </title><b>',
        {'before': 'Source', 'after': 'Tom & Co'},
        [('seed', '0')],
        [table],
        ['A remark.'],
        tracks,
        faces,
        clips,
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


def test_names_cannot_break_the_page(monkeypatch):
    monkeypatch.setattr(report, 'plotly_script', lambda: '/* stand-in */')
    text = page_html(make_page(2))
    page = Reader(text)
    assert not page.named('b', 'assumed') and len(page.named('title')) == 1
    assert [json.loads(part)['name'] for part in page.content('class', 'data')] == [
        'clip',
        f'{NAME}1',
        f'{NAME}2',
    ]
    # The page's own scripts alone: one that runs, and data of other types.
    types = [script.get('type') for script in page.named('script')]
    assert types.count(None) == 1 and '<script>alert' not in text
    options = [data for attributes, data in page.texts if 'value' in attributes]
    assert f'{NAME}1' in options and f'{NAME}2' in options


def test_the_film_comes_first_and_the_worst_frame_before_the_numbers(page):
    names = [attributes.get('class') or attributes.get('id') for _, attributes in page.elements]
    order = ['film', 'time', 'marks', 'doubts', 'scene', 'worst', 'plot', 'numbers', 'run']
    assert [name for name in names if name in order] == order


def test_doubtful_frames_are_marked_and_told(page):
    marks = [(float(mark['x']), float(mark['width'])) for mark in page.named('rect')]
    assert marks == [(0.5, 2.0), (3.5, 1.0)]  # of the axis from frame 0 to frame 5
    (summary,) = [text for _, text in page.texts if 'are doubtful' in text]
    assert summary == '3 of 6 frames are doubtful'
    told = [text.strip() for _, text in page.texts if text.startswith('frame')]
    assert told == ['frames 1 to 2: a <b>jump</b>', 'frame 4: hidden']
    seeks = [button['data-at'] for button in page.named('button') if button.get('class') == 'seek']
    assert seeks == ['1', '4', '5']


def test_doubtful_frames_that_are_not_shown_are_marked_at_the_nearest(monkeypatch):
    monkeypatch.setattr(report, 'plotly_script', lambda: '')
    page = make_page()
    meshes = {role: mesh[::4] for role, mesh in page.tracks[0].meshes.items()}
    track = dataclasses.replace(page.tracks[0], shown=[0, 4], meshes=meshes, doubts=[Doubt(3, 'x')])
    reader = Reader(page_html(dataclasses.replace(page, tracks=[track])))
    assert [(mark['x'], mark['width']) for mark in reader.named('rect')] == [('0.5', '0.5')]
    assert [text for _, text in reader.texts if text.startswith('frame 3')]


def test_everybody_of_a_clip_shares_the_bodies(monkeypatch):
    monkeypatch.setattr(report, 'plotly_script', lambda: '')
    page = Reader(page_html(make_page(2)))
    assert len(page.named('article')) == 3 and len(page.content('class', 'mesh')) == 4
    clip, first, _ = [json.loads(part) for part in page.content('class', 'data')]
    assert [(body['track'], body['role']) for body in clip['bodies']] == [
        (0, 'after'),
        (1, 'after'),
    ]
    assert clip['bodies'][1]['at'] == [-1, -1, 2, 3, 4, 5]
    assert clip['doubts'][-1] == [5, f'{NAME}2: far away']
    assert [body['key'] for body in first['bodies']] == ['before', 'after', 'others']


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


@pytest.fixture
def tab():
    """A page of headless Chromium, which notes every problem and every request in ``tab.noted``."""
    pytest.importorskip('plotly', reason='plotly draws the 3D player')
    driver = pytest.importorskip('playwright.sync_api', reason='playwright drives the browser')
    if CHROMIUM is None:
        pytest.skip('there is no Chromium here')
    software = ('--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader')
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox', *software], timeout=120000
        )
        tab = browser.new_page(viewport=dict(width=1280, height=800))
        tab.set_default_timeout(120000)
        noted = []

        def note_request(request):
            if not request.url.startswith(('data:', 'blob:', 'file:')):
                noted.append(request.url)

        # What the content-security policy blocks is an error in the console.
        tab.on('console', lambda message: message.type == 'error' and noted.append(message.text))
        tab.on('pageerror', lambda error: noted.append(str(error)))
        tab.on('request', note_request)
        tab.noted = noted
        yield tab
        browser.close()


def open_page(tab, path: Path, page: Page) -> None:
    path.write_text(page_html(page), encoding='utf-8')
    tab.goto(path.as_uri())
    tab.wait_for_selector('html[data-ready=yes]')


def bodies_in(tab, view: int) -> np.ndarray:
    """(N, V, 3) the drawn bodies of a view in the axes of its world."""
    drawn = (
        tab.locator('.scene')
        .nth(view)
        .evaluate(
            "scene => scene.data.filter(body => body.type === 'mesh3d' && body.name)"
            '.map(body => [[...body.x], [...body.z], [...body.y].map(v => -v)])'
        )
    )
    return np.array([np.array(body).T for body in drawn if len(body[0]) == VERTICES])


@pytest.mark.skipif(
    not can_write_video(playback.CODEC), reason='this OpenCV cannot write VP9 videos'
)
def test_plays_in_a_browser(tmp_path: Path, tab):
    open_page(tab, tmp_path / 'report.html', make_page())
    tab.locator('.time').evaluate(
        "box => { box.value = 3; box.dispatchEvent(new Event('input')); }"
    )
    now = tab.locator('.now')
    assert now.inner_text().startswith('frame 3 of 6 (3.jpg) · MPJPE, mm: Source 6.0, Tom & Co 3.0')
    places = make_page().tracks[0].places
    for drawn, role, seed in zip(bodies_in(tab, 0), ('before', 'after'), (1, 2)):
        expected = make_meshes(seed)[3] @ LEVEL.T + places[role][3]
        np.testing.assert_allclose(drawn, expected, atol=0.0015)
    tab.locator('.arrangement').select_option('side')
    for drawn, seed in zip(bodies_in(tab, 0), (1, 2)):
        expected = make_meshes(seed)[3]
        drawn[:, 0] -= (drawn - expected)[:, 0].mean()  # bodies stand next to each other
        np.testing.assert_allclose(drawn, expected, atol=0.001)
    tab.locator('.play').click()
    tab.wait_for_function("() => !document.querySelector('.now').textContent.startsWith('frame 3')")
    tab.locator('.play').click()
    assert tab.evaluate("() => document.querySelector('video').readyState") >= 2
    assert tab.noted == []


def test_doubts_people_themes_and_widths_in_a_browser(tmp_path: Path, tab):
    open_page(tab, tmp_path / 'report.html', make_page(2))
    now, reason = tab.locator('.now').first, tab.locator('.reason').first
    told = []
    for key in ('n', 'n', 'p', 'n', 'n', 'n'):
        tab.keyboard.press(key)
        told.append(int(now.inner_text().split()[1]))
    assert told == [1, 2, 1, 2, 4, 5]
    assert reason.inner_text() == f'Doubtful: {NAME}2: far away'
    tab.keyboard.press('Home')
    assert now.inner_text().startswith('frame 0') and reason.inner_text() == ''
    tab.keyboard.press('ArrowRight')
    visible = tab.locator('.scene').first.evaluate('scene => scene.data.map(body => body.visible)')
    assert visible[:2] == [True, False]  # the second person comes later
    colors = set()
    for scheme in ('light', 'dark'):
        tab.emulate_media(color_scheme=scheme)
        other = {'light': 'Dark', 'dark': 'Light'}[scheme]
        tab.wait_for_function(f"document.getElementById('theme').textContent === '{other}'")
        colors.add(tab.evaluate('getComputedStyle(document.body).backgroundColor'))
    tab.keyboard.press('t')
    assert tab.evaluate('document.documentElement.dataset.theme') == 'light'
    colors.add(tab.evaluate('getComputedStyle(document.body).backgroundColor'))
    assert len(colors) == 2
    tab.keyboard.press(']')
    tab.wait_for_selector('.view >> nth=1')
    assert [tab.locator('.view').nth(k).is_visible() for k in range(3)] == [False, True, False]
    for width in (360, 1280):
        tab.set_viewport_size(dict(width=width, height=800))
        assert tab.evaluate('document.documentElement.scrollWidth') <= width
    assert tab.noted == []
