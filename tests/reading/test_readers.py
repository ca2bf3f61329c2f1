"""The readers of hrtk.reading: what numpy, torch and OpenCV read, and the limits on what a file may claim."""

import io
import os
import re
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hrtk.datasets.frames import VideoFrames, read_image
from hrtk.errors import InputError, named_config
from hrtk.reading import parse_json, read_json, read_text
from hrtk.reading.arrays import map_npy, read_arrays, read_npy
from hrtk.reading.literals import parse_literals
from hrtk.reading.pictures import MOST_PIXELS, claimed_size
from hrtk.reading.tensors import read_tensors

ROOT = Path(__file__).parents[2]
# Direct uses of the libraries that read files, and the modules that may have one, with the reason.
DIRECT = re.compile(
    r'np\.load\(|torch\.load\(|json\.loads?\(|cv2\.(imread|imdecode|VideoCapture)\(|yaml\.\w*load|pickle\.loads?\('
)
ALLOWED = {
    'hrtk/datasets/motion.py': 'its text is part of the fingerprint of the free stream; see motion_files.py',
    'hrtk/visualization/video.py': 'reads the video that it has just written',
    'hrtk/apis/camera.py': 'opens a webcam, not a file',
    'hrtk/apis/live/cameras.py': 'opens a webcam, not a file',
    'hrtk/testing/detector_contracts.py': 'reads a state in memory',
    'hrtk/apis/tables/runs.py': 'reads what the parent process writes to its stdin',
    'hrtk/apis/asset_configs.py': 'reads the configs that come with hrtk',
    'hrtk/models/tensor_pickle.py': 'reads what reading/tensors.py refuses, with an unpickler that imports nothing',
    'hrtk/testing/trial.py': 'reads a state in memory',
}


def test_files_are_read_in_one_place():
    found = {}
    for path in sorted(ROOT.glob('hrtk/**/*.py')):
        name = path.relative_to(ROOT).as_posix()
        code = re.sub(r'""".*?"""', '', path.read_text(encoding='utf-8'), flags=re.DOTALL)
        uses = [line for line in code.splitlines() if DIRECT.search(line.partition('#')[0])]
        if uses and not name.startswith('hrtk/reading/'):
            found[name] = uses
    assert set(found) == set(ALLOWED), found


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_arrays_are_those_of_numpy(tmp_path, save):
    arrays = {
        'float': np.random.default_rng(0).normal(size=(3, 4)),
        'fortran': np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
        'big_endian': np.arange(4, dtype='>i4'),
        'text': np.array(['a', 'längst']),
        'number': np.array(3),
        'empty': np.zeros((0, 5)),
        'nothing': np.array(''),
        'flag': np.array([True, False]),
    }
    save(tmp_path / 'a.npz', **arrays)
    found = read_arrays(tmp_path / 'a.npz')
    assert list(found) == list(arrays)
    for name, array in np.load(tmp_path / 'a.npz').items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder('=')
        assert found[name].flags.writeable
    np.save(tmp_path / 'a.npy', arrays['fortran'])
    np.testing.assert_array_equal(read_npy(tmp_path / 'a.npy'), arrays['fortran'])
    np.testing.assert_array_equal(map_npy(tmp_path / 'a.npy'), arrays['fortran'])


def test_every_flipped_bit_of_an_npz_is_seen(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(256.0))
    data = stream.getvalue()
    start = data.index(np.arange(256.0).tobytes()[8:64])
    for position in range(start, start + 1800, 97):
        damaged = bytearray(data)
        damaged[position] ^= 4
        (tmp_path / 'a.npz').write_bytes(damaged)
        with pytest.raises(InputError, match=r'a\.npz: .* at a \(Bad CRC-32'):
            read_arrays(tmp_path / 'a.npz')


def test_every_flipped_bit_of_a_checkpoint_is_seen(tmp_path):
    weights = {'state_dict': {'a': torch.arange(256.0)}}
    torch.save(weights, tmp_path / 'a.pt')
    assert torch.equal(read_tensors(tmp_path / 'a.pt')['state_dict']['a'], torch.arange(256.0))
    data = (tmp_path / 'a.pt').read_bytes()
    start = data.index(np.arange(256, dtype=np.float32).tobytes()[8:64])
    for position in range(start, start + 900, 45):
        damaged = bytearray(data)
        damaged[position] ^= 4
        (tmp_path / 'a.pt').write_bytes(damaged)
        with pytest.raises(InputError, match=r'a\.pt: not a readable checkpoint.*Bad CRC-32'):
            read_tensors(tmp_path / 'a.pt')


def test_old_checkpoints_without_a_zip_are_read(tmp_path):
    torch.save({'a': torch.ones(3)}, tmp_path / 'a.pt', _use_new_zipfile_serialization=False)
    assert torch.equal(read_tensors(tmp_path / 'a.pt')['a'], torch.ones(3))


@pytest.mark.parametrize(
    'tensor',
    [torch.ones(1).expand(10**6, 10**4), torch.eye(3).to_sparse(), torch.ones(3, device='meta')],
)
def test_tensors_that_no_checkpoint_needs(tmp_path, tensor):
    torch.save({'a': tensor}, tmp_path / 'a.pt')
    with pytest.raises(InputError, match=r'a\.pt: '):
        read_tensors(tmp_path / 'a.pt')


def npz_with(path, header, values=b'', method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {'descr': '<f4', 'fortran_order': False, **header})
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr('a.npy', stream.getvalue() + values)


@pytest.mark.parametrize('shape', [(10**12,), (10**6, 10**6), (-1,), (3,), (10**30,)])
def test_claims_of_a_header(tmp_path, shape):
    npz_with(tmp_path / 'a.npz', {'shape': shape}, b'1234')
    with pytest.raises(InputError, match=r'a\.npz: cannot be read as an npz at a '):
        read_arrays(tmp_path / 'a.npz')


def test_compressed_zeros(tmp_path):
    """600 MB in a file of 3 MB are refused before they are expanded; 200 MB are read."""
    for size, small in ((200 << 20, True), (600 << 20, False)):
        with zipfile.ZipFile(
            tmp_path / 'a.npz', 'w', zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive:
            with archive.open('a.npy', 'w') as member:
                header = {'descr': '|u1', 'fortran_order': False, 'shape': (size,)}
                np.lib.format.write_array_header_1_0(member, header)
                for _ in range(size >> 20):
                    member.write(bytes(1 << 20))
        if small:
            assert read_arrays(tmp_path / 'a.npz')['a'].shape == (size,)
        else:
            with pytest.raises(InputError, match='claim to expand to'):
                read_arrays(tmp_path / 'a.npz')


def test_zips_that_numpy_does_not_write(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    with zipfile.ZipFile(tmp_path / 'bzip2.npz', 'w', zipfile.ZIP_BZIP2) as archive:
        archive.writestr('a.npy', stream.getvalue())
    np.savez(tmp_path / 'encrypted.npz', a=np.ones(3))
    data = bytearray((tmp_path / 'encrypted.npz').read_bytes())
    data[data.rfind(b'PK\x01\x02') + 8] |= 1
    (tmp_path / 'encrypted.npz').write_bytes(data)
    np.save((tmp_path / 'array.npz').open('wb'), np.ones(3))
    np.savez(tmp_path / 'objects.npz', a=np.array({'b': 1}, object))
    for name, reason in {
        'bzip2.npz': 'compression',
        'encrypted.npz': 'encrypted',
        'array.npz': 'not a zip',
        'objects.npz': 'Python objects',
    }.items():
        with pytest.raises(InputError, match=f'{name}: .*{reason}'):
            read_arrays(tmp_path / name)


def test_a_missing_file_is_a_wrong_value_of_its_config(tmp_path):
    (tmp_path / 'broken').write_text('{')
    with pytest.raises(InputError, match=f'^run.yaml: {tmp_path}/none: there is no such file'):
        with named_config('run.yaml'):
            read_json(tmp_path / 'none')
    with pytest.raises(InputError, match=f'^{tmp_path}/broken: '):
        with named_config('run.yaml'):
            read_json(tmp_path / 'broken')


@pytest.mark.parametrize(
    'read', [read_text, read_json, read_npy, read_arrays, read_tensors, read_image]
)
def test_what_is_no_file(tmp_path, read):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'zero').symlink_to('/dev/zero')
    (tmp_path / 'circle').symlink_to(tmp_path / 'circle')
    for name, reason in {
        'pipe': 'a named pipe',
        'zero': 'a device',
        'circle': 'form a circle',
        '.': 'a folder',
        'none': 'there is no such',
        'x' * 300: 'cannot be opened',
    }.items():
        with pytest.raises(InputError, match=reason) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    'text, reason',
    [
        ('[' * 100_000, 'nested too deeply'),
        ('[' * 100 + ']' * 100, 'nested more than 60'),
        ('1' * 5000, '5000 digits'),
        (f'{{"a": {10**30}}}', '31 digits'),
        ('{"a": ', 'not json'),
        (b'{"a": "\xff"}', 'not json'),
    ],
)
def test_json_limits(text, reason):
    with pytest.raises(InputError, match=f'a.json: .*{reason}'):
        parse_json(text, 'a.json')
    assert parse_json('{"a": [9223372036854775807, -1, 1e3]}', 'a.json') == {
        'a': [2**63 - 1, -1, 1000.0]
    }


def test_literals():
    text = "a = dict(b=1, c=[-2.5, (True, None)], d={'e': inf})\nf = 'x'\n"
    assert parse_literals(text) == {
        'a': {'b': 1, 'c': [-2.5, (True, None)], 'd': {'e': float('inf')}},
        'f': 'x',
    }
    for code in (
        'a = f()',
        'a = b',
        'a = dict(**b)',
        'import os',
        'a.b = 1',
        'a = {[]: 1}',
        'a = [x for x in y]',
    ):
        with pytest.raises(ValueError, match='line 1|not the text'):
            parse_literals(code)


def png_of(width, height):
    def chunk(kind, data):
        return (
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        )

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(b''))
        + chunk(b'IEND', b'')
    )


@pytest.mark.parametrize('size', [(100_000, 100_000), (30_000, 30_000), (1, 2**31 - 1)])
def test_claims_of_a_picture(tmp_path, size):
    (tmp_path / 'a.png').write_bytes(png_of(*size))
    with pytest.raises(InputError, match=r'a\.png: claims to be'):
        read_image(tmp_path / 'a.png')


def test_a_picture_claims_more_than_its_bytes_hold(tmp_path):
    # 2100 x 2100 x 3 bytes are more than 70 bytes of deflate can stand for.
    data = png_of(2100, 2100)
    (tmp_path / 'a.png').write_bytes(data)
    message = rf'a\.png: claims to be 2100x2100 px, more than its {len(data)} bytes can hold'
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / 'a.png')
    written, jpeg = cv2.imencode('.jpg', np.zeros((16, 16, 3), np.uint8))
    content = bytearray(jpeg.tobytes())
    frame = content.index(b'\xff\xc0')
    content[frame + 5 : frame + 9] = struct.pack('>HH', 9000, 9000)
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(InputError, match=r'a\.jpg: claims to be 9000x9000 px, more than its'):
        read_image(tmp_path / 'a.jpg')


@pytest.mark.parametrize(
    'suffix, options',
    [
        ('png', [cv2.IMWRITE_PNG_COMPRESSION, 9]),
        ('png', [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_BILEVEL, 1]),
        ('jpg', [cv2.IMWRITE_JPEG_QUALITY, 1]),
        ('jpg', [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        ('jpg', [cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    ],
)
def test_an_empty_picture_is_small(tmp_path, suffix, options):
    written, data = cv2.imencode(f'.{suffix}', np.zeros((4000, 5000), np.uint8), options)
    assert written and len(data) < 250_000
    (tmp_path / f'a.{suffix}').write_bytes(data.tobytes())
    assert read_image(tmp_path / f'a.{suffix}').shape == (4000, 5000, 3)


@pytest.mark.parametrize(
    'suffix', ['png', 'jpg', 'bmp', 'tif', 'tiff', 'webp', 'ppm', 'pgm', 'jp2']
)
def test_claimed_size_is_that_of_opencv(tmp_path, suffix):
    image = np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8)
    written, data = cv2.imencode(f'.{suffix}', image)
    if not written:
        pytest.skip('this OpenCV does not write the format')
    assert claimed_size(data.tobytes()) == (53, 37)
    (tmp_path / f'a.{suffix}').write_bytes(data.tobytes())
    assert read_image(tmp_path / f'a.{suffix}').shape == (37, 53, 3)
    assert 53 * 37 < MOST_PIXELS


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25, (64, 48))
    for shade in range(5):
        writer.write(np.full((48, 64, 3), 40 * shade, np.uint8))
    writer.release()
    return path


def claim_in_videos(monkeypatch, key, claim):
    """Makes every video claim a property."""
    real = cv2.VideoCapture

    class Claiming:
        def __init__(self, path):
            self.capture = real(path)

        def __getattr__(self, name):
            return getattr(self.capture, name)

        def get(self, asked):
            return claim if asked == key else self.capture.get(asked)

    monkeypatch.setattr(cv2, 'VideoCapture', Claiming)


@pytest.mark.parametrize('count', [1e9, float('nan'), float('inf'), 0.0, -1.9e14])
def test_impossible_counts_of_a_video_count_as_none(clip, monkeypatch, count):
    claim_in_videos(monkeypatch, cv2.CAP_PROP_FRAME_COUNT, count)
    frames = VideoFrames(clip)
    assert frames.claimed is None and len(frames) == 5


def test_impossible_sizes_of_a_video(clip, monkeypatch):
    claim_in_videos(monkeypatch, cv2.CAP_PROP_FRAME_WIDTH, 1e7)
    with pytest.raises(InputError, match='clip.mp4: its frames have 480000000 pixels'):
        VideoFrames(clip)


@pytest.mark.parametrize('rate', [0.0, -1.0, float('nan'), 1e9])
def test_impossible_rates_count_as_none(clip, monkeypatch, rate):
    claim_in_videos(monkeypatch, cv2.CAP_PROP_FPS, rate)

    assert VideoFrames(clip).fps == 25.0


@pytest.mark.parametrize(
    'name, text',
    [
        ('a.m3u8', '#EXTM3U\n#EXTINF:1,\nclip.mp4\n'),
        ('a.mp4', '#EXTM3U\nclip.mp4\n'),
        ('a.avi', "ffconcat version 1.0\nfile 'clip.mp4'\n"),
        ('a.mpd', 'x'),
        ('a.mp4', '<?xml version="1.0"?><MPD></MPD>'),
    ],
)
def test_playlists_are_refused(clip, name, text):
    path = clip.with_name(name)
    path.write_text(text)
    with pytest.raises(InputError, match=f'{name}: a playlist'):
        VideoFrames(path)


def test_a_name_that_is_not_utf8(clip):
    path = Path(os.fsdecode(os.fsencode(clip.parent) + b'/\xff.mp4'))
    clip.rename(path)
    with pytest.raises(InputError, match='name is not UTF-8'):
        VideoFrames(path)
