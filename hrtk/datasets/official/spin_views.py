"""SPINViews: images in SPIN's npz layout as source data, labelled ones such as Human3.6M's and ones with 2D joints."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch.utils.data import Dataset

from hrtk.body_models import BodyModel
from hrtk.datasets.arrays import float_tensor
from hrtk.datasets.frames import read_image
from hrtk.datasets.official.rows import rotmat_of_pose
from hrtk.datasets.official.spin_npz import read_spin_npz
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_centers, crop_image, to_crop
from hrtk.geometry.camera import fit_weak_perspective
from hrtk.reading.hashes import sha256
from hrtk.registry import BODY_MODELS, DATASETS
from hrtk.structures import evenly_spaced

REST_CAMERA = (0.9, 0.0, 0.0)  # where there is no body to fit one
MIN_VISIBLE_JOINTS = 3  # the weak-perspective camera is fitted to them


@DATASETS.register_module()
class SPINViews(Dataset):
    """Crops of the rows of an npz that have a body; an item has the form of an item of :class:`OpenViews`.

    An item is a dict: ``image`` (3, R, R) uint8 RGB, ``rotmat`` (24, 3, 3), ``betas`` (10,), ``camera`` (3,) least
    squares weak-perspective of the body's joints, ``keypoints2d`` (24, 2) of ``spin24`` in [-1, 1]. Joints that
    ``part`` lacks (Human3.6M has 17 of the 24) are those of the body through that camera. What was measured alone is
    ``part`` (24, 3), positions in [-1, 1] with the confidences of the file, zeros where a joint was not measured, and,
    if the file has it, ``S`` (24, 4), joints ``spin24_mocap`` in metres relative to the pelvis, with confidences.

    With ``weak`` rows without a body stay, such as all of MPII's, as weak 2D supervision. Items then have two more
    keys, ``has_body``, 1 or 0, and ``confidence`` (24,) of the keypoints. Where there is no body, ``rotmat``,
    ``betas`` and ``camera`` are those of the rest pose, and joints that ``part`` lacks have the confidence 0.

    Args:
        file: npz with ``imgname center scale part pose shape`` and optionally ``has_smpl``. The licence of Human3.6M's
            poses forbids their distribution; `tools/prepare_dataset.py h36m` adds those that you have.
        image_root: the folder that ``imgname`` is relative to.
        body: config of the body that pose and shape belong to.
        resolution: R, px.
        length: number of rows, evenly spread over the file; None takes all.
        weak: keep rows without a body.

    Raises:
        InputError: the file is missing or broken, or has no row with three visible joints and, unless ``weak``, a body.
    """

    def __init__(
        self,
        file: str | Path,
        image_root: str | Path,
        body: dict | BodyModel,
        resolution: int = 224,
        length: Optional[int] = None,
        weak: bool = False,
    ) -> None:
        self.file = Path(file)
        self.image_root = Path(image_root)
        self.resolution = resolution
        self.body: BodyModel = BODY_MODELS.build(body)
        self.weak = weak
        self.table = read_spin_npz(file)
        self.has_body = self._find_bodies()
        rows = self._usable_rows()
        if length is None:
            length = len(rows)
        self.rows = rows[evenly_spaced(len(rows), length)]

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = self.rows[index : index + 1]
        table = self.table
        box = boxes_from_centers(
            float_tensor(table['center'][row]), float_tensor(table['scale'][row])
        )
        part = float_tensor(table['part'][row])
        visible = part[0, :, 2] > 0
        keypoints = to_crop(part[..., :2], box)
        image = read_image(self.image_root / str(table['imgname'][row[0]]))
        crop = crop_image(image, box[0], self.resolution)
        measured = torch.cat([keypoints[0], part[0, :, 2:]], dim=-1)
        item = dict(
            image=crop.round().clamp(0, 255).to(torch.uint8),
            part=torch.where(visible[:, None], measured, 0.0),
        )
        if 'S' in table:
            item['S'] = float_tensor(table['S'][row])[0]
        if not self.has_body[row[0]]:
            return dict(
                **item,
                rotmat=torch.eye(3).repeat(24, 1, 1),
                betas=torch.zeros(10),
                camera=torch.tensor(REST_CAMERA),
                keypoints2d=torch.where(visible[:, None], keypoints[0], 0.0),
                has_body=torch.tensor(0.0),
                confidence=part[0, :, 2].clamp(0, 1),
            )
        rotmat = rotmat_of_pose(table['pose'][row])
        betas = float_tensor(table['shape'][row])
        joints = self.body.joints(rotmat, betas, 'spin24')
        camera = fit_weak_perspective(joints[:, visible], keypoints[:, visible])
        projected = camera[:, None, :1] * (joints[..., :2] + camera[:, None, 1:])
        item.update(
            rotmat=rotmat[0],
            betas=betas[0],
            camera=camera[0],
            keypoints2d=torch.where(visible[:, None], keypoints[0], projected[0]),
        )
        if self.weak:
            item.update(has_body=torch.tensor(1.0), confidence=torch.ones(24))
        return item

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the file and of the body; the images are assumed to be unchanged."""
        return {'npz': sha256(self.file), 'body': self.body.data.sha256}

    def _find_bodies(self) -> np.ndarray:
        """(N,) bool: rows that have a body."""
        table = self.table
        count = len(table['imgname'])
        missing = [key for key in ('part', 'pose', 'shape') if key not in table]
        if missing and (not self.weak or 'part' in missing):
            raise InputError(
                f'{self.file}: labelled views need {", ".join(missing)}; the file has {", ".join(table)}. weak=True '
                f'reads rows with 2D joints (part) alone'
            )
        if missing:
            return np.zeros(count, bool)
        if 'has_smpl' in table:
            return table['has_smpl'] > 0
        return np.ones(count, bool)

    def _usable_rows(self) -> np.ndarray:
        """The rows with enough visible joints and, unless they may be weak, a body."""
        part = self.table['part']
        if part.shape[1] != 24:
            raise InputError(
                f"{self.file}: part has {part.shape[1]} joints, labelled views need SPIN's 24"
            )
        usable = (part[:, :, 2] > 0).sum(1) >= MIN_VISIBLE_JOINTS
        if not self.weak:
            usable &= self.has_body
        if not usable.any():
            body = '' if self.weak else 'a body (has_smpl) and '
            raise InputError(f'{self.file}: no row has {body}three visible joints (part)')
        return np.flatnonzero(usable)
