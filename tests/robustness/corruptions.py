"""Corruptions of files: six kinds, drawn with a seed."""

import io
import json
import os
import pickle
import random
import re
import zipfile

import numpy as np

KINDS = ('truncate', 'flip', 'claim', 'type', 'payload', 'name')
HUGE = (10**12, 10**19, 2**31 - 1, 2**63 - 1, -1, 10**400)


class Payload:
    """Creates a file when a pickle that holds it is executed."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, 'w')


def corrupt(path, kind, seed, marker):
    """Replaces a valid file by a corrupted one.

    Args:
        path: of the file.
        kind: one of :data:`KINDS`.
        seed: of the random choices.
        marker: the file that a payload would create.
    """
    draw = random.Random(f'{path.name} {kind} {seed}')
    data = path.read_bytes()
    if kind == 'name':
        _other_kind_of_file(path, draw)
        return
    change = {
        'truncate': _truncate,
        'flip': _flip,
        'claim': _claim,
        'type': _type,
        'payload': _payload,
    }[kind]
    changed = change(data, draw, marker)
    path.unlink()  # it may be a link to a file that others read
    path.write_bytes(changed)


def _truncate(data, draw, marker):
    return data[: draw.choice([0, 1, 2, 10, 100, len(data) - 1, draw.randrange(len(data))])]


def _flip(data, draw, marker):
    damaged = bytearray(data)
    for _ in range(draw.choice([1, 1, 3, 20])):
        position = draw.choice([draw.randrange(len(data)), draw.randrange(min(len(data), 200))])
        damaged[position] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def _claim(data, draw, marker):
    """Numbers in headers and in text become huge."""
    if data[:2] == b'PK':
        return _rewrite(data, draw, _claim_in_npy)
    if data[:6] == b'\x93NUMPY':
        return _claim_in_npy(data, draw)
    if _is_text(data):
        numbers = list(re.finditer(rb'\d+', data))
        if numbers:
            number = draw.choice(numbers)
            return data[: number.start()] + str(draw.choice(HUGE)).encode() + data[number.end() :]
    damaged = bytearray(data)
    width = draw.choice([2, 4, 8])
    position = draw.randrange(min(len(data), 2000))
    damaged[position : position + width] = draw.choice([b'\xff', b'\x7f', b'\x00']) * width
    return bytes(damaged)


def _claim_in_npy(data, draw):
    shape = draw.choice(
        ['(1000000000000,)', '(1000000, 1000000)', '(-1,)', '(0, 1000000000)', '()']
    )
    start = data.find(b"'shape': (")
    end = data.find(b')', start) + 1
    if start < 0:
        return data
    replaced = data[:start] + b"'shape': " + shape.encode() + data[end:]
    length = int.from_bytes(data[8:10], 'little') + len(replaced) - len(data)
    return replaced[:8] + length.to_bytes(2, 'little') + replaced[10:]


def _type(data, draw, marker):
    """Values become values of other types."""
    if data[:2] == b'PK':
        return _rewrite(data, draw, _other_array)
    if data[:6] == b'\x93NUMPY':
        return _other_array(data, draw)
    if data[:1] in b'{[':
        content = json.loads(data)
        return json.dumps(_with_other_value(content, draw)).encode()
    if _is_text(data):
        words = list(re.finditer(rb'[^\s:,]+', data))
        word = draw.choice(words)
        other = draw.choice([b'nan', b'[]', b'{}', b'true', b'"x"', b'-', b'\xff\xfe', b'~'])
        return data[: word.start()] + other + data[word.end() :]
    return _flip(data, draw, marker)


def _other_array(data, draw):
    array = np.load(io.BytesIO(data), allow_pickle=True)
    plain = np.zeros(2) if array.dtype.hasobject else array
    other = draw.choice(
        [
            np.array(3.0),
            np.array('text'),
            np.array([]),
            np.zeros((2, 2), np.complex64),
            np.full(array.shape, np.nan, np.float32),
            np.zeros(array.shape, np.bool_),
            np.zeros(array.shape, '>f4'),
            np.zeros(array.shape, 'S0'),
            np.zeros((1, *array.shape), np.float32),
            np.full(array.shape, 2**63 - 1),
            np.full(array.shape, 1e300),
            np.asfortranarray(plain),
            np.zeros(3, 'M8[s]'),
        ]
    )
    stream = io.BytesIO()
    np.save(stream, other, allow_pickle=False)
    return stream.getvalue()


def _with_other_value(content, draw):
    """A value somewhere in a json is replaced."""
    if isinstance(content, dict) and content and draw.random() < 0.85:
        key = draw.choice(list(content))
        return {**content, key: _with_other_value(content[key], draw)}
    if isinstance(content, list) and content and draw.random() < 0.85:
        index = draw.randrange(len(content))
        return [*content[:index], _with_other_value(content[index], draw), *content[index + 1 :]]
    deep = []
    for _ in range(200):
        deep = [deep]
    choices = [
        None,
        True,
        'text',
        -1,
        1e300,
        10**30,
        float('nan'),
        [],
        {},
        [[]],
        {'type': 'x'},
        deep,
    ]
    return draw.choice(choices)


def _payload(data, draw, marker):
    """A pickle that creates a file, or a name that would be imported and called."""
    pickled = pickle.dumps(
        {'v_template': Payload(marker), 'data': [Payload(marker)]}, draw.choice([0, 2, 4])
    )
    if data[:2] == b'PK':
        if any(name.endswith('data.pkl') for name in zipfile.ZipFile(io.BytesIO(data)).namelist()):
            return _rewrite(data, draw, lambda old, _: pickled, 'data.pkl')
        array = np.array(Payload(marker), dtype=object)
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=True)
        return _rewrite(data, draw, lambda old, _: stream.getvalue())
    if data[:1] in b'{[' or _is_text(data):
        call = {'type': 'os.system', 'command': f'touch {marker}'}
        tag = f'!!python/object/apply:os.system ["touch {marker}"]'
        texts = [tag, f'a: {tag}', json.dumps(call), f'import os; os.system("touch {marker}")']
        if data[:1] == b'{':
            content = json.loads(data)
            key = draw.choice(list(content))
            texts.append(json.dumps({**content, key: call}))
            texts.append(json.dumps({**content, 'config': texts[3]}))
        return draw.choice(texts).encode()
    return pickled


def _rewrite(data, draw, change, name=''):
    """Changes one member of a zip, or how the zip stores it."""
    old = zipfile.ZipFile(io.BytesIO(data))
    members = old.namelist()
    chosen = draw.choice([member for member in members if member.endswith(name)])
    stream = io.BytesIO()
    method = draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    with zipfile.ZipFile(stream, 'w', method) as new:
        for member in members:
            content = old.read(member)
            if member == chosen and (name or content[:6] == b'\x93NUMPY'):
                content = change(content, draw)
            new.writestr(member, content)
    result = stream.getvalue()
    if draw.random() < 0.1:  # the bit of encryption, in the entry and in the list
        result = bytearray(result)
        for position in (6, result.rfind(b'PK\x01\x02') + 8):
            result[position] |= 1
    return bytes(result)


def _other_kind_of_file(path, draw):
    """The path is a folder, a pipe, a device, a circle of links, a bomb, or a file of another kind."""
    data = path.read_bytes()
    path.unlink()
    kind = draw.choice(
        ['folder', 'pipe', 'device', 'circle', 'dangling', 'bomb', 'npy', 'html', 'playlist']
    )
    if kind == 'folder':
        path.mkdir()
    elif kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'circle':
        path.symlink_to(path)
    elif kind == 'dangling':
        path.symlink_to('/nonexistent/file')
    elif kind == 'bomb':
        path.write_bytes(BOMB())
    elif kind == 'npy':
        np.save(path.open('wb'), np.zeros(3))
    elif kind == 'html':
        path.write_bytes(b'<!DOCTYPE html><html>' + data[:100])
    else:
        path.write_bytes(b'#EXTM3U\nfile:///etc/hostname\n')


def BOMB(size=3 << 30):
    """An npz of a few MB whose member expands to 3 GB."""
    if not _BOMB:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
            with archive.open('rotmat.npy', 'w', force_zip64=True) as member:
                header = {'descr': '<f4', 'fortran_order': False, 'shape': (size // 4,)}
                np.lib.format.write_array_header_2_0(member, header)
                zeros = bytes(1 << 24)
                for _ in range(size >> 24):
                    member.write(zeros)
        _BOMB.append(stream.getvalue())
    return _BOMB[0]


_BOMB = []


def _is_text(data):
    return b'\0' not in data[:200] and all(byte < 128 for byte in data[:200])
