"""What lies in people's folders beside images: hidden files, formats that are not read, and replaced files."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from hrtk.datasets.own.footage import ImageFootage, open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.video import VideoDataset
from hrtk.errors import InputError
from hrtk.reading import hashes

# ISO 14496-12: the box that begins a file names its brand; no more is needed to recognise it.
HEIC = b'\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic'
AVIF = b'\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif'
# AppleDouble, RFC 1740: magic number, version, filler, no entries.
APPLE_DOUBLE = b'\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x00\x00'


def shade(value):
    return np.full((60, 80, 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'frames'
    folder.mkdir()
    for t in range(4):
        cv2.imwrite(str(folder / f'frame_{t}.bmp'), shade(40 * t))
    return folder


@pytest.fixture
def keypoints(tmp_path):
    points = np.random.default_rng(0).uniform(5, 50, (17, 2)).tolist()
    frames = [
        dict(image=f'frame_{t}.bmp', keypoints=[points], scores=[[0.9] * 17]) for t in range(4)
    ]
    path = tmp_path / 'keypoints.json'
    path.write_text(json.dumps(dict(skeleton='coco17', frames=frames)))
    return path


def test_hidden_files_of_images_are_no_images(folder, keypoints):
    for t in range(4):
        (folder / f'._frame_{t}.bmp').write_bytes(APPLE_DOUBLE)
    for name in ('.thumbnails', '.AppleDouble'):
        (folder / name).mkdir()
    shutil.copy(folder / 'frame_0.bmp', folder / '.thumbnails/frame_0.bmp')
    (folder / 'Thumbs.db').write_bytes(b'x')
    (folder / 'desktop.ini').write_bytes(b'x')
    footage = ImageFootage(folder)
    assert [file.name for file in footage.files] == [f'frame_{t}.bmp' for t in range(4)]
    dataset = VideoDataset(folder, keypoints, fps=12, min_length=1)
    assert [frame.mean() for frame in dataset[0].frames] == [0, 40, 80, 120]


def test_a_hidden_folder_above_the_images_does_not_hide_them(tmp_path, folder):
    folder.rename(tmp_path / '.cache')
    assert len(open_footage(tmp_path / '.cache')) == 4


def test_hidden_files_beside_keypoints(tmp_path):
    for t in range(3):
        person = dict(pose_keypoints_2d=[10.0, 10.0, 0.9] * 25)
        path = tmp_path / f'clip_{t:012d}_keypoints.json'
        path.write_text(json.dumps(dict(people=[person])))
        path.with_name(f'._{path.name}').write_bytes(APPLE_DOUBLE)
    assert len(read_keypoints(tmp_path).frames) == 3


def test_heic_and_avif_are_named_with_the_way_to_convert_them(tmp_path, folder, caplog):
    lone = tmp_path / 'IMG_0001.HEIC'
    lone.write_bytes(HEIC)
    with pytest.raises(InputError, match='IMG_0001.HEIC: HEIC images are not read') as caught:
        open_footage(lone)
    assert 'magick "IMG_0001.HEIC" "IMG_0001.jpg"' in str(caught.value)
    assert 'sips -s format jpeg "IMG_0001.HEIC"' in str(caught.value)
    album = tmp_path / 'album'
    album.mkdir()
    for name in ('a.avif', 'b.avif'):
        (album / name).write_bytes(AVIF)
    with pytest.raises(InputError, match='album: 2 AVIF images like a.avif are not read') as caught:
        open_footage(album)
    assert 'magick mogrify -format jpg *.avif' in str(caught.value)
    shutil.copy(lone, folder / 'frame_9.HEIC')
    for _ in range(2):
        assert len(open_footage(folder)) == 4
    (record,) = caplog.records
    assert 'frame_9.HEIC: HEIC images are not read' in record.getMessage()
    assert record.getMessage().endswith('the 4 other images are used')


@pytest.mark.parametrize('data, name', [(HEIC, 'HEIC'), (AVIF, 'AVIF')])
def test_a_format_behind_a_wrong_name(tmp_path, data, name):
    path = tmp_path / 'photo.jpg'
    path.write_bytes(data)
    with pytest.raises(InputError, match=f'photo.jpg: {name} images are not read'):
        ImageFootage(path).size(0)


def test_other_pictures_of_the_same_size_are_other_footage(folder, keypoints, tmp_path):
    before = VideoDataset(folder, keypoints, fps=12).fingerprint()
    copied = tmp_path / 'elsewhere' / 'frames'
    shutil.copytree(folder, copied)
    os.utime(copied / 'frame_1.bmp', (1, 1))
    assert VideoDataset(copied, keypoints, fps=12).fingerprint() == before
    target = folder / 'frame_1.bmp'
    size = target.stat().st_size
    stamp = target.stat().st_mtime_ns
    cv2.imwrite(str(target), shade(41))
    os.utime(target, ns=(stamp, stamp))  # as `cp -p` leaves it
    assert target.stat().st_size == size
    assert VideoDataset(folder, keypoints, fps=12).fingerprint() != before


def test_a_link_to_a_device_is_no_image(folder, keypoints):
    """Its content would never end."""
    (folder / 'frame_1.bmp').unlink()
    (folder / 'frame_1.bmp').symlink_to('/dev/zero')
    with pytest.raises(InputError, match='frame_1.bmp: this is a device'):
        VideoDataset(folder, keypoints, fps=12).fingerprint()


def test_the_hash_of_a_large_file_samples_every_mebibyte(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, 'WHOLE', 1 << 20)
    data = np.random.default_rng(0).integers(0, 256, (1 << 22) + 77, dtype=np.uint8)
    found = set()
    for place in (None, 5, (1 << 21) + 9, len(data) - (1 << 20), len(data) - 1):
        changed = data.copy()
        if place is not None:
            changed[place] ^= 1
        path = tmp_path / f'{place}.bin'
        path.write_bytes(changed.tobytes())
        found.add(hashes.content_hash(path))
    assert len(found) == 5
    (tmp_path / 'longer.bin').write_bytes(data.tobytes() + b'\0')
    assert hashes.content_hash(tmp_path / 'longer.bin') not in found
