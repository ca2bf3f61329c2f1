"""Images through OpenCV, with limits on the size that a header claims."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from hrtk.errors import InputError
from hrtk.reading.regular import read_bytes, regular_file

MOST_PIXELS = 100_000_000  # of an image; a decoded one has 3 bytes per pixel, and a copy
# What a byte of a file can stand for at most. Deflate writes a run of 258 bytes with 2 bits (RFC 1951); a JPEG needs at
# least one bit, for the mean, per block of 8x8 px, and the limit is twice that.
BYTES_PER_DEFLATED = 1032
PIXELS_PER_JPEG_BYTE = 1024
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
Size = Optional[tuple[int, int]]
# Formats of images that hrtk does not read: the packages that read HEIC contain code under the GPL, and what OpenCV's
# wheels read of the others differs between systems.
UNREAD_SUFFIXES = {
    '.heic': 'HEIC',
    '.heif': 'HEIC',
    '.hif': 'HEIC',
    '.avif': 'AVIF',
    '.jxl': 'JPEG XL',
}
HEIC_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')


def decode_picture(path: str | Path, flags: int, noun: str = 'image') -> np.ndarray:
    """Reads an image file.

    Args:
        path: the file.
        flags: as of ``cv2.imdecode``, e.g. ``cv2.IMREAD_COLOR``.
        noun: what the file is, for messages.

    Returns:
        The image in the channel order of OpenCV.

    Raises:
        InputError: the file is missing, no regular file, empty, truncated, no image, or claims more than 100 million
            pixels or more than its bytes can hold.
    """
    path = Path(path)
    regular_file(path, 'check the folder and the file name', noun)
    data = read_bytes(path)
    size = claimed_size(data)
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f'{path}: claims to be {size[0]}x{size[1]} px; a {noun} has at most {MOST_PIXELS} pixels'
        )
    if size is not None and size[0] * size[1] > _most_pixels(data):
        raise InputError(
            f'{path}: claims to be {size[0]}x{size[1]} px, more than its {len(data)} bytes can hold; it is '
            f'truncated or damaged. Copy it again'
        )
    image = None
    # Decoded from memory, because cv2.imread shows a truncated JPEG as half grey without an error. A format whose size
    # is not known before decoding is not decoded.
    if size is not None:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except (cv2.error, MemoryError):  # e.g. a header of impossible size
            image = None
    if image is None:
        unread = _unread_format(data)
        if unread is not None:
            raise unread_picture(path, unread)
        raise InputError(
            f'{path}: OpenCV cannot decode this {noun} ({len(data)} bytes); it is truncated, damaged or of '
            f'an unknown format. Copy it again or convert it to PNG or JPEG'
        )
    return image


def unread_picture(path: Path, name: str, count: int = 1) -> InputError:
    """The message about images of a format that is not read, with the commands that convert them.

    Args:
        path: of an image.
        name: of the format.
        count: number of such images in its folder.
    """
    suffix = path.suffix or '.heic'
    one = f'magick "{path.name}" "{path.stem}.jpg" (ImageMagick)'
    mac = f'sips -s format jpeg "{path.name}" --out "{path.stem}.jpg" (macOS)'
    begin = f'{path}: {name} images are not read'
    if count > 1:
        begin = f'{path.parent}: {count} {name} images like {path.name} are not read'
        one = f'magick mogrify -format jpg *{suffix} (ImageMagick)'
        mac = f'sips -s format jpeg *{suffix} --out . (macOS)'
    return InputError(f'{begin}; convert to JPEG: {one}, or {mac}')


def _most_pixels(data: bytes) -> float:
    """The number of pixels that the bytes of a file can hold; infinite for formats without a limit."""
    if data.startswith(b'\xff\xd8'):
        return PIXELS_PER_JPEG_BYTE * len(data)
    if data.startswith(b'\x89PNG') and len(data) > 25:
        bits = data[24] * PNG_CHANNELS.get(data[25], 1)
        return BYTES_PER_DEFLATED * 8 * len(data) / max(bits, 1)
    return float('inf')


def _unread_format(data: bytes) -> Optional[str]:
    """The name of a format that is not read, from the first bytes of a file, whatever its name ends with."""
    if data[4:8] == b'ftyp' and data[8:12] in HEIC_BRANDS:
        return 'HEIC'
    if data[4:8] == b'ftyp' and data[8:12] in (b'avif', b'avis'):
        return 'AVIF'
    if data.startswith((b'\xff\x0a', b'\x00\x00\x00\x0cJXL ')):
        return 'JPEG XL'
    return None


def claimed_size(data: bytes) -> Size:
    """Returns (width, height) that the header of an image claims, px; None for formats that are not known here."""
    for start, reader in HEADERS.items():
        if data.startswith(start):
            try:
                return reader(data)
            except (struct.error, IndexError, ValueError):
                return None
    return None


def _png(data: bytes) -> Size:
    return struct.unpack('>II', data[16:24])


def _jpeg(data: bytes) -> Size:
    """The first frame header behind the segments."""
    position = 2
    while position + 9 < len(data):
        if data[position] != 0xFF:  # decoders skip what stands between the segments
            position += 1
            continue
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack('>HH', data[position + 5 : position + 9])
            return width, height
        position += 2 + struct.unpack('>H', data[position + 2 : position + 4])[0]
    return None


def _bmp(data: bytes) -> Size:
    width, height = struct.unpack('<ii', data[18:26])
    return abs(width), abs(height)


def _gif(data: bytes) -> Size:
    return struct.unpack('<HH', data[6:10])


def _webp(data: bytes) -> Size:
    kind = data[12:16]
    if kind == b'VP8X':
        width = int.from_bytes(data[24:27], 'little') + 1
        return width, int.from_bytes(data[27:30], 'little') + 1
    if kind == b'VP8L':
        bits = int.from_bytes(data[21:25], 'little')
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b'VP8 ':
        width, height = struct.unpack('<HH', data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> Size:
    """Width and height of the first directory."""
    order = '<' if data[:2] == b'II' else '>'
    (start,) = struct.unpack(f'{order}I', data[4:8])
    (entries,) = struct.unpack(f'{order}H', data[start : start + 2])
    found = {}
    for index in range(min(entries, 200)):
        entry = data[start + 2 + 12 * index : start + 14 + 12 * index]
        tag, kind, _ = struct.unpack(f'{order}HHI', entry[:8])
        if tag in (256, 257):
            code = 'H' if kind == 3 else 'I'
            (found[tag],) = struct.unpack(f'{order}{code}', entry[8 : 8 + struct.calcsize(code)])
    if len(found) < 2:
        return None
    return found[256], found[257]


def _boxes(data: bytes) -> Size:
    """The header box of JPEG 2000, or that of AVIF."""
    start = data.find(b'ihdr', 0, 1 << 12)
    if start >= 0:
        height, width = struct.unpack('>II', data[start + 4 : start + 12])
        return width, height
    sizes = []
    start = data.find(b'ispe', 0, 1 << 16)
    while start >= 0:
        sizes.append(struct.unpack('>II', data[start + 8 : start + 16]))
        start = data.find(b'ispe', start + 4, 1 << 16)
    return max(sizes, default=None)


def _netpbm(data: bytes) -> Size:
    lines = [line.partition(b'#')[0] for line in data[2:512].split(b'\n')]
    words = b' '.join(lines).split()
    return int(words[0]), int(words[1])


HEADERS: dict[bytes, Callable[[bytes], Size]] = {
    b'\x89PNG': _png,
    b'\xff\xd8': _jpeg,
    b'BM': _bmp,
    b'GIF8': _gif,
    b'RIFF': _webp,
    b'II*\x00': _tiff,
    b'MM\x00*': _tiff,
    b'\x00\x00\x00\x0cjP': _boxes,
    **{bytes([0, 0, 0, length]) + b'ftypavi': _boxes for length in range(16, 64, 4)},
    **{b'P%d' % kind: _netpbm for kind in range(1, 7)},
}
