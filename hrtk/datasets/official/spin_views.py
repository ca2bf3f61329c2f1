"""SPINViews: labelled pictures in SPIN's npz layout, such as Human3.6M's training set, as source data."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch.utils.data import Dataset

from hrtk.body_models import BodyModel
from hrtk.datasets.frames import read_image
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.errors import InputError
from hrtk.files import sha256
from hrtk.geometry.boxes import boxes_from_centers, crop_image, to_crop
from hrtk.geometry.camera import fit_weak_perspective
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.registry import BODY_MODELS, DATASETS


@DATASETS.register_module()
class SPINViews(Dataset):
    """Crops of the rows of an npz that have a body; an item has the form of :class:`OpenViews`'s.

    An item is a dict: ``image`` (3, R, R) uint8 RGB, ``rotmat`` (24, 3, 3), ``betas`` (10,), ``camera`` (3,) least
    squares weak-perspective of the body's joints, ``keypoints2d`` (24, 2) of ``spin24`` in [-1, 1]. Joints that
    ``part`` does not have (Human3.6M has 17 of the 24) are those of the body through that camera.

    Args:
        file: npz with ``imgname center scale part pose shape`` and, if it likes, ``has_smpl``. Human3.6M's poses may
            not be distributed; `tools/prepare_dataset.py h36m` adds those that you have.
        image_root: the folder that ``imgname`` is relative to.
        body: config of the body that pose and shape belong to.
        resolution: R, px.
        length: only so many rows, evenly spread over the file; None is all.

    Raises:
        InputError: the file is missing or broken, or has no row with a body and three visible joints.
    """

    def __init__(
        self,
        file: str | Path,
        image_root: str | Path,
        body: dict | BodyModel,
        resolution: int = 224,
        length: Optional[int] = None,
    ) -> None:
        self.file, self.image_root, self.resolution = Path(file), Path(image_root), resolution
        self.body: BodyModel = BODY_MODELS.build(body)
        self.table = read_spin_npz(file)
        missing = [key for key in ('part', 'pose', 'shape') if key not in self.table]
        if missing:
            raise InputError(
                f'{file}: labelled views need {", ".join(missing)}; the file has {", ".join(self.table)}'
            )
        if self.table['part'].shape[1] != 24:
            raise InputError(
                f"{file}: part has {self.table['part'].shape[1]} joints, labelled views need SPIN's 24"
            )
        usable = (self.table['part'][:, :, 2] > 0).sum(1) >= 3
        rows = np.flatnonzero(usable & (self.table.get('has_smpl', np.ones(len(usable))) > 0))
        if len(rows) == 0:
            raise InputError(
                f'{file}: no row has a body (has_smpl) and three visible joints (part)'
            )
        count = len(rows) if length is None else min(length, len(rows))
        self.rows = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = {
            key: torch.as_tensor(np.asarray(self.table[key][self.rows[index]], np.float32))
            for key in ('center', 'scale', 'part', 'pose', 'shape')
        }
        box = boxes_from_centers(row['center'][None], row['scale'][None])
        rotmat, betas = axis_angle_to_rotmat(row['pose'].view(1, 24, 3)), row['shape'][None]
        joints, seen = self.body.joints(rotmat, betas, 'spin24'), row['part'][:, 2] > 0
        keypoints = to_crop(row['part'][None, :, :2], box)
        camera = fit_weak_perspective(joints[:, seen], keypoints[:, seen])
        placed = camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:])
        picture = read_image(self.image_root / str(self.table['imgname'][self.rows[index]]))
        image = crop_image(picture, box[0], self.resolution).round().clamp(0, 255).to(torch.uint8)
        return dict(
            image=image,
            rotmat=rotmat[0],
            betas=betas[0],
            camera=camera[0],
            keypoints2d=torch.where(seen[:, None], keypoints[0], placed[0]),
        )

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the file and of the body; the pictures are taken for granted."""
        return {'npz': sha256(self.file), 'body': self.body.data.sha256}
