"""Files that belong to others: what needs them, where their owners offer them, where they must lie, and checks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
from mmengine.config import Config
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hrtk.apis.zoo.building import build_model
from hrtk.body_models import load_body_file
from hrtk.datasets.base import Asset, SequenceDataset
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.datasets.official.threedpw import read_3dpw
from hrtk.datasets.official.vibe_db import read_vibe_db
from hrtk.errors import InputError
from hrtk.models.priors.gmm import read_gmm
from hrtk.registry import DATASETS

ROOT = 'data'
PRESENT, ABSENT, WRONG = 'present', 'absent', 'wrong'


def check_body(path: Path) -> str:
    """A body file on SMPL's mesh."""
    body = load_body_file(path)
    if body.v_template.shape != (6890, 3) or body.f.shape != (13776, 3):
        raise InputError(
            f'{path}: {len(body.v_template)} vertices and {len(body.f)} faces, expected 6890 and 13776'
        )
    return '6890 vertices'


def check_array(*shape: int) -> Callable[[Path], str]:
    """An .npy of this shape."""

    def check(path: Path) -> str:
        try:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f'{path}: not a plain .npy ({error})') from error
        if array.shape != shape:
            raise InputError(f'{path}: shape {array.shape}, expected {shape}')
        return ' x '.join(map(str, shape))

    return check


def check_rows(published: Optional[int] = None) -> Callable[[Path], str]:
    """A SPIN npz; says so if it has another number of rows than published results are over."""

    def check(path: Path) -> str:
        rows = len(read_spin_npz(path)['imgname'])
        return f'{rows} rows' + (
            f' (published numbers: {published})' if published not in (None, rows) else ''
        )

    return check


def check_network(name: str) -> Callable[[Path], str]:
    """A checkpoint whose every key and shape is that of a network of :func:`build_model`."""

    def check(path: Path) -> str:
        network = build_model(name, weights=str(path))
        return f'{sum(value.numel() for value in network.parameters()) / 1e6:.1f} M weights'

    return check


def check_mixture(path: Path) -> str:
    """A pose prior."""
    return f'{len(read_gmm(path)["weights"])} Gaussians'


def check_sequences(path: Path) -> str:
    """A folder of 3DPW's sequence files; every one is read."""
    files = sorted(path.glob('*.pkl'))
    tracks = [track for file in files for track in read_3dpw(file)]
    if not files:
        raise InputError(f'{path}: no sequence file (*.pkl) in this folder')
    scored = sum(int(track.valid.sum()) for track in tracks)
    return f'{len(files)} sequences, {len(tracks)} people, {scored} valid frames'


def check_pictures(path: Path) -> str:
    """A folder with pictures somewhere below it."""
    if next(path.rglob('*.jpg'), None) is None:
        raise InputError(f'{path}: no .jpg below this folder')
    return 'pictures'


def check_npz_folder(path: Path) -> str:
    """A folder of SPIN-layout npz files; every one is read."""
    files = sorted(path.glob('*.npz'))
    if not files:
        raise InputError(f'{path}: no .npz in this folder')
    return f'{len(files)} files, {sum(len(read_spin_npz(file)["imgname"]) for file in files)} rows'


def check_database(path: Path) -> str:
    """A VIBE database."""
    table = read_vibe_db(path)
    return f'{len(table["vid_name"])} rows, {len(set(table["vid_name"]))} tracks'


_SMPL, _SPIN = 'https://smpl.is.tue.mpg.de', 'https://github.com/nkolot/SPIN'
_PW3D, _H36M = 'https://virtualhumans.mpi-inf.mpg.de/3DPW', 'http://vision.imar.ro/human3.6m'
_3DHP, _BOA = 'https://vcai.mpi-inf.mpg.de/3dhp-dataset', 'https://github.com/syguan96/BOA'
_PAPER = '3DHR-Co, BOA, DynaBOA with the published networks'
_REGISTER = 'SMPL for Python after registration; rename its basicmodel_{}_lbs_10_207_0 file'
ASSETS = (
    Asset(
        'body_models/smpl/SMPL_NEUTRAL.pkl', _PAPER, _SMPL, _REGISTER.format('neutral'), check_body
    ),
    Asset(
        'body_models/smpl/SMPL_MALE.pkl',
        'ground truth of 3DPW',
        _SMPL,
        _REGISTER.format('m'),
        check_body,
    ),
    Asset(
        'body_models/smpl/SMPL_FEMALE.pkl',
        'ground truth of 3DPW',
        _SMPL,
        _REGISTER.format('f'),
        check_body,
    ),
    Asset(
        'spin/J_regressor_extra.npy',
        _PAPER,
        _SPIN,
        'its data archive (fetch_data.sh)',
        check_array(9, 6890),
    ),
    Asset('spin/J_regressor_h36m.npy', _PAPER, _SPIN, 'its data archive', check_array(17, 6890)),
    Asset(
        'spin/gmm_08.pkl',
        'pose prior of BOA and DynaBOA',
        'https://smplify.is.tue.mpg.de',
        "SMPLify's code after registration; also in SPIN's data archive",
        check_mixture,
    ),
    Asset(
        'spin/model_checkpoint.pt',
        '3DHR-Co, SPIN',
        _SPIN,
        'its data archive',
        check_network('spin'),
    ),
    Asset(
        'rsc_net/RSC-Net.pt',
        '3DHR-Co, RSC-Net',
        'https://github.com/xuxy09/RSC-Net',
        'its pretrained model',
        check_network('rsc_net'),
    ),
    Asset(
        'boa/basemodel.pt', 'BOA, DynaBOA', _BOA, 'its pretrained base model', check_network('boa')
    ),
    Asset(
        'mpsnet/mpsnet_model_best.pth.tar',
        '3DHR-Co, teacher MPN',
        'https://github.com/MPS-Net/MPS-Net_release',
        'its data archive',
        check_network('mpsnet'),
    ),
    Asset(
        'tcmr/tcmr_table6_3dpw_test.pth.tar',
        '3DHR-Co, teacher TCMR',
        'https://github.com/hongsukchoi/TCMR_RELEASE',
        'its pretrained models',
        check_network('tcmr'),
    ),
    Asset(
        '3dpw/sequenceFiles/test',
        '3DPW',
        _PW3D,
        'sequenceFiles.zip after accepting its licence',
        check_sequences,
    ),
    Asset('3dpw/imageFiles', '3DPW', _PW3D, 'imageFiles.zip', check_pictures),
    Asset(
        'spin/3dpw_test.npz',
        'protocol spin_3dpw',
        _SPIN,
        'its data archive, or tools/prepare_dataset.py 3dpw',
        check_rows(35515),
    ),
    Asset(
        'boa/3dpw_vid',
        'protocol boa_ps',
        _BOA,
        "BOA's script, or tools/prepare_dataset.py 3dpw",
        check_npz_folder,
    ),
    Asset(
        'boa/3dpw_ph.npz',
        'protocol boa_ph',
        'https://github.com/akanazawa/human_dynamics',
        "nobody offers it; make it from HMMR's records",
        check_rows(26234),
    ),
    Asset(
        'vibe/vibe_model_wo_3dpw.pth.tar',
        'VIBE',
        'https://github.com/mkocabas/VIBE',
        'its pretrained models',
        check_network('vibe'),
    ),
    Asset(
        'vibe/3dpw_test_db.pt',
        'protocol vibe_3dpw',
        'https://github.com/mkocabas/VIBE',
        "VIBE's or TCMR's preprocessed data",
        check_database,
    ),
    Asset(
        'spin/h36m_valid_protocol1.npz', 'protocol h36m_p1', _SPIN, 'its data archive', check_rows()
    ),
    Asset(
        'spin/h36m_valid_protocol2.npz', 'protocol h36m_p2', _SPIN, 'its data archive', check_rows()
    ),
    Asset(
        'spin/h36m_train.npz',
        'source of BOA, exemplars of DynaBOA',
        _H36M,
        "SPIN's script; tools/prepare_dataset.py h36m adds bodies",
        check_rows(),
    ),
    Asset(
        'h36m/images',
        'Human3.6M',
        _H36M,
        "the videos after registration, cut into pictures by SPIN's script",
        check_pictures,
    ),
    Asset(
        'spin/mpi_inf_3dhp_test.npz',
        'protocol mpi_inf_3dhp',
        _SPIN,
        'its data archive, or tools/prepare_dataset.py 3dhp',
        check_rows(),
    ),
    Asset(
        'mpi_inf_3dhp/mpi_inf_3dhp_test_set',
        'MPI-INF-3DHP',
        _3DHP,
        'its test set after accepting its licence',
        check_pictures,
    ),
)


def known_assets() -> list[Asset]:
    """:data:`ASSETS` and the assets that registered data sets declare, plugins included, each path once."""
    assets = {asset.path: asset for asset in ASSETS}
    for name in DATASETS.names():
        dataset = DATASETS.get(name)
        if isinstance(dataset, type) and issubclass(dataset, SequenceDataset):
            for asset in dataset.assets:
                assets.setdefault(asset.path, asset)
    return list(assets.values())


def status(asset: Asset, root: str | Path = ROOT, verify: bool = True) -> tuple[str, str]:
    """``('present' | 'absent' | 'wrong', what was found)``.

    Args:
        asset: of :func:`known_assets`.
        root: the data folder.
        verify: also read the file.
    """
    path = Path(root) / asset.path
    if not path.exists():
        return ABSENT, ''
    try:
        return PRESENT, asset.check(path) if verify else ''
    except InputError as error:
        return WRONG, str(error)


def missing_assets(cfg: Config | dict) -> list[Asset]:
    """The assets that a config names and that are not there, each once, in the order of :func:`known_assets`.

    A folder that a config names (``data/3dpw``) stands for every asset below it.
    """
    named = {Path(text) for text in _strings(cfg.to_dict() if isinstance(cfg, Config) else cfg)}
    return [
        asset
        for asset in known_assets()
        if not (Path(ROOT) / asset.path).exists()
        and any(
            path in named
            for path in (Path(ROOT) / asset.path, *(Path(ROOT) / asset.path).parents[:-2])
        )
    ]


def require_assets(cfg: Config | dict) -> None:
    """Insists that every licensed file of a config is there.

    Raises:
        InputError: with all that are missing at once, where each is to be had and where it must lie.
    """
    missing = missing_assets(cfg)
    if missing:
        lines = [
            f'  {Path(ROOT) / asset.path}\n      {asset.how}: {asset.home}' for asset in missing
        ]
        count = (
            f'{len(missing)} files or folders that' if len(missing) > 1 else 'a file or folder that'
        )
        raise InputError(
            '\n'.join(
                [
                    f'this config needs {count} hrtk may not ship, from their owners:',
                    *lines,
                    'tools/check_assets.py lists and checks all of them. The same method on free data '
                    'and weights: the configs whose names end in _open.py or _wild.py.',
                ]
            )
        )


def print_assets(
    root: str | Path = ROOT, verify: bool = True, console: Optional[Console] = None
) -> bool:
    """Prints the table of all assets.

    Returns:
        Whether everything that is there is what it should be.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title=f'in {root}', show_lines=True)
    for column in ('file', 'needed by', 'where to get it', 'state'):
        table.add_column(column, overflow='fold')  # addresses must stay whole
    fine, style = True, {PRESENT: 'green', ABSENT: 'yellow', WRONG: 'red'}
    for asset in known_assets():
        state, found = status(asset, root, verify)
        fine &= state != WRONG
        table.add_row(
            asset.path,
            asset.need,
            escape(f'{asset.home}\n{asset.how}'),
            f'[{style[state]}]{state}[/]\n{escape(found)}',
        )
    console.print(table)
    return fine


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []
