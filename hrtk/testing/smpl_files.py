"""The free body and random weights in the files of SMPL, SPIN and their successors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hrtk.body_models import load_body_file
from hrtk.body_models.files import BodyData
from hrtk.body_models.skeletons import SMPL_VERTEX_IDS
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm

VERTICES = 6890
FACES = 13776
HEIGHTS = {'NEUTRAL': 1.0, 'MALE': 1.04, 'FEMALE': 0.95}  # relative to the free body
REGRESSORS = ('J_regressor_extra', 'J_regressor_h36m')
PICKLE_PROTOCOL = 2  # of the official files, which Python 2 wrote

# SPIN's mean parameters: the pose of one joint as (3, 2) in rows, and the camera.
MEAN_ROT6D = (1.0, 0, 0, 1, 0, 0)
MEAN_CAMERA = (0.9, 0, 0)


def write_body_files(root: str | Path) -> None:
    """Writes ``body_models/smpl/SMPL_{NEUTRAL,MALE,FEMALE}.pkl`` and SPIN's small files below a ``data`` folder.

    The bodies are the free body with its vertices repeated up to SMPL's 6890, the vertices that SPIN picks at their
    indices; male and female differ from it in height. All joints of :mod:`hrtk.body_models.skeletons` exist.

    Args:
        root: the ``data`` folder; ``spin/J_regressor_extra.npy``, ``spin/J_regressor_h36m.npy``,
            ``spin/smpl_mean_params.npz`` and ``spin/gmm_08.pkl`` are written, too.
    """
    bodies = Path(root) / 'body_models' / 'smpl'
    spin = Path(root) / 'spin'
    bodies.mkdir(parents=True, exist_ok=True)
    spin.mkdir(parents=True, exist_ok=True)
    free = load_body_file('open')
    source = _source_vertices(free)
    for gender, height in HEIGHTS.items():
        _write_pickle(bodies / f'SMPL_{gender}.pkl', _smpl(free, source, height))
    for name in REGRESSORS:
        regressor = _spread(getattr(free, name), source)
        np.save(spin / f'{name}.npy', regressor.astype(np.float64))
    np.savez(
        spin / 'smpl_mean_params.npz',
        pose=np.tile(np.array(MEAN_ROT6D, np.float32), 24),
        shape=np.zeros(10, np.float32),
        cam=np.array(MEAN_CAMERA, np.float32),
    )
    mixture = read_gmm(OPEN_GMM)
    content = {key: mixture[key] for key in ('means', 'covars', 'weights')}
    _write_pickle(spin / 'gmm_08.pkl', content)


def write_checkpoint(
    network: nn.Module, path: str | Path, wrapper: str = 'model', prefix: str = ''
) -> None:
    """Saves a network's weights under its official key names.

    Args:
        network: one of hrtk's.
        path: the file, e.g. ``data/spin/model_checkpoint.pt``; missing folders are created.
        wrapper: key that holds the state dict: ``'model'`` (SPIN, BOA), ``'gen_state_dict'`` (VIBE, TCMR, MPS-Net) or
            ``''`` for a bare one (RSC-Net).
        prefix: in front of every key; ``'module.'`` in BOA's.
    """
    content: dict[str, Any] = {}
    for key, value in network.state_dict().items():
        content[prefix + _official_key(network, key)] = value
    if wrapper:
        content = {wrapper: content}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def _official_key(network: nn.Module, key: str) -> str:
    """The official form of a key: the one that the network translates back to it."""
    translate = getattr(network, 'official_key', None)
    if translate is None:
        return key
    bare = key.removeprefix('backbone.').removeprefix('head.')
    for official in (bare, f'regressor.{bare}', f'encoder.{bare}'):
        if translate(official) == key:
            return official
    return key


def _source_vertices(free: BodyData) -> np.ndarray:
    """(6890,) the vertex of the free body at every vertex of SMPL."""
    source = np.arange(VERTICES) % len(free.v_template)
    for name, vertex in SMPL_VERTEX_IDS.items():
        source[vertex] = free.vertex_ids[name]
    return source


def _smpl(free: BodyData, source: np.ndarray, height: float) -> dict[str, Any]:
    """The content of a file of SMPL."""
    first = np.full(len(free.v_template), -1)
    first[source[::-1]] = np.arange(VERTICES)[::-1]
    tree = free.kintree_table.astype(np.int64).copy()
    tree[0, 0] = 2**32 - 1
    return {
        'v_template': height * free.v_template[source].astype(np.float64),
        'shapedirs': free.shapedirs[source],
        'posedirs': free.posedirs[source].astype(np.float32),
        'weights': free.weights[source].astype(np.float64),
        'J_regressor': _spread(free.J_regressor, source),
        'f': np.resize(first[free.f], (FACES, 3)).astype(np.uint32),
        'kintree_table': tree.astype(np.uint32),
        'bs_style': 'lbs',
        'bs_type': 'lrotmin',
    }


def _spread(regressor: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Columns of the free body, each at the first of its vertices among SMPL's."""
    _, first = np.unique(source, return_index=True)
    spread = np.zeros((len(regressor), VERTICES), regressor.dtype)
    spread[:, first] = regressor
    return spread


def _write_pickle(path: Path, content: Any) -> None:
    path.write_bytes(pickle.dumps(content, PICKLE_PROTOCOL))
