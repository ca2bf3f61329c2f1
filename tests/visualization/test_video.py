"""Films are read back: number, size and colours of their pictures; failures leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtk.errors import InputError
from hrtk.visualization.video import (
    can_write_video,
    letterbox,
    write_picture,
    write_pictures,
    write_video,
)

needs_codec = pytest.mark.skipif(not can_write_video(), reason='this OpenCV cannot write mp4 films')


def read(path: Path) -> tuple[list[np.ndarray], float]:
    reader, pictures = cv2.VideoCapture(str(path)), []
    fps = reader.get(cv2.CAP_PROP_FPS)
    while True:
        ok, picture = reader.read()
        if not ok:
            return pictures, fps
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


@needs_codec
@pytest.mark.parametrize('size', [(64, 96), (65, 97)])
def test_film_reads_back(tmp_path: Path, size: tuple[int, int]) -> None:
    colors = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (120, 120, 120), (220, 220, 30)]
    path = write_video(
        tmp_path / 'new' / 'film.mp4', (np.full((*size, 3), c, np.uint8) for c in colors), fps=12
    )
    pictures, fps = read(path)
    assert fps == pytest.approx(12)
    assert [p.shape for p in pictures] == [(64, 96, 3)] * len(colors)
    np.testing.assert_allclose([p.mean((0, 1)) for p in pictures], colors, atol=12)
    assert [p.name for p in path.parent.iterdir()] == ['film.mp4']


@needs_codec
def test_failures_leave_the_old_film(tmp_path: Path) -> None:
    path, picture = tmp_path / 'film.mp4', np.zeros((64, 64, 3), np.uint8)
    write_video(path, [picture] * 3)
    kept = path.read_bytes()

    def broken():
        yield picture
        raise OSError('disk gone')

    with pytest.raises(OSError, match='disk gone'):
        write_video(path, broken())
    with pytest.raises(
        InputError, match=r'picture 1 of the film is \(32, 64, 3\), the first was \(64, 64, 3\)'
    ):
        write_video(path, [picture, picture[:32]])
    with pytest.raises(InputError, match='at least one picture'):
        write_video(path, [])
    assert path.read_bytes() == kept and [p.name for p in tmp_path.iterdir()] == ['film.mp4']


def test_a_missing_codec_is_said_and_falls_back_to_pictures(tmp_path: Path) -> None:
    pictures = [np.full((20, 30, 3), (i, 0, 255 - i), np.uint8) for i in (0, 100, 200)]
    with pytest.raises(InputError, match="'XXXX'.*numbered pictures"):
        write_video(tmp_path / 'film.mp4', pictures, codec='XXXX')
    assert not any(tmp_path.iterdir()) and not can_write_video('XXXX')
    folder = write_pictures(tmp_path / 'film', pictures)
    assert sorted(p.name for p in folder.iterdir()) == ['000000.png', '000001.png', '000002.png']
    again = cv2.cvtColor(cv2.imread(str(folder / '000001.png')), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(again, pictures[1])


def test_an_unknown_picture_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.xyz'"):
        write_picture(tmp_path / 'a.xyz', np.zeros((4, 4, 3), np.uint8))


def test_letterbox_keeps_the_shape_of_things() -> None:
    picture = np.full((50, 100, 3), 200, np.uint8)
    assert letterbox(picture, (100, 50)) is picture
    boxed = letterbox(picture, (60, 60))
    assert boxed.shape == (60, 60, 3)
    np.testing.assert_array_equal(boxed[15:45], 200)
    assert not boxed[:15].any() and not boxed[45:].any()
