"""Small videos with headers and times that OpenCV does not write, made by changing the bytes of those that it does."""

import struct

import cv2
import numpy as np
import pytest

CONTAINERS = (b'moov', b'trak', b'mdia', b'minf', b'stbl')


def numbered_frame(t, size=(64, 48)):
    """A picture whose first row of squares spells its number in bits; red on the left, blue on the right."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 2] = 200  # OpenCV's order is blue, green, red
    picture[:, width // 2 :, 0] = 200
    for bit in range(6):
        picture[:8, 8 * bit : 8 * bit + 8] = 255 * (t >> bit & 1)
    return picture


def number_of(picture):
    return sum(int(picture[2:6, 8 * bit + 2 : 8 * bit + 6].mean() > 128) << bit for bit in range(6))


def write_clip(path, frames=24, fourcc='mp4v', fps=25.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, (64, 48))
    if not writer.isOpened():
        pytest.skip(f'this OpenCV cannot write {fourcc}')
    for t in range(frames):
        writer.write(numbered_frame(t))
    writer.release()
    return path


def claim_frames(path, count):
    """Sets both numbers of frames in the header of an AVI (RIFF AVI 1.0: dwTotalFrames of avih, dwLength of strh)."""
    data = bytearray(path.read_bytes())
    for chunk, offset in ((b'avih', 16), (b'strh', 32)):
        start = data.index(chunk) + 8 + offset
        data[start : start + 4] = struct.pack('<I', count)
    path.write_bytes(data)
    return path


def drop_packets(path, count):
    """Removes the first packets of an AVI and its index, as a cut without re-encoding does."""
    data = path.read_bytes()
    start = data.index(b'movi') + 4
    place = start
    for _ in range(count):
        assert data[place : place + 4] == b'00dc'
        (length,) = struct.unpack('<I', data[place + 4 : place + 8])
        place += 8 + length + length % 2
    (movi,) = struct.unpack('<I', data[start - 8 : start - 4])
    packets = data[place : start - 4 + movi]
    path.write_bytes(data[: start - 8] + struct.pack('<I', len(packets) + 4) + b'movi' + packets)
    return path


def set_frame_times(path, intervals):
    """Writes the durations of frames, ms, into an MP4 of OpenCV (ISO 14496-12: boxes mdhd and stts)."""
    data = path.read_bytes()
    path.write_bytes(_boxes(data, lambda kind, body: _with_intervals(kind, body, intervals)))
    return path


def rotate(path, quarter_turns):
    """Asks players to turn the video so many quarters clockwise (ISO 14496-12: matrix of tkhd)."""
    a, b = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}[quarter_turns]
    matrix = struct.pack('>9i', a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30)

    def change(kind, body):
        if kind == b'tkhd':
            return kind, body[:40] + matrix + body[76:]
        return kind, body

    path.write_bytes(_boxes(path.read_bytes(), change))
    return path


def _with_intervals(kind, body, intervals):
    if kind == b'edts':  # its duration would cut the longer clip
        return b'free', body
    if kind == b'mdhd':
        return kind, body[:12] + struct.pack('>I', 1000) + body[16:]
    if kind == b'stts':
        entries = b''.join(struct.pack('>II', 1, interval) for interval in intervals)
        return kind, struct.pack('>II', 0, len(intervals)) + entries
    return kind, body


def _boxes(data, change):
    """All boxes of a file after ``change(kind, body)``; the movie box stands last, so that no offset moves."""
    written = b''
    place = 0
    while place < len(data):
        length, kind = struct.unpack('>I4s', data[place : place + 8])
        body = data[place + 8 : place + length]
        if kind in CONTAINERS:
            body = _boxes(body, change)
        kind, body = change(kind, body)
        written += struct.pack('>I4s', len(body) + 8, kind) + body
        place += length
    return written
