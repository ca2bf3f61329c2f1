"""The male and female SMPL bodies, which some ground truth belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from hrtk.body_models.body import BodyModel
from hrtk.errors import InputError

GENDERS = ('male', 'female')
WHERE = (
    'Both are free for research at https://smpl.is.tue.mpg.de after registration (SMPL for Python, '
    'basicmodel_m_lbs_10_207_0_v1.0.0.pkl and basicModel_f_lbs_10_207_0_v1.0.0.pkl); copy them to exactly these '
    'paths'
)


class GenderedBodies:
    """Bodies by gender, each read when it is first asked for.

    Args:
        files: ``male`` and ``female``, paths of SMPL files; ``extra_regressor`` and ``h36m_regressor`` as of
            :class:`BodyModel`.

    Raises:
        InputError: a file is missing; all missing ones are named at once.
    """

    def __init__(self, files: Mapping[str, str | Path]) -> None:
        self._regressors = {key: path for key, path in files.items() if key not in GENDERS}
        self._files = {gender: Path(files[gender]) for gender in GENDERS if gender in files}
        unknown = set(self._regressors) - {'extra_regressor', 'h36m_regressor'}
        if unknown or len(self._files) < 2:
            raise InputError(
                f'bodies: needs male=... and female=..., and may name extra_regressor and h36m_regressor; '
                f'it has {sorted(files)}'
            )
        missing = [str(path) for path in self._files.values() if not path.is_file()]
        if missing:
            raise InputError(f'{" and ".join(missing)}: no such body file. {WHERE}')
        self._bodies: dict[str, BodyModel] = {}

    def get(self, gender: str, like: BodyModel | None = None) -> BodyModel:
        """The body of a gender.

        Args:
            gender: ``'male'`` or ``'female'``.
            like: a body of the same mesh, whose regressors stand in for those that were not named, and whose device
                is taken.

        Raises:
            InputError: the file is broken, or its mesh is not that of ``like``.
        """
        if gender not in self._bodies:
            body = BodyModel(self._files[gender], **self._regressors)
            if like is not None:
                if like.num_vertices != body.num_vertices:
                    raise InputError(
                        f'{self._files[gender]}: has {body.num_vertices} vertices, the body '
                        f'{like.data.path} that it is compared with {like.num_vertices}; take bodies of '
                        f'one mesh'
                    )
                borrowed = {
                    key: getattr(like.data, key)
                    for key in ('J_regressor_extra', 'J_regressor_h36m')
                    if getattr(body.data, key) is None
                }
                body.data = dataclasses.replace(body.data, **borrowed)
                body.to(like.template.device)
            self._bodies[gender] = body
        return self._bodies[gender]
