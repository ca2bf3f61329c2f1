"""Videos are read back: number, size and colours of their images; failures leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtk.errors import InputError
from hrtk.visualization.video import (
    can_write_video,
    letterbox,
    write_image,
    write_images,
    write_video,
)

needs_codec = pytest.mark.skipif(
    not can_write_video(), reason='this OpenCV cannot write mp4 videos'
)


def read(path: Path) -> tuple[list[np.ndarray], float]:
    reader, images = cv2.VideoCapture(str(path)), []
    fps = reader.get(cv2.CAP_PROP_FPS)
    while True:
        ok, image = reader.read()
        if not ok:
            return images, fps
        images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


@needs_codec
@pytest.mark.parametrize('size', [(64, 96), (65, 97)])
def test_video_reads_back(tmp_path: Path, size: tuple[int, int]) -> None:
    colors = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (120, 120, 120), (220, 220, 30)]
    path = write_video(
        tmp_path / 'new' / 'video.mp4', (np.full((*size, 3), c, np.uint8) for c in colors), fps=12
    )
    images, fps = read(path)
    assert fps == pytest.approx(12)
    assert [p.shape for p in images] == [(64, 96, 3)] * len(colors)
    np.testing.assert_allclose([p.mean((0, 1)) for p in images], colors, atol=12)
    assert [p.name for p in path.parent.iterdir()] == ['video.mp4']


@needs_codec
def test_failures_leave_the_old_video(tmp_path: Path) -> None:
    path, image = tmp_path / 'video.mp4', np.zeros((64, 64, 3), np.uint8)
    write_video(path, [image] * 3)
    kept = path.read_bytes()

    def broken():
        yield image
        raise OSError('disk gone')

    with pytest.raises(OSError, match='disk gone'):
        write_video(path, broken())
    with pytest.raises(
        InputError, match=r'image 1 of the video is \(32, 64, 3\), the first was \(64, 64, 3\)'
    ):
        write_video(path, [image, image[:32]])
    with pytest.raises(InputError, match='at least one image'):
        write_video(path, [])
    assert path.read_bytes() == kept and [p.name for p in tmp_path.iterdir()] == ['video.mp4']


def test_a_missing_codec_is_reported_and_images_are_written_instead(tmp_path: Path) -> None:
    images = [np.full((20, 30, 3), (i, 0, 255 - i), np.uint8) for i in (0, 100, 200)]
    with pytest.raises(InputError, match="'XXXX'.*numbered images"):
        write_video(tmp_path / 'video.mp4', images, codec='XXXX')
    assert not any(tmp_path.iterdir()) and not can_write_video('XXXX')
    folder = write_images(tmp_path / 'video', images)
    assert sorted(p.name for p in folder.iterdir()) == ['000000.png', '000001.png', '000002.png']
    again = cv2.cvtColor(cv2.imread(str(folder / '000001.png')), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(again, images[1])


def test_an_unknown_image_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.xyz'"):
        write_image(tmp_path / 'a.xyz', np.zeros((4, 4, 3), np.uint8))


def test_letterbox_keeps_the_aspect_ratio() -> None:
    image = np.full((50, 100, 3), 200, np.uint8)
    assert letterbox(image, (100, 50)) is image
    boxed = letterbox(image, (60, 60))
    assert boxed.shape == (60, 60, 3)
    np.testing.assert_array_equal(boxed[15:45], 200)
    assert not boxed[:15].any() and not boxed[45:].any()
