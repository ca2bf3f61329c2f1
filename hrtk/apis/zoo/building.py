"""Networks by name."""

from __future__ import annotations

import copy
import difflib
from typing import Any

from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.models.lifting import MPMStage1, MPMStage2
from hrtk.models.temporal import VIBE, TemporalNetwork
from hrtk.registry import ESTIMATORS, LIFTERS, TEMPORAL

_MODELS: dict[str, dict[str, Any]] = {
    # Kolotouros et al., SPIN; its parameters belong to SMPL, which a user adds with body=dict(file=...).
    'spin': dict(type='HMR', backbone=dict(type='ResNet', depth=50), body=None),
    # The network of Guan et al., BOA: SPIN's with GroupNorm of four groups.
    'boa': dict(type='HMR', backbone=dict(type='ResNet', depth=50, norm='gn', groups=4), body=None),
    # Xu et al., RSC-Net: SPIN's network for pictures of any size, ``size`` px across the crop.
    'rsc_net': dict(type='RSCNet', body=None),
    # The free start model's network, for the bundled body.
    'hmr_r18': dict(
        type='HMR',
        backbone=dict(type='ResNet', depth=18, width=32),
        head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
        resolution=112,
        body=dict(type='BodyModel', file='open'),
    ),
}
# Networks over image features of a video, those of SPIN: Choi et al., TCMR, and Wei et al., MPS-Net, over 16 frames;
# Kocabas et al., VIBE, over any number.
_TEMPORAL: dict[str, dict[str, Any]] = {
    'tcmr': dict(type='TCMR'),
    'mpsnet': dict(type='MPSNet'),
    'vibe': dict(type='VIBE'),
}
# Networks over joints, for Human3.6M with 243 frames: Zhang et al., MPM.
_LIFTERS: dict[str, dict[str, Any]] = {
    'mpm_stage1': dict(type='MPMStage1'),
    'mpm_stage2': dict(type='MPMStage2'),
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
        and return joints: :meth:`MPMStage1.forward <hrtk.models.lifting.MPMStage1.forward>` and
        :meth:`MPMStage2.forward <hrtk.models.lifting.MPMStage2.forward>` say which.

    Raises:
        InputError: the name is unknown (near names are listed), or an option is.
    """
    known = {**_MODELS, **_TEMPORAL, **_LIFTERS}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = (
            f'did you mean {" or ".join(map(repr, near))}?'
            if near
            else f'known: {", ".join(network_names())}'
        )
        raise InputError(f'there is no model {name!r}; {hint}')
    registry = TEMPORAL if name in _TEMPORAL else LIFTERS if name in _LIFTERS else ESTIMATORS
    return registry.build({**known[name], **options}).eval()


def model_config(name: str) -> dict[str, Any]:
    """The config behind a name of :func:`list_models`, for use in a config."""
    return copy.deepcopy({**_MODELS, **_TEMPORAL, **_LIFTERS}[name])


def network_names() -> list[str]:
    """Names that :func:`build_model` knows, sorted."""
    return sorted({**_MODELS, **_TEMPORAL, **_LIFTERS})
