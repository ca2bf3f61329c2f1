"""Videos whose headers say other things than their streams, varying rates, codecs and both decoders."""

import json
import logging

import cv2
import numpy as np
import pytest
from video_bytes import (
    claim_frames,
    drop_packets,
    number_of,
    numbered_frame,
    rotate,
    set_frame_times,
    write_clip,
)

from hrtk.apis.detect import detect
from hrtk.datasets.frames import VideoFrames
from hrtk.datasets.own.footage import open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.video import VideoDataset
from hrtk.detectors import Detector
from hrtk.errors import InputError
from hrtk.reading import videos
from hrtk.reading.frame_times import is_even, mean_rate, playing_rate, seconds_from_first
from hrtk.reading.videos import OpenCVReader, PyAVReader, open_video

FAST_THEN_SLOW = [33] * 12 + [125] * 12


@pytest.mark.parametrize('claimed', [17, 30])
def test_the_stream_counts_frames_not_the_header(tmp_path, caplog, claimed):
    path = claim_frames(write_clip(tmp_path / 'clip.avi', fourcc='MJPG'), claimed)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == claimed
    frames = VideoFrames(path)
    assert len(frames) == 24 and [number_of(frame) for frame in frames] == list(range(24))
    assert number_of(frames[-1]) == 23 and frames.indices == tuple(range(24))
    assert len(VideoFrames(path)) == 24
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert f'the header counts {claimed} frames, decoding gives 24' in warnings[0]
    assert number_of(VideoFrames(path, [23])[0]) == 23
    with pytest.raises(InputError, match=r'has the frames 0\.\.23, asked for \[24\]'):
        VideoFrames(path, [24])


def test_frames_are_read_to_the_end_without_a_count(tmp_path, monkeypatch):
    """A detector reads all frames before anybody asks how many there are; then they are known."""
    path = claim_frames(write_clip(tmp_path / 'clip.avi', fourcc='MJPG'), 30)
    frames = VideoFrames(path)
    seen = [number_of(frame) for frame in frames]  # up to the IndexError
    monkeypatch.setattr(videos, 'open_video', lambda path: pytest.fail('decoded once more'))
    assert seen == list(range(24)) and len(frames) == 24


class Counter(Detector):
    """Finds a person in every picture, and notes the numbers of the pictures."""

    source = 'counter'
    skeleton = 'coco17'

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.seen = []

    def __call__(self, images):
        self.seen += [number_of(image) for image in images]
        return [np.ones((1, 17, 3), np.float32)] * len(images)


@pytest.mark.parametrize('claimed', [17, 30])
def test_a_detector_survives_a_wrong_count(tmp_path, claimed):
    path = claim_frames(write_clip(tmp_path / 'clip.avi', fourcc='MJPG'), claimed)
    detector = Counter(batch_size=5)
    file = detect(open_footage(path), detector, tmp_path / 'keypoints.json')
    assert detector.seen == list(range(24))
    assert [frame.number for frame in read_keypoints(file).frames] == list(range(24))


def test_a_cut_between_key_frames(tmp_path, caplog):
    path = write_clip(tmp_path / 'clip.avi', fourcc='XVID')
    whole = [frame.copy() for frame in VideoFrames(path)]
    drop_packets(path, 3)
    frames = VideoFrames(path)
    count = len(frames)
    assert 0 < count <= 21 and 'frames, decoding gives' in caplog.text
    # From the next key frame on (every 12) the pictures are those of the whole clip.
    np.testing.assert_array_equal(frames[count - 12], whole[12])
    assert [number_of(frames[count - 12 + t]) for t in (0, 11, 5)] == [12, 23, 17]
    assert VideoFrames(path).timeline().seconds()[0] == 0


def test_times_of_a_varying_rate(tmp_path, caplog):
    path = set_frame_times(write_clip(tmp_path / 'clip.mp4'), FAST_THEN_SLOW)
    times = VideoFrames(path).timeline().seconds()
    np.testing.assert_allclose(times, np.cumsum([0, *FAST_THEN_SLOW[:-1]]) / 1000, atol=1e-9)
    assert 'the frame rate varies, 8.0 to 30.3 frames per second' in caplog.text
    assert [number_of(frame) for frame in VideoFrames(path, [23, 4, 13, 0])] == [23, 4, 13, 0]


def test_a_header_with_the_ticks_of_a_clock(tmp_path, monkeypatch):
    """Cut files claim 1000 frames per second; a tracker would take everybody for a flicker."""

    class Ticking:
        def __init__(self, name):
            self.inner = REAL(name)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def get(self, key):
            return 1000.0 if key == cv2.CAP_PROP_FPS else self.inner.get(key)

    path = write_clip(tmp_path / 'clip.mp4')
    monkeypatch.setattr(cv2, 'VideoCapture', Ticking)
    assert open_footage(path).fps == pytest.approx(25)
    assert write_clip(tmp_path / 'fast.mp4', fps=200.0) and open_footage(
        tmp_path / 'fast.mp4'
    ).fps == pytest.approx(200)


def test_even_times_are_not_called_varying(tmp_path, caplog):
    path = write_clip(tmp_path / 'clip.mp4', fps=30000 / 1001)
    times = VideoFrames(path).timeline().seconds()
    np.testing.assert_allclose(times, np.arange(24) * 1001 / 30000, atol=1e-3)
    assert not caplog.records


def test_rates_of_times():
    rounded = np.round(np.arange(40) / 30, 3)
    assert is_even(rounded) and mean_rate(rounded, 30.0) == 30.0
    assert mean_rate(rounded, 1000.0) == pytest.approx(30, rel=1e-3)  # a header of milliseconds
    uneven = np.cumsum([0, *FAST_THEN_SLOW]) / 1000
    assert not is_even(uneven) and mean_rate(uneven, 25.0) == pytest.approx(24 / 1.896)
    assert playing_rate(uneven) == pytest.approx(1000 / 33)
    rounded_then_slow = np.append(np.round(np.arange(13) / 30, 3), 0.4 + np.arange(1, 12) / 8)
    assert playing_rate(rounded_then_slow) == pytest.approx(30)
    jittered = np.arange(60) / 30 + np.random.default_rng(0).normal(0, 0.001, 60)
    assert playing_rate(jittered) == pytest.approx(30, rel=0.03)
    assert mean_rate(np.zeros(1), 24.0) == 24.0
    for stamps in ([], [0, 0, 0], [0, np.nan], [0, 2, 1]):
        assert seconds_from_first(stamps) is None
    np.testing.assert_array_equal(seconds_from_first([5, 5.5, 7]), [0, 0.5, 2])


class Undecodable:
    """OpenCV as it meets a codec that its FFmpeg lacks: the header is read, no frame is decoded."""

    def __init__(self, name):
        self.inner = REAL(name)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def get(self, key):
        if key == cv2.CAP_PROP_FOURCC:
            return float(int.from_bytes(b'AV01', 'little'))
        return self.inner.get(key)

    def grab(self):
        return False


REAL = cv2.VideoCapture


def test_a_codec_that_opencv_lacks_is_named(tmp_path, monkeypatch):
    path = write_clip(tmp_path / 'clip.mp4')
    monkeypatch.setattr(cv2, 'VideoCapture', Undecodable)

    def missing(path):
        raise ImportError('av')

    monkeypatch.setattr(videos, 'PyAVReader', missing)
    with pytest.raises(InputError, match='this AV1 video') as caught:
        VideoFrames(path)
    message = str(caught.value)
    assert 'pip install av' in message
    assert 'ffmpeg -i clip.mp4 -c:v libx264 -crf 18 clip_h264.mp4' in message


def test_names_of_codecs():
    def name(text):
        return videos._codec_name(float(int.from_bytes(text, 'little')))

    assert [name(text) for text in (b'av01', b'hvc1', b'avc1', b'apch')] == [
        'AV1',
        'H.265',
        'H.264',
        'apch',
    ]
    for odd in (0.0, -1.0, float('nan'), float(0x01020304)):
        assert videos._codec_name(odd) == 'unknown codec'


def test_pyav_reads_what_opencv_cannot(tmp_path, monkeypatch):
    pytest.importorskip('av', reason='PyAV is optional')
    path = set_frame_times(write_clip(tmp_path / 'clip.mp4'), FAST_THEN_SLOW)
    monkeypatch.setattr(cv2, 'VideoCapture', Undecodable)
    frames = VideoFrames(path)
    assert open_video(path).backend == 'PyAV'
    assert [number_of(frame) for frame in frames] == list(range(24))
    assert [number_of(frames[t]) for t in (20, 3, 22, 0)] == [20, 3, 22, 0]
    np.testing.assert_allclose(
        frames.timeline().seconds(), np.cumsum([0, *FAST_THEN_SLOW[:-1]]) / 1000, atol=1e-9
    )


def test_av1_through_pyav(tmp_path):
    av = pytest.importorskip('av', reason='PyAV is optional')
    path = tmp_path / 'clip.mkv'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libsvtav1', rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, 'yuv420p'
        for t in range(6):
            image = cv2.resize(numbered_frame(t), (128, 96), interpolation=cv2.INTER_NEAREST)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='bgr24')))
        container.mux(stream.encode())
    frames = VideoFrames(path)
    assert open_video(path).codec == 'AV1'
    small = [cv2.resize(frame, (64, 48), interpolation=cv2.INTER_AREA) for frame in frames]
    assert [number_of(image) for image in small] == list(range(6))


@pytest.mark.parametrize('turns', [0, 1, 2, 3])
def test_rotations_are_applied(tmp_path, turns):
    path = rotate(write_clip(tmp_path / 'clip.mp4', frames=3), turns)
    reader = OpenCVReader(path)
    assert reader.decodes() and reader.grab()
    image = reader.image()
    assert reader.size == ((64, 48) if turns % 2 == 0 else (48, 64))
    # By hand: the red half of the picture is on the left before the quarter turns clockwise.
    upright = np.rot90(image, turns).astype(int)
    assert upright.shape == (48, 64, 3)
    assert upright[20:40, 4:28, 0].mean() > 150 > 60 > upright[20:40, 36:60, 0].mean()
    assert upright[20:40, 36:60, 2].mean() > 150 > 60 > upright[20:40, 4:28, 2].mean()


@pytest.mark.parametrize('turns', [0, 1, 2, 3])
def test_both_decoders_agree(tmp_path, turns):
    pytest.importorskip('av', reason='PyAV is optional')
    path = rotate(write_clip(tmp_path / 'clip.mp4', frames=3), turns)
    readers = [OpenCVReader(path), PyAVReader(path)]
    for _ in range(3):
        assert all(reader.decodes() and reader.grab() for reader in readers)
        one, other = (reader.image().astype(int) for reader in readers)
        assert np.abs(one - other).max() <= 1
        assert readers[0].time() == pytest.approx(readers[1].time(), abs=1e-9)
    assert readers[0].size == readers[1].size and readers[0].codec == readers[1].codec == 'MPEG-4'
    assert readers[0].claimed == readers[1].claimed == 3


def test_no_time_stamps(tmp_path, caplog, monkeypatch):
    path = write_clip(tmp_path / 'clip.mp4')
    monkeypatch.setattr(OpenCVReader, 'time', lambda reader: 0.0)
    with caplog.at_level(logging.WARNING):
        frames = VideoFrames(path)
        assert frames.timeline().seconds() is None
    assert 'no usable time stamps' in caplog.text and '25.00 per second' in caplog.text
    assert [number_of(frames[t]) for t in (20, 3, 22, 0)] == [20, 3, 22, 0]


def test_people_keep_the_times_of_the_video(tmp_path):
    path = set_frame_times(write_clip(tmp_path / 'clip.mp4'), FAST_THEN_SLOW)
    points = np.random.default_rng(0).uniform(5, 40, (17, 2)).tolist()
    frame = dict(keypoints=[points], scores=[[0.9] * 17])
    frames = [dict(frame, frame=t) for t in range(3, 24)]
    file = tmp_path / 'keypoints.json'
    file.write_text(json.dumps(dict(skeleton='coco17', frames=frames)))
    true = np.cumsum([0, *FAST_THEN_SLOW[:-1]]) / 1000
    dataset = VideoDataset(path, file)
    (sequence,) = dataset
    np.testing.assert_allclose(sequence.times.numpy(), true[3:], atol=1e-9)
    np.testing.assert_allclose(sequence.part(9, 12).times.numpy(), true[12:15], atol=1e-9)
    assert sequence.fps == pytest.approx(23 / true[-1])  # the film of the bodies lasts as long
    again = VideoDataset(path, file, fps=30)[0]
    assert again.times is None and again.fps == 30
    even = VideoDataset(write_clip(tmp_path / 'even.mp4', fps=12.5), file)[0]
    assert even.fps == 12.5
    np.testing.assert_allclose(even.times.numpy(), np.arange(3, 24) / 12.5, atol=1e-6)
