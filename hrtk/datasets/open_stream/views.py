"""OpenViews: single labelled crops of the stream, drawn on the fly, to train start models and to replay source data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hrtk.body_models.skeletons import index_map
from hrtk.datasets.open_stream.cache import ViewCache, generator_hash
from hrtk.datasets.open_stream.clothing import Outfit
from hrtk.datasets.open_stream.domain import make_domain
from hrtk.datasets.open_stream.render import Light, body_renderer
from hrtk.datasets.open_stream.scene import sample_scene
from hrtk.datasets.open_stream.scenery import Occluder, Optics, sample_background
from hrtk.geometry.boxes import boxes_from_keypoints, to_crop
from hrtk.geometry.camera import fit_weak_perspective
from hrtk.registry import DATASETS

SAMPLES = 2  # pixels drawn per crop pixel and axis, then averaged


@DATASETS.register_module()
class OpenViews(Dataset):
    """Independent crops of one domain; item i is the same on every machine.

    An item is a dict: ``image`` (3, R, R) uint8 RGB, ``rotmat`` (24, 3, 3), ``betas`` (10,), ``camera`` (3,) least
    squares weak-perspective, ``keypoints2d`` (24, 2) true perspective positions of ``spin24`` in [-1, 1].

    Args:
        domain: as of :class:`OpenStream`.
        shifts: as of :class:`OpenStream`.
        length: number of views.
        resolution: R, px.
        seed: another seed yields other views.
        box_scale: enlargement of the keypoint box, jittered by 10 % in size and 6 % in position.
        cache: store drawn views on disk (37 kB each at 112 px), for several epochs or runs over the same views.

    Raises:
        InputError: an unknown domain or shift.
    """

    def __init__(
        self,
        domain: str = 'studio',
        shifts: Optional[Iterable[str]] = None,
        length: int = 100_000,
        resolution: int = 112,
        seed: int = 0,
        box_scale: float = 1.2,
        cache: bool = False,
    ) -> None:
        self.domain = make_domain(domain, shifts)
        self.length = length
        self.resolution = resolution
        self.seed = seed
        self.box_scale = box_scale
        self.cache: Optional[ViewCache] = None
        if cache:
            settings = [domain, shifts, resolution, seed, box_scale]
            self.cache = ViewCache(settings, length, resolution)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        if self.cache is None:
            return self._draw_view(index)
        if index not in self.cache:
            self.cache.store(index, self._draw_view(index))
        return self.cache.load(index)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the views."""
        return {'open_stream': generator_hash()}

    def _draw_view(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        renderer = body_renderer()
        scene = sample_scene(rng, self.domain, frames=1, fps=15.0)
        vertices, pelvis = renderer.pose(scene.rotmat, scene.betas[None])
        translation = scene.offset - pelvis
        rotmat = torch.as_tensor(scene.rotmat, dtype=torch.float32)
        betas = torch.as_tensor(scene.betas[None], dtype=torch.float32)
        with torch.no_grad():
            joints = renderer.body.joints(rotmat, betas, 'spin24')
        points = joints + torch.as_tensor(translation, dtype=torch.float32)[:, None]
        # Unit focal length: only positions relative to the box matter.
        plane = points[..., :2] / points[..., 2:]
        box = self._sample_box(rng, plane)
        keypoints = to_crop(plane, box)
        image = self._draw_crop(rng, vertices[0] + translation[0], box[0].double().numpy())
        return dict(
            image=torch.as_tensor(image).permute(2, 0, 1).contiguous(),
            rotmat=rotmat[0],
            betas=betas[0],
            camera=fit_weak_perspective(joints, keypoints)[0],
            keypoints2d=keypoints[0],
        )

    def _sample_box(self, rng: np.random.Generator, points: Tensor) -> Tensor:
        """(1, 3) jittered box of the ``coco17`` joints among ``points`` (1, 24, 2)."""
        extent = points[:, index_map('spin24', 'coco17')]
        box = boxes_from_keypoints(extent, torch.ones(extent.shape[:2]), self.box_scale)
        box[:, 2] *= float(np.exp(0.1 * rng.normal()))
        box[:, :2] += 0.06 * box[:, 2:] * torch.as_tensor(rng.normal(size=2), dtype=torch.float32)
        return box

    def _draw_crop(
        self, rng: np.random.Generator, vertices: np.ndarray, box: np.ndarray
    ) -> np.ndarray:
        """(R, R, 3) uint8 RGB."""
        domain = self.domain
        size = self.resolution * SAMPLES
        focal = size / box[2]
        cx, cy = (size - 1) / 2 - box[:2] * focal
        camera = np.array([focal, cx, cy])
        outfit = Outfit.sample(rng, body_renderer().landmarks, domain.patterns)
        light = Light.sample(rng, domain.light, domain.ambient)
        image = sample_background(rng, size, domain)
        mask = body_renderer().draw(image, vertices, camera, outfit, light)
        if rng.random() < domain.occluders:
            x, y = (rng.uniform(0, 0.8, 2) * size).astype(int).tolist()
            Occluder.sample(rng, size).cover(image, mask, x, y)
        # The lens acts on the fine image: a video's crop, too, is blurred before it is reduced.
        fine = Optics.sample(rng, domain).apply(image, rng)
        return cv2.resize(fine, (self.resolution, self.resolution), interpolation=cv2.INTER_AREA)
