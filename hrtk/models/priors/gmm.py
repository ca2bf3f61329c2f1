"""The max-mixture pose prior: the energy of a body pose under a Gaussian mixture."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.body_models.files import load_pickle
from hrtk.errors import InputError
from hrtk.reading import regular_file
from hrtk.reading.arrays import read_arrays
from hrtk.registry import LOSSES

OPEN_GMM = Path(__file__).parent / 'assets' / 'pose_gmm.npz'
BODY_POSE = 69  # axis-angle values of joints 1..23
KEYS = ('means', 'covars', 'weights')
REMEDY = (
    "expected SMPLify's gmm_08.pkl (https://smplify.is.tue.mpg.de) or an .npz with means (K, 69), covars "
    "(K, 69, 69) and weights (K,); 'open' is the prior that ships with hrtk"
)


@LOSSES.register_module()
class GMMPosePrior(nn.Module):
    """Energy of a pose under the nearest component of a Gaussian mixture.

    Bogo et al., "Keep it SMPL", ECCV 2016, Eq. 6 with the normalisation of its released code, which SPIN, BOA and
    DynaBOA share::

        E(x) = min_k 0.5 (x - m_k)' C_k^-1 (x - m_k) - log(w_k / ((2 pi)^(D/2) sqrt(det C_k / min_j det C_j)))

    Args:
        file: ``'open'`` for the bundled mixture (fitted to the CMU clips by ``tools/fit_pose_gmm.py``), or the path
            of a file with ``means``, ``covars`` and ``weights``: SMPLify's ``gmm_08.pkl`` or an .npz.
        released: round the component weights to float32 before the logarithm, as the released code does. With
            SMPLify's file one of the eight is then zero: its energy is infinite, and poses near it get the energy of
            another component. By default the logarithm is taken in float64 and all components count.
        dtype: of the buffers; they are computed in float64 in any case.

    Raises:
        InputError: the file is not such a mixture.
    """

    means: Tensor
    whitening: Tensor
    log_weights: Tensor

    def __init__(
        self, file: str | Path = 'open', released: bool = False, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        path = Path(file)
        if str(file) == 'open':
            path = OPEN_GMM
        mixture = read_gmm(path)
        factors = _factors(mixture['covars'], path)
        log_weights = _log_weights(mixture['weights'], factors)
        if released:
            log_weights = log_weights.exp().float().log().double()
        # |L^-1 d|^2 = d' C^-1 d for C = L L'; transposed, because poses are rows.
        identity = torch.eye(factors.shape[-1], dtype=torch.float64)
        whitening = torch.linalg.solve_triangular(factors, identity, upper=False).mT
        means = torch.from_numpy(mixture['means'])
        self.register_buffer('means', means.to(dtype), persistent=False)
        self.register_buffer('whitening', whitening.to(dtype).contiguous(), persistent=False)
        self.register_buffer('log_weights', log_weights.to(dtype), persistent=False)

    def forward(self, body_pose: Tensor) -> Tensor:
        """Computes the energies of B poses.

        Args:
            body_pose: (B, 69) axis-angle of joints 1..23 in radians.

        Returns:
            (B,) energies; differentiable any number of times except where two components have the same energy.
        """
        if body_pose.ndim != 2 or body_pose.shape[1] != self.means.shape[1]:
            raise InputError(
                f'body_pose is {tuple(body_pose.shape)}, the pose prior expects '
                f'(B, {self.means.shape[1]}) axis-angle values without the global orientation'
            )
        white = (body_pose - self.means[:, None]) @ self.whitening
        return (0.5 * white.square().sum(-1) - self.log_weights[:, None]).min(dim=0).values


def read_gmm(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a mixture of K Gaussians over 69 axis-angle values.

    Args:
        path: an .npz, or a pickle of a dict, which is read without executing code from it.

    Returns:
        float64 ``means`` (K, 69), ``covars`` (K, 69, 69) and ``weights`` (K,) that sum to one.

    Raises:
        InputError: the file is missing, unreadable, or not such a mixture.
    """
    path = regular_file(path, REMEDY)
    if zipfile.is_zipfile(path):
        arrays: Mapping[str, Any] = read_arrays(path)
    else:
        arrays = load_pickle(path)
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise InputError(
            f'{path}: lacks {", ".join(missing)}, has {", ".join(map(str, arrays))}; {REMEDY}'
        )
    try:
        mixture = {key: np.array(arrays[key], np.float64) for key in KEYS}
    except (TypeError, ValueError) as error:
        raise InputError(
            f'{path}: holds something other than numbers ({error}); {REMEDY}'
        ) from error
    _check_arrays(mixture, path)
    weights = mixture['weights']
    if (weights <= 0).any() or abs(weights.sum() - 1) > 1e-3:
        raise InputError(
            f'{path}: weights must be positive and sum to 1, they are {weights.tolist()}'
        )
    mixture['weights'] = weights / weights.sum()
    return mixture


def _check_arrays(mixture: Mapping[str, np.ndarray], path: Path) -> None:
    """Raises an InputError unless the arrays have the shapes of K components and are finite."""
    components = 0
    if mixture['means'].ndim == 2:
        components = len(mixture['means'])
    shapes = {
        'means': (components, BODY_POSE),
        'covars': (components, BODY_POSE, BODY_POSE),
        'weights': (components,),
    }
    for key, shape in shapes.items():
        if components == 0 or mixture[key].shape != shape:
            raise InputError(f'{path}: {key} is {mixture[key].shape}; {REMEDY}')
        if not np.isfinite(mixture[key]).all():
            raise InputError(f'{path}: {key} holds values that are not finite; {REMEDY}')


def _factors(covars: np.ndarray, path: Path) -> Tensor:
    """Returns the (K, D, D) lower Cholesky factors of the covariances."""
    symmetric = (covars + covars.transpose(0, 2, 1)) / 2
    factors, info = torch.linalg.cholesky_ex(torch.from_numpy(symmetric))
    indefinite = torch.nonzero(info).flatten().tolist()
    if indefinite:
        raise InputError(
            f'{path}: covars of component {indefinite[0]} is not positive definite; {REMEDY}'
        )
    return factors


def _log_weights(weights: np.ndarray, factors: Tensor) -> Tensor:
    """Returns the (K,) logarithms of the normalised weights, relative to the narrowest component."""
    half_log_det = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    constant = 0.5 * factors.shape[-1] * math.log(2 * math.pi)
    return torch.from_numpy(weights).log() - constant - (half_log_det - half_log_det.min())
