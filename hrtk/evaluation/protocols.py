"""Named evaluation protocols: which joints are compared, relative to what, and on whose body.

Numbers are comparable only under protocols of the same name; every printed table names its protocol.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, Optional

from hrtk.errors import OptionError, suggestion


@dataclasses.dataclass(frozen=True)
class MeshError:
    """A definition of the per-vertex error; published definitions are not comparable with each other.

    Attributes:
        name: of the metric.
        truth: the body that the true betas are applied to: ``'own'`` (the body of their gender) or ``'neutral'``.
        aligned: whether vertices are compared relative to the root; if False, relative to the body's own origin.
    """

    name: str = 'pve_mm'
    truth: str = 'own'
    aligned: bool = True


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How predictions are compared with the ground truth.

    Attributes:
        name: printed with every table.
        summary: the protocol in words.
        joints: the compared joints, a list of :mod:`hrtk.body_models.skeletons`.
        root: joint of ``root_skeleton`` that both sides are aligned by, or several joints for their mean.
        root_skeleton: joint list that holds the root.
        genders: accepted genders of the ground truth. Scoring betas on the body of another gender would be silently
            wrong.
        truth: sources of the true joints, in order of preference: ``'body'`` (posed), ``'joints'`` (measured).
        truth_body: the body that the true betas are applied to for joints: ``'own'`` or ``'neutral'``.
        meshes: the vertex errors.
        use_valid: whether frames that the ground truth marks as invalid are left out.
        half: whether joints (in metres, with the translation) and pose of the ground truth are rounded to float16, as
            VIBE's data loader does.
        chunk: number of frames of a chunk. Only whole chunks of a sequence are scored; the rest at its end is left out.
        accel_across: whether second differences are taken over the concatenated scored frames of all sequences.
        pck: whether PCK at 150 mm and the area under its curve are reported too, in percent, root-aligned and after
            Procrustes.
        calibrated: whether errors that need the true camera are reported too, see :mod:`hrtk.evaluation.calibrated`.
        by_joint: whether the mean error of every joint is reported too.
        viewing_ray: whether predictions are turned from the axes of their crop to those of the camera before 3D
            errors are computed, see :func:`hrtk.evaluation.calibrated.crop_rotations`: ``'true'`` by the camera of the
            ground truth, ``'assumed'`` by the focal length that a user without calibration has, ``''`` not at all.
            This is a step after any estimator and adapter.
        frames: number of frames of the published numbers; tables over another number of frames say so.
    """

    name: str
    summary: str
    joints: str = 'lsp14'
    root: tuple[str, ...] = ('pelvis_mocap',)
    root_skeleton: str = 'h36m17'
    genders: tuple[str, ...] = ('neutral',)
    truth: tuple[str, ...] = ('body', 'joints')
    truth_body: str = 'own'
    meshes: tuple[MeshError, ...] = (MeshError(),)
    use_valid: bool = True
    half: bool = False
    chunk: int = 1
    accel_across: bool = False
    pck: bool = False
    calibrated: bool = False
    by_joint: bool = False
    viewing_ray: Literal['', 'true', 'assumed'] = ''
    frames: Optional[int] = None

    def __post_init__(self) -> None:
        if self.viewing_ray and not all(mesh.aligned for mesh in self.meshes):
            raise ValueError(
                f'protocol {self.name!r}: viewing_ray turns about the root, so every mesh error must be aligned'
            )


_PROTOCOLS: dict[str, Protocol] = {}


def register_protocol(protocol: Protocol) -> Protocol:
    """Registers a protocol under its name.

    Raises:
        ValueError: another protocol has this name.
    """
    if _PROTOCOLS.setdefault(protocol.name, protocol) != protocol:
        raise ValueError(f'there is another evaluation protocol called {protocol.name!r}')
    return protocol


def get_protocol(name: str) -> Protocol:
    """Returns the protocol of a name.

    Raises:
        OptionError: no such protocol is registered; the message suggests similar names.
    """
    if not isinstance(name, str) or name not in _PROTOCOLS:
        hint = suggestion(str(name), sorted(_PROTOCOLS), count=3)
        raise OptionError(f'there is no evaluation protocol {name!r}. {hint}')
    return _PROTOCOLS[name]


ANY = ('neutral', 'male', 'female')
GENDERED = 'LSP-14 joints of the H36M regressor, pelvis-aligned, truth on the gendered body'
MOCAP = 'measured joints, pelvis-aligned'

register_protocol(
    Protocol('open', 'LSP-14 joints of the H36M regressor, pelvis-aligned, neutral body')
)
register_protocol(
    Protocol(
        'open_ray',
        'as open, with predictions turned by the viewing ray of their crop to the axes of the true camera',
        viewing_ray='true',
    )
)
# Kolotouros et al., SPIN, eval.py on 3dpw_test.npz; also RSC-Net.
register_protocol(Protocol('spin_3dpw', GENDERED, genders=ANY, truth=('body',), frames=35515))
# Guan et al., BOA and DynaBOA, 3DPW #PS. Vertex errors: aligned as in CycleAdapt, then BOA's and DynaBOA's own.
register_protocol(
    Protocol(
        'boa_ps',
        f'{GENDERED}; PVE aligned, PVE of BOA unaligned, PVE of DynaBOA unaligned on the neutral body',
        genders=ANY,
        truth=('body',),
        frames=35515,
        meshes=(
            MeshError(),
            MeshError('pve_boa_mm', aligned=False),
            MeshError('pve_dynaboa_mm', 'neutral', False),
        ),
    )
)
register_protocol(
    Protocol(
        'boa_ph',
        'LSP-14 joints of the H36M regressor, pelvis-aligned, neutral bodies fitted by HMMR',
        truth=('body',),
        frames=26234,
    )
)
# Kocabas et al., VIBE, lib/core/evaluate.py on 3dpw_test_db.pt.
register_protocol(
    Protocol(
        'vibe_3dpw',
        'LSP-14 joints, mid-hip-aligned, neutral body, float16 truth, whole chunks of 16 frames, acceleration '
        'across sequences, PVE unaligned',
        root=('right_hip_mocap', 'left_hip_mocap'),
        genders=ANY,
        truth=('joints', 'body'),
        truth_body='neutral',
        meshes=(MeshError(truth='neutral', aligned=False),),
        use_valid=False,
        half=True,
        chunk=16,
        accel_across=True,
    )
)
# SPIN, eval.py: P1 every fifth frame of all cameras of S9 and S11, P2 of camera 60457274 only.
register_protocol(
    Protocol('h36m_p1', f'14 {MOCAP}; all cameras', genders=ANY, truth=('joints',), meshes=())
)
register_protocol(
    Protocol('h36m_p2', f'14 {MOCAP}; camera 60457274', genders=ANY, truth=('joints',), meshes=())
)
register_protocol(
    Protocol(
        'mpi_inf_3dhp',
        f'17 {MOCAP}',
        joints='j17',
        genders=ANY,
        truth=('joints',),
        meshes=(),
        pck=True,
    )
)
# Several calibrated cameras with joints triangulated from a 2D detector's points; docs/en/real4.md.
REAL4 = register_protocol(
    Protocol(
        'real4',
        '12 joints triangulated from 2D points (shoulders to wrists, hips to ankles), mid-hip-aligned; the hips of '
        'the body are those of LSP',
        joints='body12',
        root=('left_hip_lsp', 'right_hip_lsp'),
        root_skeleton='body12',
        genders=ANY,
        truth=('joints',),
        meshes=(),
        calibrated=True,
        by_joint=True,
    )
)
register_protocol(
    dataclasses.replace(
        REAL4,
        name='real4_ray',
        summary=f'{REAL4.summary}; predictions turned by the viewing ray of their crop, with the focal length of an '
        'unknown camera',
        viewing_ray='assumed',
    )
)
