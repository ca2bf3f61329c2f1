"""SURREAL as tracks with masks, and as labelled crops to train a source network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.body_models import BodyModel
from hrtk.body_models.gendered import GenderedBodies
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.official.surreal_clip import (
    HEIGHT,
    WIDTH,
    SurrealClip,
    clip_name,
    find_clips,
    info_file,
    project,
    read_clip,
)
from hrtk.errors import InputError, OptionError
from hrtk.geometry.boxes import boxes_from_keypoints, crop_image, to_crop
from hrtk.geometry.camera import fit_weak_perspective
from hrtk.reading.hashes import sha256, sha256_of_all
from hrtk.registry import BODY_MODELS, DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

SPLITS = ('train', 'val', 'test')
MIN_INSIDE = 12  # joints of 24 that must be in the image; SURREAL's people often leave it
SOURCE = 'gt'


@DATASETS.register_module()
class SURREAL(SequenceDataset):
    """Clips of SURREAL as tracks of one person, with masks, mirrored as :mod:`surreal_clip` explains.

    Keypoints are the released ``joints2D`` (``smpl24``), with confidence 0 outside the image. Ground truth is the
    gendered body in the camera frame. Frames without joints, or with fewer than 12 of them in the image, must not be
    scored.

    Args:
        root: the folder that holds ``cmu``.
        split: ``'train'``, ``'val'`` or ``'test'``.
        runs: of the three renderings.
        bodies: ``male`` and ``female`` SMPL files, see :class:`~hrtk.body_models.gendered.GenderedBodies`, for the
            translations of the ground truth; None leaves these out.

    Raises:
        InputError: there is no clip, the split is unknown, or a file is broken.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = 'val',
        runs: SequenceOf[int] = (0, 1, 2),
        bodies: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.stems = _checked_clips(root, split, runs)
        self.bodies: Optional[GenderedBodies] = None
        if bodies is not None:
            self.bodies = GenderedBodies(bodies)

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sequence:
        clip = read_clip(self.stems[index])
        inside = _inside(clip.joints2d)
        confidence = (inside & clip.valid[:, None]).float()
        translation = None
        if self.bodies is not None:
            translation = _translation(self.bodies.get(clip.gender), clip)
        truth = GroundTruth(
            rotmat=clip.rotmat,
            betas=clip.betas,
            translation=translation,
            intrinsics=clip.intrinsics,
            valid=_usable(clip),
            gender=clip.gender,
        )
        return Sequence(
            name=clip.name,
            frames=clip.frames(),
            boxes=boxes_from_keypoints(clip.joints2d, confidence),
            keypoints2d=Keypoints2D(clip.joints2d, confidence, 'smpl24', SOURCE),
            truth=truth,
            masks=clip.masks(),
        )

    def names(self) -> list[str]:
        """The names of all clips, without reading them."""
        return [clip_name(stem) for stem in self.stems]

    def fingerprint(self) -> dict[str, str]:
        """A hash of all label files; videos and segmentations are assumed to be unchanged."""
        return {'surreal': sha256_of_all([info_file(stem) for stem in self.stems])}


@DATASETS.register_module()
class SURREALViews(Dataset):
    """Single crops of SURREAL; an item has the form of an item of :class:`OpenViews`, with ``has_body`` and
    ``confidence`` as of :class:`SPINViews` with ``weak=True``.

    View i shows clip ``i mod clips`` at a frame that the seed draws, so a small ``length`` is spread over all clips.

    Args:
        root, split, runs: as of :class:`SURREAL`.
        body: config of the network's body, usually the neutral one.
        bodies: ``male`` and ``female`` SMPL files. Joints are then those of the person's own body, and ``betas`` those
            of ``body`` whose shape is nearest. None reads the released betas as those of ``body``.
        resolution: R, px.
        length: number of views; None is one per clip.
        seed: of the drawn frames.

    Raises:
        InputError: as of :class:`SURREAL`, or a clip has no usable frame.
    """

    def __init__(
        self,
        root: str | Path,
        body: dict | BodyModel,
        bodies: Optional[Mapping[str, str]] = None,
        split: str = 'train',
        runs: SequenceOf[int] = (0, 1, 2),
        resolution: int = 224,
        length: Optional[int] = None,
        seed: int = 0,
    ) -> None:
        self.root = Path(root)
        self.stems = _checked_clips(root, split, runs)
        self.body: BodyModel = BODY_MODELS.build(body)
        self.bodies: Optional[GenderedBodies] = None
        if bodies is not None:
            self.bodies = GenderedBodies(bodies)
        self.resolution = resolution
        self.length = len(self.stems) if length is None else length
        self.seed = seed
        self._shapes: dict[str, tuple[Tensor, Tensor]] = {}  # by gender, see _neutral_betas

    def __len__(self) -> int:
        return self.length

    @torch.no_grad()
    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        clip = read_clip(self.stems[index % len(self.stems)])
        usable = torch.nonzero(_usable(clip))[:, 0]
        if not len(usable):
            raise InputError(
                f'{info_file(clip.stem)}: no frame has {MIN_INSIDE} joints in the image; remove this clip'
            )
        rng = np.random.default_rng([self.seed, index])
        t = int(usable[int(rng.integers(len(usable)))])
        clip_body = self.body
        if self.bodies is not None:
            clip_body = self.bodies.get(clip.gender, like=self.body)
        rotmat = clip.rotmat[t : t + 1]
        joints = clip_body.joints(rotmat, clip.betas[t : t + 1], 'spin24')
        points = project(joints + _translation(clip_body, clip)[t])
        inside = _inside(clip.joints2d[t : t + 1]).float()
        box = boxes_from_keypoints(clip.joints2d[t : t + 1], inside)
        keypoints = to_crop(points, box)
        crop = crop_image(clip.frames()[t], box[0], self.resolution)
        return dict(
            image=crop.round().clamp(0, 255).to(torch.uint8),
            rotmat=rotmat[0],
            betas=self._neutral_betas(clip)[t],
            camera=fit_weak_perspective(joints, keypoints)[0],
            keypoints2d=keypoints[0],
            has_body=torch.tensor(1.0),
            confidence=torch.ones(24),
        )

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the list of clips, of the first one's labels and of the body."""
        names = ' '.join(str(stem.relative_to(self.root)) for stem in self.stems)
        return {
            'clips': hashlib.sha256(names.encode()).hexdigest(),
            'first': sha256(info_file(self.stems[0])),
            'body': self.body.data.sha256,
        }

    def _neutral_betas(self, clip: SurrealClip) -> Tensor:
        """(T, 10) betas of the network's body, whose rest vertices are nearest to the person's."""
        if self.bodies is None:
            return clip.betas
        if clip.gender not in self._shapes:
            person = self.bodies.get(clip.gender, like=self.body)
            self._shapes[clip.gender] = _shape_map(self.body, person)
        matrix, offset = self._shapes[clip.gender]
        return clip.betas @ matrix.T + offset


def _shape_map(body: BodyModel, person: BodyModel) -> tuple[Tensor, Tensor]:
    """The least-squares map (10, 10) and offset (10,) from the betas of one body to those of another."""
    basis = _shape_basis(body)
    template = (person.data.v_template - body.data.v_template).reshape(-1, 1)
    targets = np.concatenate([_shape_basis(person), template], 1)
    solution = np.linalg.lstsq(basis, targets, rcond=None)[0]
    solution = torch.from_numpy(solution).float()
    return solution[:, :-1], solution[:, -1]


def _shape_basis(body: BodyModel) -> np.ndarray:
    """(3 V, 10) float64."""
    return np.asarray(body.data.shapedirs, np.float64)[..., :10].reshape(-1, 10)


def _checked_clips(root: str | Path, split: str, runs: SequenceOf[int]) -> list[Path]:
    if split not in SPLITS:
        raise OptionError(f'SURREAL: split is one of {SPLITS}, not {split!r}')
    return find_clips(root, split, tuple(runs))


@torch.no_grad()
def _translation(body: BodyModel, clip: SurrealClip) -> Tensor:
    """(T, 3) from the body frame to the camera; SMPL rotates about the pelvis, which has the rest position."""
    rest = torch.eye(3).expand(len(clip), 24, 3, 3)
    return clip.joints3d[:, 0] - body.joints(rest, clip.betas, 'smpl24')[:, 0]


def _inside(joints2d: Tensor) -> Tensor:
    """(T, 24) bool: joints in the image."""
    limit = torch.tensor([WIDTH, HEIGHT]) - 0.5
    return ((joints2d >= -0.5) & (joints2d <= limit)).all(-1)


def _usable(clip: SurrealClip) -> Tensor:
    """(T,) bool."""
    return clip.valid & (_inside(clip.joints2d).sum(1) >= MIN_INSIDE)
