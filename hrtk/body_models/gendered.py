"""The male and female SMPL bodies, which some ground truth requires."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from hrtk.body_models.body import BodyModel
from hrtk.errors import InputError

GENDERS = ('male', 'female')
REGRESSOR_OPTIONS = {'extra_regressor', 'h36m_regressor'}
WHERE = (
    'Both are free for research at https://smpl.is.tue.mpg.de after registration (SMPL for Python, '
    'basicmodel_m_lbs_10_207_0_v1.0.0.pkl and basicModel_f_lbs_10_207_0_v1.0.0.pkl); copy them to exactly these '
    'paths'
)


class GenderedBodies:
    """Bodies by gender, each read at its first use.

    Args:
        files: ``male`` and ``female``, paths of SMPL files; ``extra_regressor`` and ``h36m_regressor`` as of
            :class:`BodyModel`.

    Raises:
        InputError: files are missing; the message names all of them.
    """

    def __init__(self, files: Mapping[str, str | Path]) -> None:
        self._regressors = {key: path for key, path in files.items() if key not in GENDERS}
        self._files = {gender: Path(files[gender]) for gender in GENDERS if gender in files}
        unknown = set(self._regressors) - REGRESSOR_OPTIONS
        if unknown or len(self._files) < 2:
            raise InputError(
                f'bodies: needs male=... and female=..., and may have extra_regressor and h36m_regressor; '
                f'it has {sorted(files)}'
            )
        missing = [str(path) for path in self._files.values() if not path.is_file()]
        if missing:
            raise InputError(f'{" and ".join(missing)}: no such body file. {WHERE}')
        self._bodies: dict[str, BodyModel] = {}

    def get(self, gender: str, like: Optional[BodyModel] = None) -> BodyModel:
        """Returns the body of a gender.

        Args:
            gender: ``'male'`` or ``'female'``.
            like: a body of the same mesh, whose regressors replace missing ones and whose device is used.

        Raises:
            InputError: the file is broken, or its mesh is not that of ``like``.
        """
        if gender not in self._bodies:
            body = BodyModel(self._files[gender], **self._regressors)
            if like is not None:
                _adopt_regressors(body, like)
                body.to(like.template.device)
            self._bodies[gender] = body
        return self._bodies[gender]


def _adopt_regressors(body: BodyModel, like: BodyModel) -> None:
    """Sets the regressors that a body lacks to those of another body of the same mesh."""
    if like.num_vertices != body.num_vertices:
        raise InputError(
            f'{body.data.path}: has {body.num_vertices} vertices, but the body {like.data.path} that it is '
            f'compared with has {like.num_vertices}; use bodies of one mesh'
        )
    regressors = {}
    for key in ('J_regressor_extra', 'J_regressor_h36m'):
        if getattr(body.data, key) is None:
            regressors[key] = getattr(like.data, key)
    body.data = dataclasses.replace(body.data, **regressors)
