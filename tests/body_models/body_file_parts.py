"""Body files in the official and in the open layout, written by hand."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import scipy.sparse

DATA = Path(__file__).parents[1] / 'data'
PARENTS = (0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def arange(*shape):
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


def official(vertices=30, components=10):
    rng = np.random.default_rng(0)
    weights = rng.random((vertices, 24))
    return {
        'v_template': rng.standard_normal((vertices, 3)),
        'shapedirs': rng.standard_normal((vertices, 3, components)),
        'posedirs': rng.standard_normal((vertices, 3, 207)),
        'weights': weights / weights.sum(1, keepdims=True),
        'J_regressor': rng.random((24, vertices)),
        'f': rng.integers(0, vertices, (50, 3)).astype(np.uint32),
        'kintree_table': np.array([(2**32 - 1, *PARENTS), range(24)], dtype=np.uint32),
    }


def open_format(vertices=30):
    """A file in the compact layout, and the dense arrays that it stands for."""
    rng = np.random.default_rng(1)
    raw = {
        'format': 'hrtk-body-1',
        'v_template': rng.random((vertices, 3)).astype(np.float32),
        'shapedirs': rng.random((vertices, 3, 10)).astype(np.float16),
        'posedirs': rng.random((vertices, 3, 207)).astype(np.float16),
        'weight_index': np.array([[3, 7, 0, 0]] * vertices, np.uint8),
        'weight_value': np.array([[0.25, 0.75, 0, 0]] * vertices, np.float16),
        'faces': rng.integers(0, vertices, (20, 3)).astype(np.uint16),
        'parents': np.array((-1, *PARENTS), np.int8),
        'mirror': np.arange(vertices)[::-1].astype(np.uint16),
        'vertex_names': np.array(['nose', 'left_heel']),
        'vertex_ids': np.array([5, 8], np.uint16),
        'licence': 'CC0-1.0',
    }
    dense = {}
    for name, rows in (('J_regressor', 24), ('J_regressor_extra', 9), ('J_regressor_h36m', 17)):
        matrix = scipy.sparse.random(
            rows, vertices, density=0.2, random_state=2, dtype=np.float32
        ).tocoo()
        raw.update(
            {
                f'{name}_row': matrix.row.astype(np.uint8),
                f'{name}_col': matrix.col.astype(np.uint16),
                f'{name}_val': matrix.data,
            }
        )
        dense[name] = matrix.toarray()
    return raw, dense


def write(path, content, protocol=2):
    if path.suffix == '.npz':
        np.savez_compressed(path, **content)
    else:
        path.write_bytes(pickle.dumps(content, protocol))
    return path


class Call:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call
