"""hrtk.files: full and read-only disks, and what killed runs leave behind."""

import errno
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from hrtk.cli import main as cli
from hrtk.datasets.arrays import cached_arrays
from hrtk.engine.store import ResultStore
from hrtk.errors import InputError
from hrtk.files import (
    DiskError,
    escaped_name,
    remove_leftovers,
    reserve,
    unescaped_name,
    write_atomically,
)
from hrtk.registry import DATASETS


def full(file):
    file.write(b'half')
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / 'a.npz'
    path.write_bytes(b'old')
    with pytest.raises(InputError, match=r'a.npz: .*No space left on device.* MB free.*are kept'):
        write_atomically(path, full)
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]


def test_a_device_without_space(tmp_path):
    """/dev/full is a real disk that is always full."""
    if not os.path.exists('/dev/full'):
        pytest.skip('this system has no /dev/full')

    def write(file):
        with open('/dev/full', 'wb', buffering=0) as device:
            device.write(b'x')

    with pytest.raises(DiskError, match='No space left'):
        write_atomically(tmp_path / 'a', write)


def test_errors_of_the_content_stay_as_they_are(tmp_path):
    def wrong(file):
        raise RuntimeError('a tensor is wrong')

    with pytest.raises(RuntimeError, match='a tensor is wrong'):
        write_atomically(tmp_path / 'a.pt', wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_on_a_full_disk_costs_time_only(tmp_path, monkeypatch):
    monkeypatch.setattr('hrtk.datasets.arrays.save_npz', lambda file, arrays: full(file))
    found = cached_arrays(tmp_path / 'a.npz', lambda: {'a': np.ones(3)})
    assert found['a'].sum() == 3 and list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    """What raises outside of the atomic writer becomes one line, too."""

    def run():
        raise OSError(errno.EROFS, 'Read-only file system', str(tmp_path / 'out'))

    assert cli._exit_code(run, '') == 2
    message = capsys.readouterr().err
    assert message.startswith('error: ') and 'Read-only file system' in message and 'out' in message


def test_a_closed_pipe_is_no_full_disk(monkeypatch):
    def run():
        raise BrokenPipeError(errno.EPIPE, 'Broken pipe')

    with open(os.devnull, 'w') as null:
        monkeypatch.setattr(sys, 'stdout', null)
        assert cli._exit_code(run, '') == 1


def test_leftovers_of_dead_runs(tmp_path):
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    store = ResultStore(tmp_path, {'a': 1})
    names = {
        f'a.npz.{ended.pid}.tmp': True,
        f'.clip.{ended.pid}.part.mp4': True,
        f'bank.{ended.pid}.part': True,
        f'b.npz.{os.getpid()}.tmp': False,
        'keypoints.json.part': False,
        'c.npz': False,
    }
    for name in names:
        (store.folder / name).write_bytes(b'x')
    (store.folder / f'young.npz.{ended.pid}.tmp').write_bytes(b'x')
    old = time.time() - 7200
    for name in names:
        os.utime(store.folder / name, (old, old))
    ResultStore(tmp_path, {'a': 1})
    left = {path.name for path in store.folder.iterdir()}
    assert left == {*(n for n, gone in names.items() if not gone), f'young.npz.{ended.pid}.tmp'}
    assert remove_leftovers(store.folder) == []


def test_reserved_blocks(tmp_path):
    path = tmp_path / 'a.npy'
    np.lib.format.open_memmap(path, 'w+', np.float32, (1 << 20,))
    before = path.stat().st_blocks
    reserve(path)
    assert path.stat().st_blocks * 512 >= path.stat().st_size > before * 512


@pytest.mark.parametrize(
    'name, file',
    [
        ('tänzer 日本 #1', 'tänzer 日本 #1'),
        ("it's [a] (b) & 50 €; Ω~!", "it's [a] (b) & 50 €; Ω~!"),
        ('a/b\\c:d', 'a%2Fb%5Cc%3Ad'),
        ('<x>|"y"?*', '%3Cx%3E%7C%22y%22%3F%2A'),
        ('100%', '100%25'),
        ('%41', '%2541'),
        ('.hidden', '%2Ehidden'),
        ('end. ', 'end.%20'),
        ('line\nbreak\x7f', 'line%0Abreak%7F'),
        ('nul', '%6Eul'),
        ('Com1.take', '%43om1.take'),
        ('console', 'console'),
        ('\udcff', '%FF'),  # a byte that is no text, as Python names such a file
    ],
)
def test_files_are_called_as_the_user_called_them(name, file, tmp_path):
    assert escaped_name(name) == file
    assert unescaped_name(file) == name
    (tmp_path / file).write_text('x')
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_the_length_of_a_name_counts_bytes():
    assert escaped_name('日' * 80) == '日' * 80
    with pytest.raises(InputError, match='too long'):
        escaped_name('日' * 81)


def test_results_of_earlier_versions_are_found(tmp_path):
    store = ResultStore(tmp_path, dict(a=1))
    earlier = store.folder / 't%C3%A4nzer %231.npz'
    assert store.path('tänzer #1').name == 'tänzer #1.npz'
    earlier.write_bytes(b'')
    assert store.path('tänzer #1') == earlier
    store.folder.joinpath('tänzer #1.npz').write_bytes(b'')
    assert store.path('tänzer #1').name == 'tänzer #1.npz'


def test_too_little_room_is_left_to_others(tmp_path):
    path = tmp_path / 'large.bin'
    path.touch()
    os.truncate(path, shutil.disk_usage(tmp_path).total * 4)
    with pytest.raises(OSError, match='No space left'):
        reserve(path)
    assert path.stat().st_blocks == 0
    path.unlink()


def test_cached_views_have_room_or_are_drawn(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    config = dict(type='OpenViews', length=40, resolution=32, cache=True)
    views = DATASETS.build(config)
    (path,) = tmp_path.glob('open_stream/*/image.bin')
    assert path.stat().st_blocks * 512 >= path.stat().st_size == 40 * 3 * 32 * 32
    first = views[3]['image']
    assert views.cache is not None and 3 in views.cache

    def no_room(path):
        raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    monkeypatch.setattr('hrtk.datasets.view_files.reserve', no_room)
    views = DATASETS.build(config)
    assert views.cache is None and 'image.bin: no room for cached views' in caplog.text
    assert torch.equal(views[3]['image'], first)


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (MemoryError(), 'not enough memory'),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried "
                'to allocate 4000000000000 bytes.'
            ),
            'not enough memory',
        ),
        (RuntimeError('a shape is wrong'), None),
        (
            OSError(errno.ENAMETOOLONG, 'File name too long', 'x' * 300),
            'x: cannot be used (File name',
        ),
        (OSError('without a file'), None),
    ],
)
def test_what_the_machine_does_not_allow_is_one_line(capsys, error, words):
    def run():
        raise error

    if words is None:  # an error of the program keeps its traceback
        with pytest.raises((OSError, RuntimeError)):
            cli._exit_code(run, '')
        return
    assert cli._exit_code(run, '') == 2
    message = capsys.readouterr().err
    assert message.startswith('error: ') and words in message and len(message.splitlines()) == 1
    if words == 'not enough memory':
        assert cli._exit_code(run, '', 'mine.yaml') == 2
        assert 'the sizes in mine.yaml' in capsys.readouterr().err
