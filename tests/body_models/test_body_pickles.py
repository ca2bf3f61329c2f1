"""Pickled bodies: what chumpy and scipy really write is read to equal arrays, and nothing foreign is ever run."""

from __future__ import annotations

import os
import pickle
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from body_file_parts import DATA, Call, arange, write

from hrtk.body_models.files import load_body_file, load_pickle
from hrtk.errors import InputError

# Reading pickles


@pytest.mark.parametrize(
    'file',
    [
        'chumpy_py2_protocol0',
        'chumpy_py2_protocol1',
        'chumpy_py2_protocol2',
        'chumpy_py3_protocol0',
        'chumpy_py3_protocol1',
        'chumpy_py3_protocol2',
        'chumpy_np2_protocol2',
        'chumpy_np2_protocol5',
    ],
)
def test_real_chumpy_and_scipy_pickles(file):
    """Files written by chumpy 0.70 under Python 2.7 and 3.11, numpy 1.16, 1.26 and 2.4; see make_chumpy_pickles.py."""
    read = load_pickle(DATA / f'{file}.pkl')
    base = arange(4, 6)
    sparse = np.array([[0, 5, 0, 0], [0, 0, 0, 0], [3, 0, 0, 2.0]])
    expected = {
        'plain': arange(2, 3),
        'fortran': arange(3, 2),
        'integers': np.arange(5),
        'big_endian': np.arange(4.0),
        'scalar': 1.5,
        'empty': np.zeros((0, 3)),
        'ch': base,
        'ch_used': arange(3, 3),
        'select': base[1:3, ::2],
        'select_flat': np.arange(5.0, 9),
        'concatenate': np.hstack([base, 100 + arange(4, 2)]),
        'reshape': base.reshape(6, 4),
        'nested': np.vstack([base[:2].reshape(3, 4), arange(1, 4)]),
        'csc': sparse,
        'csr': sparse,
        'coo': sparse,
        'bytes_like': np.array([b'ab', b'c']),
    }
    for key, value in expected.items():
        np.testing.assert_array_equal(read[key], value, err_msg=key)
        assert np.shape(read[key]) == np.shape(value), key
    assert read['text'] == 'lrotmin' and read['names'] == {'a', 'b'}
    assert set(read) == {*expected, 'text', 'names'}
    assert 'chumpy' not in sys.modules


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_installed_numpy_and_scipy_at_every_protocol(tmp_path, protocol):
    dense = np.where(arange(5, 7) % 4 == 0, arange(5, 7), 0)
    content = {
        kind: getattr(scipy.sparse, f'{kind}_matrix')(dense) for kind in ('csc', 'csr', 'coo')
    }
    content |= {
        'array': dense,
        'transposed': dense.T,
        'scalar': np.float32(2.5),
        'empty': np.zeros((0, 2)),
        'strings': np.array(['a', 'bc']),
        'objects': np.array([None, 'x'], dtype=object),
        'list': [dense, 1],
    }
    read = load_pickle(write(tmp_path / 'x.pkl', content, protocol))
    for kind in ('csc', 'csr', 'coo', 'array'):
        np.testing.assert_array_equal(read[kind], dense)
    np.testing.assert_array_equal(read['transposed'], dense.T)
    np.testing.assert_array_equal(read['list'][0], dense)
    assert read['scalar'] == np.float32(2.5) and read['empty'].shape == (0, 2)
    assert read['strings'].tolist() == ['a', 'bc'] and read['objects'].tolist() == [None, 'x']


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_module_names_of_other_numpy_versions(tmp_path, core):
    for protocol in (0, 2, 5):
        data = pickle.dumps({'a': arange(3, 2), 'b': np.float64(4)}, protocol)
        installed = np.empty(0).__reduce__()[0].__module__.rsplit('.', 1)[0].encode()
        if protocol < 4:
            data = data.replace(installed + b'.', core + b'.')
        else:
            old, new = (name + b'.multiarray' for name in (installed, core))
            data = data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)
            old, new = (name + b'.numeric' for name in (installed, core))
            data = data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)
            data = data[:2] + b'N0' + data[11:]  # drop the frame, whose length has changed
        (tmp_path / 'x.pkl').write_bytes(data)
        read = load_pickle(tmp_path / 'x.pkl')
        np.testing.assert_array_equal(read['a'], arange(3, 2))
        assert read['b'] == 4


# Pickles that attack


def _payloads(marker):
    shell = f'touch {marker}'
    python = f'open({str(marker)!r}, "w")'
    line = python.replace('\n', '').encode()
    return {
        'posix.system': pickle.dumps({'v_template': Call(os.system, shell)}, 0),
        'builtins.eval': pickle.dumps({'v_template': Call(eval, python)}, 4),
        '__builtin__.eval': pickle.dumps({'v_template': Call(eval, python)}, 2),
        'builtins.getattr': pickle.dumps(
            {'a': [np.zeros(2), {'b': (Call(getattr, [], 'append'),)}]}, 5
        ),
        'os.system': b"(dp0\nS'a'\np1\n(cos\nsystem\n" + b"S'" + shell.encode() + b"'\ntRs.",
        '__builtin__.execfile': b'\x80\x02}U\x01ac__builtin__\nexecfile\n(U\x01xtRs.',
        'numpy.load': pickle.dumps({'a': Call(np.load, 'x')}, 4),
        'numpy.core.multiarray.fromfile': b"}(S'a'\ncnumpy.core.multiarray\nfromfile\n(S'x'\ntRu.",
        'numpy.f2py.crackfortran.myeval': b"}(S'a'\ncnumpy.f2py.crackfortran\nmyeval\n(S'"
        + line
        + b"'\ntRu.",
        'builtins.ndarray.tofile': b'\x80\x04}(\x8c\x01a\x8c\x08builtins\x8c\x0endarray.tofile\x93(tRu.',
        'subprocess.Popen': b"(dp0\nS'a'\n(S'" + shell.encode() + b"'\nisubprocess\nPopen\ns.",
    }


@pytest.mark.parametrize('name', sorted(_payloads('x')))
def test_payloads_are_named_and_not_run(tmp_path, name):
    marker = tmp_path / 'executed'
    file = tmp_path / 'evil.pkl'
    file.write_bytes(_payloads(marker)[name])
    for read in (load_pickle, load_body_file):
        with pytest.raises(InputError, match=r'evil\.pkl.*numpy\.savez') as caught:
            read(file)
        assert name in str(caught.value)
    assert not marker.exists()


def test_payload_fixture_would_run_when_fully_unpickled(tmp_path):
    """The payloads above are real: plain pickle runs them."""
    pickle.loads(_payloads(tmp_path / 'executed')['builtins.eval'])
    assert (tmp_path / 'executed').exists()


def test_nested_in_a_chumpy_object(tmp_path):
    marker = tmp_path / 'executed'
    for protocol in (0, 2):
        hidden = pickle.dumps(Call(os.system, f'touch {marker}'), protocol)[:-1].removeprefix(
            b'\x80\x02'
        )
        data = (
            b"}S'a'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR}S'x'\n"
            + hidden
            + b'sbs.'
        )
        (tmp_path / 'x.pkl').write_bytes(data)
        with pytest.raises(InputError, match='posix.system'):
            load_pickle(tmp_path / 'x.pkl')
    assert not marker.exists()


@pytest.mark.parametrize(
    'data, complaint',
    [
        (b'\x80\x04c_codecs\nencode\n(\x8c\x01x\x8c\x05rot13tR.', "encoding 'rot13'"),
        (b'ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.', 'ndarray'),
        (b'\x80\x04P1\n.', 'persistent'),
        (b"cnumpy\ndtype\n(S'V8'\ntR.", "dtype 'V8'"),
        (b"c_codecs\nencode\n}S'__defaults__'\nNsb.", 'a state for'),
    ],
)
def test_allowed_helpers_cannot_be_misused(tmp_path, data, complaint):
    (tmp_path / 'x.pkl').write_bytes(data)
    with pytest.raises(InputError, match=complaint):
        load_pickle(tmp_path / 'x.pkl')


def test_a_high_object_number_costs_no_memory(tmp_path):
    (tmp_path / 'x.pkl').write_bytes(b'}r\xff\xff\xff\x7f.')
    tracemalloc.start()
    assert load_pickle(tmp_path / 'x.pkl') == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_every_truncation_of_a_real_file_is_an_input_error(tmp_path):
    data = (DATA / 'chumpy_py2_protocol2.pkl').read_bytes()
    for end in range(1, len(data), 37):
        (tmp_path / 'x.pkl').write_bytes(data[:end])
        with pytest.raises(InputError, match='x.pkl'):
            load_pickle(tmp_path / 'x.pkl')


def test_flipped_bytes_raise_nothing_but_input_errors(tmp_path):
    data = bytearray((DATA / 'chumpy_py2_protocol1.pkl').read_bytes())
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(120):
        broken = data.copy()
        for index in rng.integers(0, len(data), 3):
            broken[index] = rng.integers(256)
        (tmp_path / 'x.pkl').write_bytes(broken)
        try:
            load_pickle(tmp_path / 'x.pkl')
        except InputError:
            errors += 1
    assert errors > 40


def test_a_chumpy_object_inside_itself(tmp_path):
    data = b"}S'a'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtRp1\n}S'x'\ng1\nsbs."
    (tmp_path / 'x.pkl').write_bytes(data)
    with pytest.raises(InputError, match='damaged'):
        load_pickle(tmp_path / 'x.pkl')
