"""The free body and random weights in the files of SMPL, SPIN and their successors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hrtk.body_models import load_body_file
from hrtk.body_models.files import BodyData
from hrtk.body_models.skeletons import SMPL_VERTEX_IDS
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm

VERTICES, FACES = 6890, 13776
HEIGHT = {'NEUTRAL': 1.0, 'MALE': 1.04, 'FEMALE': 0.95}  # of the free body's
SPIN_START = ((1.0, 0, 0, 1, 0, 0), (0.9, 0, 0))  # pose of one joint as (3, 2) in rows, and camera


def write_body_files(root: str | Path) -> None:
    """Writes ``body_models/smpl/SMPL_{NEUTRAL,MALE,FEMALE}.pkl`` and SPIN's small files below a ``data`` folder.

    The bodies are the free one with its vertices repeated up to SMPL's 6890, the vertices that SPIN picks in their
    places; male and female differ from it in height. All joints of :mod:`hrtk.body_models.skeletons` exist.

    Args:
        root: the ``data`` folder; ``spin/J_regressor_extra.npy``, ``spin/J_regressor_h36m.npy``,
            ``spin/smpl_mean_params.npz`` and ``spin/gmm_08.pkl`` are written, too.
    """
    bodies, spin = Path(root) / 'body_models' / 'smpl', Path(root) / 'spin'
    bodies.mkdir(parents=True, exist_ok=True)
    spin.mkdir(parents=True, exist_ok=True)
    free = load_body_file('open')
    source = np.arange(VERTICES) % len(free.v_template)
    for name, vertex in SMPL_VERTEX_IDS.items():
        source[vertex] = free.vertex_ids[name]
    for gender, height in HEIGHT.items():
        content = _smpl(free, source, height)
        (bodies / f'SMPL_{gender}.pkl').write_bytes(pickle.dumps(content, 2))
    for name in ('J_regressor_extra', 'J_regressor_h36m'):
        np.save(spin / f'{name}.npy', _spread(getattr(free, name), source).astype(np.float64))
    pose, camera = SPIN_START
    np.savez(
        spin / 'smpl_mean_params.npz',
        pose=np.tile(np.float32(pose), 24),
        shape=np.zeros(10, np.float32),
        cam=np.float32(camera),
    )
    mixture = read_gmm(OPEN_GMM)
    (spin / 'gmm_08.pkl').write_bytes(
        pickle.dumps({key: mixture[key] for key in ('means', 'covars', 'weights')}, 2)
    )


def write_checkpoint(
    network: nn.Module, path: str | Path, wrapper: str = 'model', prefix: str = ''
) -> None:
    """Saves a network's weights under its official key names.

    Args:
        network: one of hrtk's.
        path: the file, e.g. ``data/spin/model_checkpoint.pt``; folders are made.
        wrapper: key that holds the state dict: ``'model'`` (SPIN, BOA), ``'gen_state_dict'`` (VIBE, TCMR, MPS-Net) or
            ``''`` for a bare one (RSC-Net).
        prefix: in front of every key; ``'module.'`` in BOA's.
    """
    translate = getattr(network, 'official_key', lambda key: key)
    state = {}
    for key, value in network.state_dict().items():
        bare = key.removeprefix('backbone.').removeprefix('head.')
        forms = (bare, f'regressor.{bare}', f'encoder.{bare}', key)
        state[prefix + next((form for form in forms if translate(form) == key), key)] = value
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save({wrapper: state} if wrapper else state, path)


def _smpl(free: BodyData, source: np.ndarray, height: float) -> dict[str, np.ndarray]:
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
