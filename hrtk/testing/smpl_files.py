"""The free body and random weights in the files of SMPL, SPIN and their successors."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hrtk.body_models import load_body_file
from hrtk.body_models.files import BodyData
from hrtk.body_models.skeletons import SMPL_VERTEX_IDS
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm
from hrtk.testing.python2_pickle import Chumpy, ChumpySelect, Sparse, dump_python2

VERTICES = 6890
FACES = 13776
HEIGHTS = {'NEUTRAL': 1.0, 'MALE': 1.04, 'FEMALE': 0.95}  # relative to the free body
REGRESSORS = ('J_regressor_extra', 'J_regressor_h36m')
# What VIBE, TCMR and MPS-Net save of the body model beside their weights.
EMBEDDED_BODY = {
    'betas': (64, 10),
    'global_orient': (64, 3),
    'body_pose': (64, 69),
    'faces_tensor': (FACES, 3),
    'v_template': (VERTICES, 3),
    'shapedirs': (VERTICES, 3, 10),
    'J_regressor': (24, VERTICES),
    'posedirs': (207, 3 * VERTICES),
    'parents': (24,),
    'lbs_weights': (VERTICES, 24),
    'vertex_joint_selector.extra_joints_idxs': (21,),
    'J_regressor_extra': (9, VERTICES),
}

# SPIN's mean parameters: the pose of one joint as (3, 2) in rows, and the camera.
MEAN_ROT6D = (1.0, 0, 0, 1, 0, 0)
MEAN_CAMERA = (0.9, 0, 0)


def write_body_files(root: str | Path) -> None:
    """Writes ``body_models/smpl/SMPL_{NEUTRAL,MALE,FEMALE}.pkl`` and SPIN's small files below a ``data`` folder.

    The bodies are the free body with its vertices repeated up to SMPL's 6890, the vertices that SPIN picks at their
    indices; male and female differ from it in height. All joints of :mod:`hrtk.body_models.skeletons` exist. The files
    are pickles of Python 2: arrays of chumpy, matrices of scipy, and the keys that nobody reads.

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
        dump_python2(_smpl(free, source, height), bodies / f'SMPL_{gender}.pkl')
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
    dump_python2(content, spin / 'gmm_08.pkl')


def write_checkpoint(
    network: nn.Module, path: str | Path, wrapper: str = 'model', prefix: str = ''
) -> None:
    """Saves a network's weights under its official key names, with what stands beside them in the official file.

    The file has torch's older layout, as those of SPIN, VIBE, TCMR and MPS-Net. A ``'gen_state_dict'`` also holds the
    buffers of a body model, and stands beside a numpy scalar of a numpy before 2.

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
    if wrapper == 'gen_state_dict':
        for name, shape in EMBEDDED_BODY.items():
            content[f'regressor.smpl.{name}'] = torch.zeros(shape)
        content = {wrapper: content, 'epoch': 7, 'performance': np.float32(56.5)}
    elif wrapper:
        content = {wrapper: content, 'epoch': 7, 'batch_idx': 0, 'batch_size': 64}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=False)
    data = stream.getvalue().replace(b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n')
    path.write_bytes(data)


def _official_key(network: nn.Module, key: str) -> str:
    """The official form of a key: the one that the network translates back to it."""
    translate = getattr(network, 'official_key', None)
    if translate is None:
        return key
    if key.startswith('regressor.'):
        return key
    candidates = (
        key.removeprefix('backbone.').removeprefix('head.'),
        key.replace('projection.', 'layer4_mlp.', 1),  # RSC-Net
        f'nonlocalblock.{key.removeprefix("moca.")}',  # MPS-Net
        f'encoder.{key}',
    )
    for official in candidates:
        if official != key and translate(official) == key:
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
    regressor = _spread(free.J_regressor, source).astype(np.float64)
    template = height * free.v_template[source].astype(np.float64)
    used = free.shapedirs[source].astype(np.float64)
    # The released neutral file has ten components; the others are a selection of all that were trained.
    shapes: Chumpy | ChumpySelect = Chumpy(used)
    if height != HEIGHTS['NEUTRAL']:
        trained = np.concatenate([used, np.zeros((VERTICES, 3, 2))], axis=2)
        picked = np.arange(trained.size).reshape(trained.shape)[..., : used.shape[2]]
        shapes = ChumpySelect(trained, picked.ravel(), used.shape)
    return {
        'J_regressor_prior': Sparse(regressor),
        'f': np.resize(first[free.f], (FACES, 3)).astype(np.uint32),
        'J_regressor': Sparse(regressor),
        'kintree_table': tree.astype(np.uint32),
        'J': Chumpy(regressor @ template),
        'weights_prior': free.weights[source].astype(np.float64),
        'weights': Chumpy(free.weights[source].astype(np.float64)),
        'vert_sym_idxs': np.arange(VERTICES),
        'posedirs': Chumpy(free.posedirs[source].astype(np.float64)),
        'pose_training_info': {'training_type': 'lrotmin', 'regression': 'ridge'},
        'bs_style': 'lbs',
        'v_template': Chumpy(template),
        'shapedirs': shapes,
        'bs_type': 'lrotmin',
    }


def _spread(regressor: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Columns of the free body, each at the first of its vertices among SMPL's."""
    _, first = np.unique(source, return_index=True)
    spread = np.zeros((len(regressor), VERTICES), regressor.dtype)
    spread[:, first] = regressor
    return spread
