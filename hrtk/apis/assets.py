"""Licensed files of other owners: what needs them, where to get them, where they must lie, and their checks."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from mmengine.config import Config
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hrtk.apis.asset_checks import (
    check_array,
    check_backbone,
    check_body,
    check_clips,
    check_database,
    check_images,
    check_masks,
    check_mixture,
    check_motion,
    check_network,
    check_npz_folder,
    check_pattern,
    check_rows,
    check_sequences,
    check_surreal,
)
from hrtk.apis.asset_configs import files_of_configs, strings_in
from hrtk.apis.console import output_console
from hrtk.datasets.base import Asset, SequenceDataset
from hrtk.errors import InputError
from hrtk.registry import DATASETS

ROOT = 'data'
PRESENT = 'present'
ABSENT = 'absent'
WRONG = 'wrong'
STYLES = {PRESENT: 'green', ABSENT: 'yellow', WRONG: 'red'}


SMPL = 'https://smpl.is.tue.mpg.de'
SPIN = 'https://github.com/nkolot/SPIN'
PW3D = 'https://virtualhumans.mpi-inf.mpg.de/3DPW'
H36M = 'http://vision.imar.ro/human3.6m'
MPI_INF_3DHP = 'https://vcai.mpi-inf.mpg.de/3dhp-dataset'
BOA = 'https://github.com/syguan96/BOA'
VIBE = 'https://github.com/mkocabas/VIBE'
ONLINE_METHODS = '3DHR-Co, BOA, DynaBOA with the published networks'
RENAME = 'SMPL for Python after registration; rename its basicmodel_{}_lbs_10_207_0 file'
ASSETS = (
    Asset(
        path='body_models/smpl/SMPL_NEUTRAL.pkl',
        needed_by=ONLINE_METHODS,
        url=SMPL,
        instructions=RENAME.format('neutral'),
        check=check_body,
    ),
    Asset(
        path='body_models/smpl/SMPL_MALE.pkl',
        needed_by='ground truth of 3DPW',
        url=SMPL,
        instructions=RENAME.format('m'),
        check=check_body,
    ),
    Asset(
        path='body_models/smpl/SMPL_FEMALE.pkl',
        needed_by='ground truth of 3DPW',
        url=SMPL,
        instructions=RENAME.format('f'),
        check=check_body,
    ),
    Asset(
        path='spin/J_regressor_extra.npy',
        needed_by=ONLINE_METHODS,
        url=SPIN,
        instructions='its data archive (fetch_data.sh)',
        check=check_array(9, 6890),
    ),
    Asset(
        path='spin/J_regressor_h36m.npy',
        needed_by=ONLINE_METHODS,
        url=SPIN,
        instructions='its data archive',
        check=check_array(17, 6890),
    ),
    Asset(
        path='spin/gmm_08.pkl',
        needed_by='pose prior of BOA and DynaBOA',
        url='https://smplify.is.tue.mpg.de',
        instructions="SMPLify's code after registration; also in SPIN's data archive",
        check=check_mixture,
    ),
    Asset(
        path='spin/model_checkpoint.pt',
        needed_by='3DHR-Co, SPIN',
        url=SPIN,
        instructions='its data archive',
        check=check_network('spin'),
    ),
    Asset(
        path='rsc_net/RSC-Net.pt',
        needed_by='3DHR-Co, RSC-Net',
        url='https://github.com/xuxy09/RSC-Net',
        instructions='its pretrained model',
        check=check_network('rsc_net'),
    ),
    Asset(
        path='boa/basemodel.pt',
        needed_by='BOA, DynaBOA',
        url=BOA,
        instructions='its pretrained base model',
        check=check_network('boa'),
    ),
    Asset(
        path='mpsnet/mpsnet_model_best.pth.tar',
        needed_by='3DHR-Co, teacher MPN',
        url='https://github.com/MPS-Net/MPS-Net_release',
        instructions='its data archive',
        check=check_network('mpsnet'),
    ),
    Asset(
        path='tcmr/tcmr_table6_3dpw_test.pth.tar',
        needed_by='3DHR-Co, teacher TCMR',
        url='https://github.com/hongsukchoi/TCMR_RELEASE',
        instructions='its pretrained models',
        check=check_network('tcmr'),
    ),
    Asset(
        path='3dpw/sequenceFiles/test',
        needed_by='3DPW',
        url=PW3D,
        instructions='sequenceFiles.zip after accepting its licence',
        check=check_sequences,
    ),
    Asset(
        path='3dpw/imageFiles',
        needed_by='3DPW',
        url=PW3D,
        instructions='imageFiles.zip',
        check=check_images,
    ),
    Asset(
        path='spin/3dpw_test.npz',
        needed_by='protocol spin_3dpw',
        url=SPIN,
        instructions='its data archive, or tools/prepare_dataset.py 3dpw',
        check=check_rows(35515),
    ),
    Asset(
        path='boa/3dpw_vid',
        needed_by='protocol boa_ps',
        url=BOA,
        instructions="BOA's script, or tools/prepare_dataset.py 3dpw",
        check=check_npz_folder,
    ),
    Asset(
        path='boa/3dpw_ph.npz',
        needed_by='protocol boa_ph',
        url='https://github.com/akanazawa/human_dynamics',
        instructions="not offered for download; convert it from HMMR's records",
        check=check_rows(26234),
    ),
    Asset(
        path='vibe/vibe_model_wo_3dpw.pth.tar',
        needed_by='VIBE',
        url=VIBE,
        instructions='its pretrained models',
        check=check_network('vibe'),
    ),
    Asset(
        path='vibe/3dpw_test_db.pt',
        needed_by='protocol vibe_3dpw',
        url=VIBE,
        instructions="VIBE's or TCMR's preprocessed data",
        check=check_database,
    ),
    Asset(
        path='vibe/3dpw_val_db.pt',
        needed_by="VIBE's training, its validation; labelled frames of FewShotMetric",
        url=VIBE,
        instructions="VIBE's preprocessed data, or its scripts on the data set",
        check=check_clips('3dpw'),
    ),
    Asset(
        path='vibe/3dpw_train_db.pt',
        needed_by="VIBE's training with 3DPW",
        url=VIBE,
        instructions="VIBE's preprocessed data, or its scripts on the data set",
        check=check_clips('3dpw'),
    ),
    Asset(
        path='vibe/mpii3d_train_db.pt',
        needed_by="VIBE's training",
        url=VIBE,
        instructions="VIBE's preprocessed data, or its scripts on the data set",
        check=check_clips('mpii3d'),
    ),
    Asset(
        path='vibe/mpii3d_val_db.pt',
        needed_by="thesis' Table 3",
        url=VIBE,
        instructions="VIBE's preprocessed data, or its scripts on the data set",
        check=check_clips('mpii3d'),
    ),
    Asset(
        path='vibe/insta_train_db.h5',
        needed_by="VIBE's training",
        url=VIBE,
        instructions="VIBE's preprocessed data, or its scripts on the data set",
        check=check_clips('insta'),
    ),
    Asset(
        path='vibe/pennaction_train_db.pt',
        needed_by="VIBE's training",
        url=VIBE,
        instructions="VIBE's preprocessed data, or its scripts on the data set",
        check=check_clips('pennaction'),
    ),
    Asset(
        path='vibe/posetrack_train_db.pt',
        needed_by="VIBE's training",
        url=VIBE,
        instructions="VIBE's preprocessed data, or its scripts on the data set",
        check=check_clips('posetrack'),
    ),
    Asset(
        path='vibe/amass_db.pt',
        needed_by="motion critic of VIBE's training",
        url='https://amass.is.tue.mpg.de',
        instructions="AMASS after registration, then VIBE's script amass_utils.py",
        check=check_motion,
    ),
    Asset(
        path='spin/h36m_valid_protocol1.npz',
        needed_by='protocol h36m_p1',
        url=SPIN,
        instructions='its data archive',
        check=check_rows(),
    ),
    Asset(
        path='spin/h36m_valid_protocol2.npz',
        needed_by='protocol h36m_p2',
        url=SPIN,
        instructions='its data archive',
        check=check_rows(),
    ),
    Asset(
        path='spin/h36m_train.npz',
        needed_by='source of BOA, exemplars of DynaBOA',
        url=H36M,
        instructions="SPIN's script; tools/prepare_dataset.py h36m adds bodies",
        check=check_rows(),
    ),
    Asset(
        path='h36m/images',
        needed_by='Human3.6M',
        url=H36M,
        instructions="the videos after registration, cut into images by SPIN's script",
        check=check_images,
    ),
    Asset(
        path='spin/mpi_inf_3dhp_test.npz',
        needed_by='protocol mpi_inf_3dhp',
        url=SPIN,
        instructions='its data archive, or tools/prepare_dataset.py 3dhp',
        check=check_rows(),
    ),
    Asset(
        path='mpi_inf_3dhp/mpi_inf_3dhp_test_set',
        needed_by='MPI-INF-3DHP',
        url=MPI_INF_3DHP,
        instructions='its test set after accepting its licence',
        check=check_images,
    ),
    Asset(
        path='mpi_inf_3dhp_train',
        needed_by='MPI-INF-3DHP, training',
        url=MPI_INF_3DHP,
        instructions="its training videos after accepting its licence, cut into images by VIBE's script",
        check=check_images,
    ),
)


# Of the tables of silhouette-topology alignment.
TOPOLOGY_ASSETS = (
    Asset(
        path='imagenet/resnet50-0676ba61.pth',
        needed_by='start of the trainings of configs/topology',
        url='https://download.pytorch.org/models/resnet50-0676ba61.pth',
        instructions="torchvision's ResNet-50 of ImageNet (IMAGENET1K_V1)",
        check=check_backbone(50),
    ),
    Asset(
        path='surreal/cmu',
        needed_by='synthetic source model of silhouette topology',
        url='https://www.di.ens.fr/willow/research/surreal',
        instructions='SURREAL after registration: mp4, _info.mat and _segm.mat of train and val',
        check=check_surreal,
    ),
    Asset(
        path='spin/mpii_train.npz',
        needed_by='real domain of silhouette topology, weak supervision',
        url=SPIN,
        instructions="SPIN's script, or tools/prepare_dataset.py mpii from MPII's annotations",
        check=check_rows(),
    ),
    Asset(
        path='mpii/images',
        needed_by='real domain of silhouette topology, weak supervision',
        url='http://human-pose.mpi-inf.mpg.de',
        instructions='mpii_human_pose_v1.tar.gz',
        check=check_images,
    ),
    Asset(
        path='mpii_masks',
        needed_by='real domain of silhouette topology',
        url='docs/en/masks.md',
        instructions='your masks, <name of the image>.png; MPII has none',
        check=check_masks,
    ),
    Asset(
        path='3dpw_masks',
        needed_by='silhouette topology on 3DPW',
        url='docs/en/masks.md',
        instructions='your masks, <track>/<frame from 0>.png; 3DPW has none',
        check=check_masks,
    ),
    Asset(
        path='topology/uap_h36m.npz',
        needed_by='UAP-H3M of silhouette topology',
        url='docs/en/domain_shifts.md',
        instructions='tools/craft_uap.py configs/source/spin_3dpw.py data/topology/uap_h36m.npz --eps 8',
        check=check_pattern,
    ),
    Asset(
        path='topology/h36m_valid_protocol2_openpose.npz',
        needed_by='baselines A1 and A2 of silhouette topology on UAP-H3M',
        url='docs/en/adapters/topology.md',
        instructions="SPIN's h36m_valid_protocol2.npz with your OpenPose detections as `openpose`",
        check=check_rows(),
    ),
)


def known_assets() -> list[Asset]:
    """:data:`ASSETS`, :data:`TOPOLOGY_ASSETS` and those that registered data sets declare, each path once."""
    assets = {asset.path: asset for asset in (*ASSETS, *TOPOLOGY_ASSETS)}
    for name in DATASETS.names():
        dataset = DATASETS.get(name)
        if isinstance(dataset, type) and issubclass(dataset, SequenceDataset):
            for asset in dataset.assets:
                assets.setdefault(asset.path, asset)
    return list(assets.values())


def status(asset: Asset, root: str | Path = ROOT, verify: bool = True) -> tuple[str, str]:
    """Checks one asset.

    Args:
        asset: of :func:`known_assets`.
        root: the data folder.
        verify: also read the file.

    Returns:
        ``'present'``, ``'absent'`` or ``'wrong'``, and a summary of the content or the error.
    """
    path = Path(root) / asset.path
    if not path.exists():
        return ABSENT, ''
    if not verify:
        return PRESENT, ''
    try:
        return PRESENT, asset.check(path)
    except InputError as error:
        return WRONG, str(error)


def assets_of(cfg: Config | dict) -> list[Asset]:
    """The assets that a config names, each once, in the order of :func:`known_assets`.

    A folder that a config names (``data/3dpw``) stands for every asset below it, and a file or pattern
    (``data/boa/3dpw_vid/*.npz``) for the folder of an asset that contains it.
    """
    values = cfg.to_dict() if isinstance(cfg, Config) else cfg
    named = {Path(text) for text in strings_in(values)}
    containing = {folder for path in named for folder in path.parents}
    found = []
    for asset in known_assets():
        path = Path(ROOT) / asset.path
        folders = path.parents[:-2]  # without the data folder itself
        if path in containing or not named.isdisjoint([path, *folders]):
            found.append(asset)
    return found


def missing_assets(cfg: Config | dict) -> list[Asset]:
    """Those of :func:`assets_of` that are missing."""
    return [asset for asset in assets_of(cfg) if not (Path(ROOT) / asset.path).exists()]


def require_assets(cfg: Config | dict) -> None:
    """Checks that every licensed file of a config is present.

    Raises:
        InputError: lists all missing files, where to get each and where it must lie.
    """
    missing = missing_assets(cfg)
    if not missing:
        return
    count = 'a file or folder'
    if len(missing) > 1:
        count = f'{len(missing)} files or folders'
    lines = [f'this config needs {count} that hrtk may not ship, from their owners:']
    for asset in missing:
        lines.append(f'  {Path(ROOT) / asset.path}')
        lines.append(f'      {asset.instructions}: {asset.url}')
    lines.append(
        'tools/check_assets.py lists and checks all of them. The same method on free data '
        'and weights: the configs whose names end in _open.py or _wild.py.'
    )
    raise InputError('\n'.join(lines))


def print_assets(
    root: str | Path = ROOT, verify: bool = True, console: Optional[Console] = None
) -> bool:
    """Prints the table of all assets, and of all other files below the folder that bundled configs name.

    Returns:
        Whether every present asset passes its check.
    """
    if console is None:
        console = output_console()
    table = Table(title=f'in {root}', show_lines=True)
    for column in ('file', 'needed by', 'where to get it', 'state'):
        table.add_column(column, overflow='fold')  # addresses must not be cut
    correct = True
    for asset in known_assets():
        state, summary = status(asset, root, verify)
        correct = correct and state != WRONG
        table.add_row(
            asset.path,
            asset.needed_by,
            escape(f'{asset.url}\n{asset.instructions}'),
            f'[{STYLES[state]}]{state}[/]\n{escape(summary)}',
        )
    for name, configs in _other_files().items():
        state = PRESENT if any(Path(root).glob(name)) else ABSENT
        origin = 'see the comments of these configs and the pages of their methods'
        table.add_row(
            escape(name), ', '.join(configs), origin, f'[{STYLES[state]}]{state}[/]\nnot checked'
        )
    console.print(table)
    return correct


def _other_files() -> dict[str, list[str]]:
    """The files that bundled configs name and :func:`known_assets` lacks, with these configs."""
    known = [Path(asset.path) for asset in known_assets()]
    others = {}
    for name, configs in files_of_configs(ROOT).items():
        path = Path(name)
        if not any(
            asset == path or asset in path.parents or path in asset.parents for asset in known
        ):
            others[name] = configs
    return others
