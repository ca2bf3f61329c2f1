"""Networks by name."""

from __future__ import annotations

import copy
from typing import Any

from hrtk.errors import InputError, suggestion
from hrtk.models.estimators import Estimator
from hrtk.models.lifting import MPMStage1, MPMStage2
from hrtk.models.temporal import VIBE, TemporalNetwork
from hrtk.registry import ESTIMATORS, LIFTERS, TEMPORAL, Registry

_NETWORKS: dict[str, tuple[Registry, dict[str, Any]]] = {
    # Kolotouros et al., SPIN; the body's parameters belong to SMPL, which a user adds with body=dict(file=...).
    'spin': (ESTIMATORS, dict(type='HMR', backbone=dict(type='ResNet', depth=50), body=None)),
    # Guan et al., BOA: SPIN's network with GroupNorm of four groups.
    'boa': (
        ESTIMATORS,
        dict(type='HMR', backbone=dict(type='ResNet', depth=50, norm='gn', groups=4), body=None),
    ),
    # Xu et al., RSC-Net: SPIN's network for images of any resolution, ``size`` px across the crop.
    'rsc_net': (ESTIMATORS, dict(type='RSCNet', body=None)),
    # The network of the free start model, for the bundled body.
    'hmr_r18': (
        ESTIMATORS,
        dict(
            type='HMR',
            backbone=dict(type='ResNet', depth=18, width=32),
            head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
            resolution=112,
            body=dict(type='BodyModel', file='open'),
        ),
    ),
    # Goel et al., HMR2.0 of 4D-Humans: a ViT-H and a transformer decoder. Poses drive the free body, with betas of 0,
    # until a user adds SMPL with body=dict(file=...).
    'hmr2': (ESTIMATORS, dict(type='HMR2', body=dict(type='BodyModel', file='open'))),
    # A small one of the same class, for the bundled body.
    'hmr2_small': (
        ESTIMATORS,
        dict(
            type='HMR2',
            backbone=dict(type='ViT', image_size=(112, 84), patch=14, width=192, depth=6, heads=3),
            head=dict(type='TransformerDecoderHead', width=256, depth=2, heads=4, hidden=512),
            resolution=112,
            weights_body='open',
            body=dict(type='BodyModel', file='open'),
        ),
    ),
    # Landmarks of BlazePose, lifted to the bundled body.
    'landmark_hmr': (
        ESTIMATORS,
        dict(type='LandmarkHMR', body=dict(type='BodyModel', file='open')),
    ),
    # Networks over image features of a video, those of SPIN: Choi et al., TCMR, and Wei et al., MPS-Net, over 16
    # frames; Kocabas et al., VIBE, over any number.
    'tcmr': (TEMPORAL, dict(type='TCMR')),
    'mpsnet': (TEMPORAL, dict(type='MPSNet')),
    'vibe': (TEMPORAL, dict(type='VIBE')),
    # Networks over joints, for Human3.6M with 243 frames: Zhang et al., MPM.
    'mpm_stage1': (LIFTERS, dict(type='MPMStage1')),
    'mpm_stage2': (LIFTERS, dict(type='MPMStage2')),
}


def build_model(
    name: str, **options: Any
) -> Estimator | TemporalNetwork | VIBE | MPMStage1 | MPMStage2:
    """Builds a network by name, in evaluation mode.

    Args:
        name: one of :func:`~hrtk.apis.zoo.metafiles.list_models`.
        **options: arguments of the network that replace the named ones, e.g. ``weights='checkpoint.pt'`` or
            ``body=dict(type='BodyModel', file='SMPL_NEUTRAL.pkl')``. Without ``weights`` they are random.

    Returns:
        A module: ``(B, 3, R, R)`` crops, or ``(B, 16, F)`` features for a temporal network ->
        :class:`~hrtk.structures.Prediction` with ``rotmat``, ``betas``, ``camera``. VIBE takes ``(B, T, F)`` features
        of any number of frames and predicts all of them: its fields begin with ``(B, T)``. Networks over joints take
        and return joints, see :meth:`MPMStage1.forward <hrtk.models.lifting.MPMStage1.forward>` and
        :meth:`MPMStage2.forward <hrtk.models.lifting.MPMStage2.forward>`.

    Raises:
        InputError: the name is unknown (similar names are listed), or an option is.
    """
    if name not in _NETWORKS:
        hint = suggestion(name, network_names(), count=3, cutoff=0.4)
        raise InputError(f'there is no model {name!r}. {hint}')
    registry, config = _NETWORKS[name]
    return registry.build({**config, **options}).eval()


def model_config(name: str) -> dict[str, Any]:
    """A copy of the config of a named network, for use in a config."""
    _, config = _NETWORKS[name]
    return copy.deepcopy(config)


def image_networks() -> list[str]:
    """The names of networks that map crops to bodies, sorted."""
    return sorted(name for name, (registry, _) in _NETWORKS.items() if registry is ESTIMATORS)


def network_names() -> list[str]:
    """The names that :func:`build_model` accepts, sorted."""
    return sorted(_NETWORKS)
