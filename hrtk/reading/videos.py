"""Videos, frame by frame with exact times: through OpenCV, and through PyAV where OpenCV has no decoder.

The header of a video only claims a number of frames: containers without an index, dropped frames and cut files make it
too high or too low. The number is that of the frames that decoding in order gives, see :class:`Timeline`.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np

from hrtk.errors import InputError
from hrtk.reading.frame_times import is_even, seconds_from_first
from hrtk.reading.regular import CHECK, regular_file, utf8_name

_log = logging.getLogger(__name__)
MOST_PIXELS = 100_000_000  # of a frame
MOST_FRAMES = 10_000_000  # of a video: 92 hours at 30 frames per second
MOST_FPS = 10_000.0
# First bytes of playlists, which FFmpeg follows to other files and addresses.
PLAYLISTS = (b'#EXTM3U', b'ffconcat', b'[playlist]', b'<?xml', b'<MPD', b'v=0', b'<smil', b'<asx')
PLAYLIST_SUFFIXES = (
    '.m3u8',
    '.m3u',
    '.mpd',
    '.pls',
    '.ffconcat',
    '.concat',
    '.sdp',
    '.asx',
    '.xspf',
)
# Four characters in the header of a file, and the name by which people know the codec.
CODECS = {
    'AV01': 'AV1',
    'AVC1': 'H.264',
    'H264': 'H.264',
    'HEV1': 'H.265',
    'HVC1': 'H.265',
    'HEVC': 'H.265',
    'VVC1': 'H.266',
    'VP80': 'VP8',
    'VP90': 'VP9',
    'VP09': 'VP9',
    'FMP4': 'MPEG-4',
    'MP4V': 'MPEG-4',
    'MJPG': 'Motion JPEG',
}
UNKNOWN = 'unknown codec'
NOT_IN_OPENCV = ('AV1',)  # not tried where PyAV is there, because FFmpeg prints errors
SEEK_AHEAD = 64  # frames that are decoded behind a seek to reach the right one


class VideoReader:
    """An open video, decoded from its beginning. Frames are turned as the file's metadata says.

    Attributes:
        path: of the file.
        backend: the library that decodes, ``'OpenCV'`` or ``'PyAV'``.
        codec: e.g. ``'H.264'``.
        size: (width, height), px.
        rate: frames per second by the header; None if that gives no possible number.
        claimed: number of frames by the header; None if that gives no possible number.
    """

    path: Path
    backend: str
    codec: str
    size: tuple[int, int]
    rate: Optional[float]
    claimed: Optional[int]
    _waiting = False

    def grab(self) -> bool:
        """Goes to the next frame; False at the end of the stream."""
        if self._waiting:
            self._waiting = False
            return True
        return self._next()

    def decodes(self) -> bool:
        """Whether there is a first frame; the next :meth:`grab` gives it. Called before the first ``grab``."""
        self._waiting = self._next()
        return self._waiting

    def time(self) -> float:
        """The time stamp of the frame, seconds; it need not begin at zero, and files without stamps give NaN or 0."""
        raise NotImplementedError

    def image(self) -> Optional[np.ndarray]:
        """The frame as (H, W, 3) uint8 RGB; None if it is damaged."""
        raise NotImplementedError

    def seek(self, time: float) -> bool:
        """Goes to the frame with this time stamp; False if it was not found, then the position is undefined."""
        raise NotImplementedError

    def _next(self) -> bool:
        raise NotImplementedError


class OpenCVReader(VideoReader):
    """Reads through OpenCV's FFmpeg.

    Raises:
        InputError: OpenCV cannot open the file.
    """

    backend = 'OpenCV'

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._capture = cv2.VideoCapture(utf8_name(path))
        except cv2.error as error:
            raise InputError(f'{path}: OpenCV cannot open this video; {CHECK}') from error
        if not self._capture.isOpened():
            raise InputError(
                f'{path}: OpenCV cannot open this video; it may be truncated before its index was written. '
                f'Copy it again, or re-encode it: {conversion(path)}'
            )
        width = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        self.size = (int(width), int(height))
        self.rate = _possible(self._capture.get(cv2.CAP_PROP_FPS), MOST_FPS)
        count = _possible(self._capture.get(cv2.CAP_PROP_FRAME_COUNT), MOST_FRAMES)
        self.claimed = None if count is None else int(count)
        self.codec = _codec_name(self._capture.get(cv2.CAP_PROP_FOURCC))

    def time(self) -> float:
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def image(self) -> Optional[np.ndarray]:
        decoded, image = self._capture.retrieve()
        if not decoded:
            return None
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def seek(self, time: float) -> bool:
        # OpenCV counts frames by the rate of the header, whatever their times are.
        self._waiting = False
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, int(time * (self.rate or 25.0) + 0.5))
        for _ in range(SEEK_AHEAD):
            if not self._capture.grab():
                return False
            if self.time() >= time:
                return self.time() == time
        return False

    def _next(self) -> bool:
        return self._capture.grab()


class PyAVReader(VideoReader):
    """Reads through PyAV, which brings an FFmpeg of its own; see ``docs/en/licences.md``.

    Raises:
        InputError: PyAV cannot open the file, or finds no video in it.
        ImportError: PyAV is not installed.
    """

    backend = 'PyAV'

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        self._error: type[Exception] = av.error.FFmpegError
        try:
            self._container: Any = av.open(utf8_name(path))
            self._stream: Any = self._container.streams.video[0]
        except (av.error.FFmpegError, IndexError, ValueError) as error:
            raise InputError(f'{path}: PyAV cannot open this video ({error}); {CHECK}') from error
        context = self._stream.codec_context
        if context is None or context.codec is None:
            raise InputError(f'{path}: PyAV does not know the codec of this video; {CHECK}')
        self._stream.thread_type = 'AUTO'
        self.codec = _codec_name_of_ffmpeg(context.codec.canonical_name)
        self.rate = _possible(float(self._stream.average_rate or 0), MOST_FPS)
        count = _possible(self._stream.frames, MOST_FRAMES)
        self.claimed = None if count is None else int(count)
        self.size = (context.width, context.height)
        self._frames: Iterator[Any] = self._decoded()
        self._frame: Any = None

    def decodes(self) -> bool:
        found = super().decodes()
        if found and self._turns() % 2:  # known only from the first frame
            self.size = (self._frame.height, self._frame.width)
        elif found:
            self.size = (self._frame.width, self._frame.height)
        return found

    def time(self) -> float:
        if self._frame.pts is None:
            return math.nan
        return float(self._frame.pts * self._frame.time_base)

    def image(self) -> Optional[np.ndarray]:
        try:
            image = self._frame.to_ndarray(format='rgb24')
        except self._error:
            return None
        return np.ascontiguousarray(np.rot90(image, self._turns()))

    def seek(self, time: float) -> bool:
        self._waiting = False
        try:
            offset = round(time / self._stream.time_base)
            self._container.seek(offset, stream=self._stream, backward=True)
        except self._error:
            return False
        self._frames = self._decoded()
        while self._next():
            if self.time() >= time:
                return self.time() == time
        return False

    def _next(self) -> bool:
        self._frame = next(self._frames, None)
        return self._frame is not None

    def _decoded(self) -> Iterator[Any]:
        """The frames from the position of the container on, without those of damaged packets, as OpenCV does it."""
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except self._error:
                    continue
        except self._error:
            return

    def _turns(self) -> int:
        """Quarter turns against the clock that the file's metadata asks for."""
        return round(self._frame.rotation / 90) % 4


@dataclasses.dataclass(frozen=True)
class Timeline:
    """The frames that decoding a whole video in order gives.

    Attributes:
        stamps: the time stamp of every frame as the file has it, seconds.
    """

    stamps: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.stamps)

    def seconds(self) -> Optional[np.ndarray]:
        """(N,) float64 seconds after the first frame, rising; None if the file has no usable time stamps."""
        return seconds_from_first(self.stamps)


# Of every video that this process has read to its end, by path, size and time of the file.
_TIMELINES: dict[tuple[str, int, int], Timeline] = {}


def open_video(path: str | Path) -> VideoReader:
    """Opens a video with the library that decodes it.

    Raises:
        InputError: the file is missing, no regular file, a playlist, not a video, of a codec that no installed library
            decodes, or its frames are larger than possible.
    """
    path = Path(path)
    regular_file(path, CHECK, 'video file')
    utf8_name(path)
    _refuse_playlist(path)
    opened: Optional[OpenCVReader] = None
    refusal: Optional[InputError] = None
    try:
        opened = OpenCVReader(path)
    except InputError as error:
        refusal = error
    if opened is not None:
        _check_pixels(opened)
        # FFmpeg prints errors for codecs that OpenCV's build lacks.
        tried_last = opened.codec in NOT_IN_OPENCV
        if not tried_last and opened.decodes():
            return opened
    pyav = _open_with_pyav(path)
    if pyav is not None:
        _check_pixels(pyav)
        if pyav.decodes():
            return pyav
    if opened is None:
        assert refusal is not None
        raise refusal
    if tried_last and opened.decodes():
        return opened
    raise _undecodable(opened, pyav is not None)


def known_timeline(path: Path) -> Optional[Timeline]:
    """The timeline of a video, if this process has decoded it to its end before and the file is unchanged."""
    return _TIMELINES.get(_key(path))


def remember_timeline(reader: VideoReader, stamps: Sequence[float]) -> Timeline:
    """Stores the times of all frames of a video, and warns once if the header claims something else.

    Args:
        reader: of the video.
        stamps: the time stamp of every frame, seconds.
    """
    key = _key(reader.path)
    if key not in _TIMELINES:
        _TIMELINES[key] = Timeline(tuple(stamps))
        _warn(reader, _TIMELINES[key])
    return _TIMELINES[key]


def read_timeline(path: Path) -> Timeline:
    """Decodes a whole video without converting its pixels, unless this process did it before.

    Raises:
        InputError: as of :func:`open_video`.
    """
    known = known_timeline(path)
    if known is not None:
        return known
    reader = open_video(path)
    stamps = []
    while reader.grab():
        stamps.append(reader.time())
    return remember_timeline(reader, stamps)


def conversion(path: Path) -> str:
    """The command that converts a video into one that every program reads."""
    return f'ffmpeg -i {path.name} -c:v libx264 -crf 18 {path.stem}_h264.mp4'


def _key(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def _open_with_pyav(path: Path) -> Optional[PyAVReader]:
    """The reader of PyAV; None if PyAV is not installed or cannot open the file."""
    try:
        return PyAVReader(path)
    except (ImportError, InputError):
        return None


def _warn(reader: VideoReader, timeline: Timeline) -> None:
    count = len(timeline)
    if reader.claimed is not None and reader.claimed != count:
        _log.warning(
            '%s: the header counts %d frames, decoding gives %d; the %d are used',
            reader.path,
            reader.claimed,
            count,
            count,
        )
    seconds = timeline.seconds()
    if seconds is None:
        _log.warning(
            '%s: has no usable time stamps; its frames are taken as evenly spaced, %.2f per second',
            reader.path,
            reader.rate or 25.0,
        )
    elif not is_even(seconds):
        intervals = np.diff(seconds)
        _log.warning(
            '%s: the frame rate varies, %.1f to %.1f frames per second; every frame keeps its own time',
            reader.path,
            1 / intervals.max(),
            1 / intervals.min(),
        )


def _undecodable(reader: OpenCVReader, with_pyav: bool) -> InputError:
    """The message about a video of which no library gives a frame."""
    convert = f'convert it: {conversion(reader.path)}'
    if with_pyav:
        return InputError(
            f'{reader.path}: neither OpenCV nor PyAV decodes a frame of this {reader.codec} video; it is damaged, or '
            f'its codec is unknown to both. Copy it again, or {convert}'
        )
    return InputError(
        f'{reader.path}: OpenCV decodes no frame of this {reader.codec} video; install PyAV, which hrtk then reads '
        f'it with: pip install av; or {convert}. If that fails too, the file is damaged: copy it again'
    )


def _possible(number: float, most: float) -> Optional[float]:
    """A number of a header, None if it is impossible."""
    if math.isfinite(number) and 0 < number <= most:
        return number
    return None


def _check_pixels(reader: VideoReader) -> None:
    pixels = reader.size[0] * reader.size[1]
    if not 0 < pixels <= MOST_PIXELS:
        raise InputError(
            f'{reader.path}: its frames have {pixels:.0f} pixels, at most {MOST_PIXELS} are read; re-encode it'
        )


def _codec_name(fourcc: float) -> str:
    """The name of a codec from OpenCV's number of four characters."""
    if not math.isfinite(fourcc) or fourcc <= 0:
        return UNKNOWN
    text = (int(fourcc) & 0xFFFFFFFF).to_bytes(4, 'little').decode('latin-1')
    if not text.isprintable():
        return UNKNOWN
    return CODECS.get(text.upper(), text)


def _codec_name_of_ffmpeg(name: str) -> str:
    known = {'h264': 'H.264', 'hevc': 'H.265', 'mpeg4': 'MPEG-4', 'mjpeg': 'Motion JPEG'}
    return known.get(name, name.upper())


def _refuse_playlist(path: Path) -> None:
    with open(path, 'rb') as file:
        start = file.read(64).lstrip()
    if path.suffix.lower() in PLAYLIST_SUFFIXES or start.startswith(PLAYLISTS):
        raise InputError(
            f'{path}: a playlist, which leads to other files or addresses; give the video itself'
        )
