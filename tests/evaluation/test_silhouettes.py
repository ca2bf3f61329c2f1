"""IoU of outlines and masks: a square by hand, and true bodies of the open stream with their own masks."""

from types import SimpleNamespace

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.datasets import OpenStream
from hrtk.evaluation.silhouettes import SIDE, crop_masks, silhouette_iou
from hrtk.geometry.boxes import to_crop
from hrtk.geometry.camera import fit_weak_perspective


class Square(torch.nn.Module):
    """Covers the middle quarter of the crop under the camera [1, 0, 0]."""

    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])

    def forward(self, rotmat, betas):
        corners = torch.tensor([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
        return SimpleNamespace(vertices=corners.expand(len(rotmat), 4, 3))


def test_a_square_by_hand():
    masks = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
    quarter, half = SIDE // 4, SIDE // 2
    masks[0, quarter:-quarter, quarter:-quarter] = True
    masks[1, :, half:] = True  # half of the square lies in it: 1/8 of 5/8
    camera = torch.tensor([[1.0, 0, 0]]).repeat(3, 1)
    iou = silhouette_iou(
        Square(), torch.eye(3).expand(3, 24, 3, 3), torch.zeros(3, 10), camera, masks
    )
    assert abs(iou[0] - 100) < 0.1 and abs(iou[1] - 20) < 0.2 and np.isnan(iou[2])


def test_true_bodies_cover_their_masks(tmp_path, monkeypatch):
    monkeypatch.setenv('HRTK_CACHE', str(tmp_path))
    sequence, body = (
        OpenStream(domain='studio', sequences=1, frames=4, seed=5)[0],
        BodyModel('open'),
    )
    truth = sequence.truth
    points = body.joints(truth.rotmat, truth.betas, 'spin49') + truth.translation[:, None]
    pixels = (
        points[..., :2] / points[..., 2:] * truth.intrinsics[:, None, :1]
        + truth.intrinsics[:, None, 1:]
    )
    camera = fit_weak_perspective(
        points - truth.translation[:, None], to_crop(pixels, sequence.boxes)
    )
    masks = crop_masks(sequence, slice(0, 4))
    right = silhouette_iou(body, truth.rotmat, truth.betas, camera, masks)
    turned = silhouette_iou(body, torch.eye(3).expand(4, 24, 3, 3), truth.betas, camera, masks)
    assert (right > 85).all() and (
        turned < right - 20
    ).all()  # hair and clothes are wider than the body
