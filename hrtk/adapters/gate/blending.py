"""Predictions between two predictions."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.structures import Prediction


def blend(frozen: Prediction, adapted: Prediction, weight: Tensor) -> Prediction:
    """Goes from one prediction towards another.

    Every rotation goes along the shortest arc of SO(3): ``R = R_frozen exp(w log(R_frozen^T R_adapted))``. Betas and
    camera are linear. A weight of 0 or 1 gives the digits of one of the two. Other fields are those of ``adapted``,
    except features, hidden and latent, which belong to one network alone and are left out.

    Args:
        frozen: B predictions.
        adapted: B predictions.
        weight: (B,) from 0, ``frozen``, to 1, ``adapted``.
    """
    share = weight[:, None, None]
    relative = rotmat_to_axis_angle(frozen.rotmat.mT @ adapted.rotmat)
    between = Prediction(
        rotmat=frozen.rotmat @ axis_angle_to_rotmat(share * relative),
        betas=torch.lerp(frozen.betas, adapted.betas, weight[:, None]),
        camera=torch.lerp(frozen.camera, adapted.camera, weight[:, None]),
    )
    values: dict[str, Any] = {}
    for name in ('rotmat', 'betas', 'camera'):
        value = getattr(between, name)
        column = weight.reshape(-1, *[1] * (value.ndim - 1))
        value = torch.where(column >= 1, getattr(adapted, name), value)
        values[name] = torch.where(column <= 0, getattr(frozen, name), value)
    return dataclasses.replace(
        adapted, **values, features=None, hidden=None, latent=None, adapted_share=weight
    )
