"""Makes the chumpy_*.pkl beside this file with the real chumpy 0.70 and scipy; run it once per environment.

Official SMPL files were written so by Python 2, hence the syntax that both Pythons read. The stored files are from

* Python 2.7, numpy 1.16.6, scipy 1.2.3: ``make_chumpy_pickles.py py2``
* Python 3.11, numpy 1.26.4, scipy 1.17: ``make_chumpy_pickles.py py3``
* Python 3.11, numpy 2.4, scipy 1.17:  ``make_chumpy_pickles.py np2``

with ``pip install --no-build-isolation chumpy`` (wheel, setuptools and numpy must be there before). All values follow
from ``numpy.arange``, so that the tests can state them without chumpy.
"""

import inspect
import os
import pickle
import sys

import numpy as np
import scipy.sparse as sp

# chumpy 0.70 imports names that Python 3.11 and numpy 1.24 dropped; lent to it for the import only.
if not hasattr(inspect, 'getargspec'):
    inspect.getargspec = inspect.getfullargspec
lent = [
    kind for kind in (bool, int, float, complex, object, str) if kind.__name__ not in np.__dict__
]
for kind in lent:
    setattr(np, kind.__name__, kind)
np.__dict__.setdefault('unicode', str)

import chumpy as ch  # noqa: E402

for kind in lent:
    delattr(np, kind.__name__)


def arange(*shape):
    """0, 1, 2, ... as float64 of this shape."""
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


def sparse():
    """A 3x4 matrix with an entry stored twice, which counts as the sum."""
    return sp.coo_matrix(([1.0, 2.0, 3.0, 4.0], ([0, 2, 2, 0], [1, 3, 0, 1])), shape=(3, 4))


def wrappers():
    """Every kind of value that the reader must turn into an array."""
    base = ch.Ch(arange(4, 6))
    used = ch.Ch(arange(3, 3))
    used[:, 1:].r  # chumpy caches results inside the objects once they were evaluated
    return {
        'plain': arange(2, 3),
        'fortran': np.asfortranarray(arange(3, 2)),
        'integers': np.arange(5, dtype=np.uint32),
        'big_endian': np.arange(4, dtype='>f4'),
        'scalar': np.float64(1.5),
        'empty': np.zeros((0, 3)),
        'text': 'lrotmin',
        'bytes_like': np.array([b'ab', b'c']),
        'names': {'a', 'b'},
        'ch': base,
        'ch_used': used,
        'select': base[1:3, ::2],
        'select_flat': base.ravel()[5:9],
        'concatenate': ch.concatenate([base, ch.Ch(100 + arange(4, 2))], axis=1),
        'reshape': base.reshape((6, 4)),
        'nested': ch.concatenate([base[0:2].reshape((3, 4)), ch.Ch(arange(1, 4))], axis=0),
        'csc': sparse().tocsc(),
        'csr': sparse().tocsr(),
        'coo': sparse(),
    }


def smpl_layout(vertices=6):
    """The keys, shapes and wrappers of an official SMPL file (300 shape components cut to 12) on a toy mesh."""
    shapes = ch.Ch(arange(vertices, 3, 12) / 100)
    parents = [
        4294967295,
        0,
        0,
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        9,
        9,
        12,
        13,
        14,
        16,
        17,
        18,
        19,
        20,
        21,
    ]
    regressor = np.zeros((24, vertices))
    regressor[np.arange(24), np.arange(24) % vertices] = 1
    weights = np.zeros((vertices, 24))
    weights[np.arange(vertices), np.arange(vertices) * 3] = 1
    return {
        'v_template': ch.Ch(arange(vertices, 3)),
        'shapedirs': shapes[:, :, :11],
        'posedirs': (np.arange(vertices * 3 * 207) % 251)
        .astype(np.float32)
        .reshape(vertices, 3, 207),
        'weights': ch.Ch(weights),
        'J_regressor': sp.csc_matrix(regressor),
        'J': ch.Ch(arange(24, 3)),
        'f': np.array([[0, 1, 2], [0, 2, 3], [3, 4, 5]], dtype=np.uint32),
        'kintree_table': np.array([parents, range(24)], dtype=np.uint32),
        'bs_style': 'lbs',
        'bs_type': 'lrotmin',
    }


def main():
    tag = sys.argv[1]
    folder = os.path.dirname(os.path.abspath(__file__))
    protocols = {'py2': (0, 1, 2), 'py3': (0, 1, 2), 'np2': (2, 5)}[tag]
    files = [('chumpy_%s_protocol%d.pkl' % (tag, p), wrappers(), p) for p in protocols]
    if tag == 'py2':
        files.append(('chumpy_smpl_layout.pkl', smpl_layout(), 2))
    for name, content, protocol in files:
        with open(os.path.join(folder, name), 'wb') as file:
            pickle.dump(content, file, protocol)
        print('%s %d bytes' % (name, os.path.getsize(os.path.join(folder, name))))


if __name__ == '__main__':
    main()
