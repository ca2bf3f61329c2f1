"""Lazy frames: the right picture at every index, in any order, and clear words for files that cannot be read."""

from __future__ import annotations

import os
import pickle
import signal
import struct

import cv2
import numpy as np
import pytest

from hrtk.datasets.frames import ArrayFrames, ImageFrames, VideoFrames, read_image
from hrtk.errors import InputError


def picture(seed=0, size=(30, 40)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def save(path, rgb):
    # PNG is lossless, so what is read must be what was written.
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])
    return path


def write_video(path, frames=24, fourcc='mp4v', fps=12.5):
    """A video whose frames are told apart easily, keyframes every 12 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, (64, 48))
    if not writer.isOpened():
        pytest.skip(f'this OpenCV cannot write {fourcc}')
    for t in range(frames):
        frame = np.full((48, 64, 3), 40, np.uint8)
        cv2.rectangle(frame, (2 * t, 10), (2 * t + 10, 30), (255, 255 - 10 * t, 10 * t), -1)
        writer.write(frame)
    writer.release()
    return path


def decode_all(path):
    """The reference: one plain run through the video."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            return frames
        frames.append(frame[:, :, ::-1])


def test_images(tmp_path):
    frames = ImageFrames([save(tmp_path / f'{i}.png', picture(i)) for i in range(3)])
    assert len(frames) == 3 and frames[1].dtype == np.uint8
    for i, image in enumerate(frames):
        np.testing.assert_array_equal(image, picture(i))
    np.testing.assert_array_equal(frames[-1], picture(2))
    np.testing.assert_array_equal(frames[np.int64(0)], picture(0))
    with pytest.raises(IndexError):
        frames[3]


def test_grey_and_transparent_pictures_become_rgb(tmp_path):
    grey, rgba = picture()[:, :, 0], np.dstack([picture(1), picture(2)[:, :, :1]])
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    cv2.imwrite(str(tmp_path / 'rgba.png'), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
    np.testing.assert_array_equal(
        read_image(tmp_path / 'grey.png'), np.repeat(grey[:, :, None], 3, axis=2)
    )
    np.testing.assert_array_equal(read_image(tmp_path / 'rgba.png'), rgba[:, :, :3])


def test_names_outside_ascii(tmp_path):
    save(tmp_path / 'a.png', picture()).rename(tmp_path / 'Übung 你好.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'Übung 你好.png'), picture())


def jpeg_with_orientation(rgb, orientation):
    data = cv2.imencode('.jpg', rgb[:, :, ::-1])[1].tobytes()
    tiff = b'II*\0' + struct.pack('<IHHHIHHI', 8, 1, 0x112, 3, 1, orientation, 0, 0)
    return data[:2] + b'\xff\xe1' + struct.pack('>H', len(tiff) + 8) + b'Exif\0\0' + tiff + data[2:]


@pytest.mark.parametrize('orientation, turns', [(1, 0), (6, -1), (3, 2), (8, 1)])
def test_exif_orientation_is_applied(tmp_path, orientation, turns):
    rgb = cv2.resize(picture(size=(3, 4)), (40, 30), interpolation=cv2.INTER_CUBIC)
    (tmp_path / 'x.jpg').write_bytes(jpeg_with_orientation(rgb, orientation))
    (tmp_path / 'plain.jpg').write_bytes(jpeg_with_orientation(rgb, 1))
    np.testing.assert_array_equal(
        read_image(tmp_path / 'x.jpg'), np.rot90(read_image(tmp_path / 'plain.jpg'), turns)
    )


def test_noted_size_is_checked_when_read(tmp_path):
    save(tmp_path / 'a.png', picture())
    (tmp_path / 'b.jpg').write_bytes(jpeg_with_orientation(picture(), 6))
    frames = ImageFrames(
        [tmp_path / 'a.png', tmp_path / 'a.png', tmp_path / 'b.jpg', tmp_path / 'a.png'],
        [(40, 30), (80, 60), (40, 30), None],
    )
    assert frames[0].shape == frames[3].shape == (30, 40, 3)
    with pytest.raises(
        InputError, match=r'a\.png: the image is 40x30 px, its annotation was made on 80x60'
    ):
        frames[1]
    with pytest.raises(InputError, match=r'b\.jpg: the image is 30x40 px after its EXIF'):
        frames[2]


@pytest.mark.parametrize('suffix, cut', [('.jpg', 2), ('.jpg', 600), ('.png', 4), ('.png', 1500)])
def test_cut_pictures(tmp_path, suffix, cut):
    data = cv2.imencode(suffix, picture())[1].tobytes()
    (tmp_path / f'cut{suffix}').write_bytes(data[:-cut])
    with pytest.raises(InputError, match=rf'cut\{suffix}: OpenCV cannot decode'):
        ImageFrames([tmp_path / f'cut{suffix}'])[0]


def test_files_that_are_no_picture(tmp_path):
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('not a picture')
    for name, complaint in {
        'empty.jpg': '0 bytes',
        'text.jpg': 'cannot decode',
        'missing.jpg': 'no such image',
        '.': 'this is a folder',
    }.items():
        with pytest.raises(InputError, match=complaint) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize('suffix, fourcc', [('mp4', 'mp4v'), ('avi', 'MJPG')])
def test_video_in_any_order(tmp_path, suffix, fourcc):
    path = write_video(tmp_path / f'clip.{suffix}', fourcc=fourcc)
    reference = decode_all(path)
    frames = VideoFrames(path)
    assert len(frames) == len(reference) == 24 and frames.fps == 12.5 and frames.size == (64, 48)
    rng = np.random.default_rng(0)
    for t in (0, 0, 1, 2, 9, 3, 3, 23, 22, 0, -1, *rng.integers(0, 24, 40)):
        np.testing.assert_array_equal(frames[t], reference[t], err_msg=str(t))
    np.testing.assert_array_equal(np.stack(list(frames)), np.stack(reference))
    assert len({image.tobytes() for image in frames}) == 24


def test_video_does_not_trust_a_seek_to_the_wrong_frame(tmp_path, monkeypatch):
    """Where a container's seek misses by a frame, frames are still exact."""
    path = write_video(tmp_path / 'clip.mp4')
    reference = decode_all(path)

    class Missing:
        def __init__(self, name):
            self.inner = real(name)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def set(self, key, value):
            return self.inner.set(key, value - 1)

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', Missing)
    frames = VideoFrames(path)
    for t in (20, 7, 8, 3, 19):
        np.testing.assert_array_equal(frames[t], reference[t], err_msg=str(t))


def test_steps_forward_do_not_seek(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'clip.mp4')

    class NoSeek:
        def __init__(self, name):
            self.inner = real(name)

        def __getattr__(self, name):
            assert name != 'set'
            return getattr(self.inner, name)

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', NoSeek)
    assert len(list(VideoFrames(path, range(0, 24, 3)))) == 8


def test_chosen_video_frames(tmp_path):
    path = write_video(tmp_path / 'clip.mp4')
    reference = decode_all(path)
    frames = VideoFrames(path, [4, 20, 11])
    np.testing.assert_array_equal(
        np.stack(list(frames)), np.stack([reference[i] for i in (4, 20, 11)])
    )
    with pytest.raises(IndexError):
        frames[3]
    with pytest.raises(
        InputError, match=r'clip\.mp4: has the frames 0\.\.23, asked for \[24, -1\]'
    ):
        VideoFrames(path, [3, 24, -1])


def test_video_frames_travel_to_other_processes(tmp_path):
    path = write_video(tmp_path / 'clip.mp4')
    reference = decode_all(path)
    frames = VideoFrames(path)
    frames[5]
    copy = pickle.loads(pickle.dumps(frames))
    np.testing.assert_array_equal(copy[2], reference[2])
    fresh = VideoFrames(path)

    def child() -> int:
        if not np.array_equal(fresh[20], reference[20]):
            return 1
        try:
            frames[6]
        except RuntimeError:
            return 0
        return 2

    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a deadlock must not outlive the test
        os._exit(child())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    np.testing.assert_array_equal(frames[6], reference[6])
    np.testing.assert_array_equal(fresh[1], reference[1])


def test_broken_videos(tmp_path):
    data = write_video(tmp_path / 'clip.avi', frames=60, fourcc='MJPG').read_bytes()
    reference = decode_all(tmp_path / 'clip.avi')
    (tmp_path / 'cut.avi').write_bytes(data[: len(data) // 2])
    frames, good = VideoFrames(tmp_path / 'cut.avi', range(60)), 0
    with pytest.raises(
        InputError, match=r'cut\.avi: frame (\d+) cannot be decoded.*counts 60'
    ) as caught:
        for good in range(60):
            np.testing.assert_array_equal(frames[good], reference[good])
    assert f'frame {good} ' in str(caught.value) and 10 < good < 50
    np.testing.assert_array_equal(frames[3], reference[3])
    # Whoever asks for all frames gets those before the end.
    np.testing.assert_array_equal(
        np.stack(list(VideoFrames(tmp_path / 'cut.avi'))), reference[:good]
    )
    assert len(VideoFrames(tmp_path / 'cut.avi')) == good

    (tmp_path / 'text.mp4').write_text('no video')
    mp4 = write_video(tmp_path / 'clip.mp4').read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(mp4[: len(mp4) // 2])
    for name, complaint in {
        'text.mp4': 'cannot open',
        'cut.mp4': 'cannot open.*ffmpeg',
        'none.mp4': 'no such video',
    }.items():
        with pytest.raises(InputError, match=rf'{name}: .*{complaint}'):
            VideoFrames(tmp_path / name)


def test_a_video_that_counts_no_frames(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'clip.mp4')

    class Uncounted:
        def __init__(self, name):
            self.inner = real(name)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def get(self, key):
            return 0.0 if key == cv2.CAP_PROP_FRAME_COUNT else self.inner.get(key)

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', Uncounted)
    frames = VideoFrames(path)
    assert frames.claimed is None and len(frames) == 24
    np.testing.assert_array_equal(frames[-1], decode_all(path)[-1])


def test_arrays():
    array = np.stack([picture(i) for i in range(2)])
    frames = ArrayFrames(array)
    frames[1][:] = 0
    np.testing.assert_array_equal(np.stack(list(frames)), np.stack([picture(0), picture(1)]))
    for wrong in (array[0], array.astype(np.float32), array[..., :1]):
        with pytest.raises(InputError, match='uint8 RGB'):
            ArrayFrames(wrong)


def test_a_real_clip_and_its_pictures_show_the_same(data_root):
    clips = data_root / 'clips'
    video = VideoFrames(clips / 'single_person_demo.mp4', [0, 8])
    pictures = ImageFrames([clips / 'single_person' / f'frame_00{i}.jpg' for i in ('00', '08')])
    for a, b in zip(video, pictures):
        assert np.abs(a.astype(int) - b).mean() < 2
    assert np.abs(video[1].astype(int) - pictures[0]).mean() > 4
