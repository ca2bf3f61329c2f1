"""Checks of licensed files: each reads a file or folder and returns a short summary of its content.

Every check raises :class:`~hrtk.errors.InputError` if the content is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Optional

from hrtk.apis.zoo.building import build_model
from hrtk.body_models import load_body_file
from hrtk.datasets.lifting.object_npz import read_object
from hrtk.datasets.official.amass import read_amass
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.datasets.official.surreal_clip import find_clips, read_clip
from hrtk.datasets.official.threedpw import read_3dpw
from hrtk.datasets.official.vibe_clips import VIBEClips
from hrtk.datasets.official.vibe_db import read_vibe_db
from hrtk.datasets.transforms.perturbation import read_perturbation
from hrtk.errors import InputError
from hrtk.models.backbones import ResNet
from hrtk.models.checkpoints import load_backbone
from hrtk.models.priors.gmm import read_gmm
from hrtk.reading.arrays import map_npy

SMPL_VERTICES = (6890, 3)
SMPL_FACES = (13776, 3)


def check_body(path: Path) -> str:
    """A body file on SMPL's mesh."""
    body = load_body_file(path)
    if body.v_template.shape != SMPL_VERTICES or body.f.shape != SMPL_FACES:
        raise InputError(
            f'{path}: {len(body.v_template)} vertices and {len(body.f)} faces, '
            f'expected {SMPL_VERTICES[0]} and {SMPL_FACES[0]}'
        )
    return f'{SMPL_VERTICES[0]} vertices'


def check_array(*shape: int) -> Callable[[Path], str]:
    """An .npy of this shape."""

    def check(path: Path) -> str:
        array = map_npy(path)
        if array.shape != shape:
            raise InputError(f'{path}: shape {array.shape}, expected {shape}')
        return ' x '.join(map(str, shape))

    return check


def check_rows(published: Optional[int] = None) -> Callable[[Path], str]:
    """A SPIN npz; the summary names the number of rows behind published results where it differs."""

    def check(path: Path) -> str:
        rows = len(read_spin_npz(path)['imgname'])
        if published is None or rows == published:
            return f'{rows} rows'
        return f'{rows} rows (published numbers: {published})'

    return check


def check_lifting(*keys: str) -> Callable[[Path], str]:
    """An npz of dicts of poses, as lifting projects distribute them."""

    def check(path: Path) -> str:
        entries = [read_object(path, key, 'see docs/en/lifting_data.md') for key in keys]
        return f'{len(entries[0])} entries of {keys[0]}'

    return check


def check_network(name: str) -> Callable[[Path], str]:
    """A checkpoint whose every key and shape is that of a network of :func:`build_model`."""

    def check(path: Path) -> str:
        network = build_model(name, weights=str(path))
        count = sum(parameter.numel() for parameter in network.parameters())
        return f'{count / 1e6:.1f} M weights'

    return check


def check_mixture(path: Path) -> str:
    """A pose prior."""
    return f'{len(read_gmm(path)["weights"])} Gaussians'


def check_sequences(path: Path) -> str:
    """A folder of 3DPW's sequence files; every file is read."""
    files = sorted(path.glob('*.pkl'))
    if not files:
        raise InputError(f'{path}: no sequence file (*.pkl) in this folder')
    tracks = [track for file in files for track in read_3dpw(file)]
    valid = sum(int(track.valid.sum()) for track in tracks)
    return f'{len(files)} sequences, {len(tracks)} people, {valid} valid frames'


def check_images(path: Path) -> str:
    """A folder with images somewhere below it."""
    if next(path.rglob('*.jpg'), None) is None:
        raise InputError(f'{path}: no .jpg below this folder')
    return 'images'


def check_npz_folder(path: Path) -> str:
    """A folder of SPIN-layout npz files; every file is read."""
    files = sorted(path.glob('*.npz'))
    if not files:
        raise InputError(f'{path}: no .npz in this folder')
    rows = sum(len(read_spin_npz(file)['imgname']) for file in files)
    return f'{len(files)} files, {rows} rows'


def check_database(path: Path) -> str:
    """A VIBE database."""
    names = read_vibe_db(path)['vid_name']
    return f'{len(names)} rows, {len(set(names))} tracks'


def check_backbone(depth: int) -> Callable[[Path], str]:
    """A classifier of torchvision whose layers before the classifier are those of our ResNet."""

    def check(path: Path) -> str:
        report = load_backbone(ResNet(depth), path)
        return f'{len(report.loaded)} values of a ResNet-{depth}'

    return check


def check_surreal(path: Path) -> str:
    """SURREAL's folder ``cmu``; the labels of one clip of each split are read."""
    counts = []
    for split in ('train', 'val'):
        stems = find_clips(path.parent, split, (0, 1, 2))
        read_clip(stems[0])
        counts.append(f'{len(stems)} clips of {split}')
    return ', '.join(counts)


def check_masks(path: Path) -> str:
    """A folder with mask images somewhere below it."""
    if next(path.rglob('*.png'), None) is None:
        raise InputError(f'{path}: no .png below this folder')
    return 'masks'


def check_pattern(path: Path) -> str:
    """A universal perturbation."""
    return f'{len(read_perturbation(path))} px'


def check_clips(layout: str) -> Callable[[Path], str]:
    """A VIBE database of this layout, as its training reads it."""

    def check(path: Path) -> str:
        clips = VIBEClips(path, layout, frames=1, overlap=0.0)
        return f'{len(clips.features)} rows'

    return check


def check_motion(path: Path) -> str:
    """VIBE's database of AMASS."""
    pose, names = read_amass(path)
    return f'{len(pose)} rows, {len(set(names))} recordings'
