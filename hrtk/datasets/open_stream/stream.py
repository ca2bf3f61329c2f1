"""OpenStream: videos of the free body with exact ground truth, drawn when they are first asked for."""

from __future__ import annotations

import hashlib
import os
import zipfile
from typing import Iterable, Optional

import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ArrayFrames
from hrtk.datasets.keypoint_noise import make_noise
from hrtk.datasets.open_stream.cache import cache_key, cache_root, generator_hash
from hrtk.datasets.open_stream.clothing import Outfit
from hrtk.datasets.open_stream.domain import Domain, make_domain
from hrtk.datasets.open_stream.render import Light, painter
from hrtk.datasets.open_stream.scene import Scene, sample_scene, smooth_noise
from hrtk.datasets.open_stream.scenery import Occluder, Optics, backdrop
from hrtk.errors import InputError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

FILL = 0.68  # share of the picture's height that a person of 1.7 m takes


@DATASETS.register_module()
class OpenStream(SequenceDataset):
    """A synthetic video domain; an item is one whole sequence of one person.

    Ground truth is exact: pose, betas, translation and intrinsics reproduce every vertex and joint. The same
    arguments give the same bits on every machine with the same numpy; videos are cached on disk (``HRTK_CACHE``,
    default ``~/.cache/hrtk``) under a hash of the arguments and of the code and files that draw them.

    Args:
        domain: ``'studio'`` (what the start model was trained on) or ``'wild'`` (every shift of
            :data:`~hrtk.datasets.open_stream.domain.SHIFTS` at once).
        shifts: the studio with only these shifts; overrides ``domain``.
        sequences: number of videos.
        frames: frames of each.
        fps: frames per second.
        size: side of the square pictures, px.
        seed: a different seed gives other people, clothes, scenes, motions and 2D errors.
        noise: name of the 2D noise model, see :mod:`hrtk.datasets.keypoint_noise`.
        skeleton: which keypoints there are; ``'coco17'`` is what detectors give.
        box_scale: SPIN's enlargement of the keypoint box.

    Raises:
        InputError: an unknown domain, shift, noise model or skeleton, or a size of no frames.
    """

    def __init__(
        self,
        domain: str = 'wild',
        shifts: Optional[Iterable[str]] = None,
        sequences: int = 8,
        frames: int = 40,
        fps: float = 15.0,
        size: int = 256,
        seed: int = 0,
        noise: str = 'detector',
        skeleton: str = 'coco17',
        box_scale: float = 1.2,
    ) -> None:
        if min(sequences, frames, size) < 1:
            raise InputError(
                f'OpenStream: sequences, frames and size must be positive, not {sequences}, {frames}, '
                f'{size}'
            )
        shifts = shifts if shifts is None else tuple(shifts)
        self.domain: Domain = make_domain(domain, shifts)
        self.label = domain if shifts is None else '+'.join(['studio', *shifts])
        self.sequences, self.frames, self.fps, self.size, self.seed = (
            sequences,
            frames,
            fps,
            size,
            seed,
        )
        self.noise_name, self.noise = noise, make_noise(noise)
        self.skeleton, self.box_scale = skeleton, box_scale
        joint_names(skeleton)

    def __len__(self) -> int:
        return self.sequences

    def __getitem__(self, index: int) -> Sequence:
        if not 0 <= index < len(self):
            raise IndexError(index)
        video = self._cached(index)
        return self._sequence(index, video)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the stream, so that stored results never outlive a change."""
        return {'open_stream': generator_hash()}

    def _sequence(self, index: int, video: dict[str, np.ndarray]) -> Sequence:
        rotmat, betas = (torch.as_tensor(video[k]) for k in ('rotmat', 'betas'))
        translation, intrinsics = (
            torch.as_tensor(video['translation']),
            torch.as_tensor(video['intrinsics']),
        )
        with torch.no_grad():
            points = painter().body.joints(rotmat, betas, self.skeleton) + translation[:, None]
            coco = painter().body.joints(rotmat, betas, 'coco17') + translation[:, None]
        xy, extent = (
            p[..., :2] / p[..., 2:] * intrinsics[:, None, :1] + intrinsics[:, None, 1:]
            for p in (points, coco)
        )
        rng = np.random.default_rng(self._entropy(index, 'keypoints'))
        boxes = boxes_from_keypoints(extent, torch.ones(extent.shape[:2]), self.box_scale)
        jitter = self.noise.box_jitter * smooth_noise(rng, self.frames, self.fps, 3)
        boxes = boxes + torch.as_tensor(jitter, dtype=torch.float32) * boxes[:, 2:]
        noisy, confidence = self.noise.apply(rng, xy.double().numpy(), boxes[:, 2].double().numpy())
        outside = ((noisy < -0.5) | (noisy > self.size - 0.5)).any(-1)
        confidence[outside] = 0
        keypoints = Keypoints2D(
            torch.as_tensor(noisy, dtype=torch.float32),
            torch.as_tensor(confidence, dtype=torch.float32),
            self.skeleton,
            'gt' if self.noise_name == 'clean' else f'noise:{self.noise_name}',
        )
        truth = GroundTruth(rotmat, betas, translation, intrinsics)
        return Sequence(
            f'{self.label}_s{self.seed}_{index:03d}',
            ArrayFrames(video['frames']),
            boxes,
            keypoints,
            truth,
            video['masks'],
            fps=self.fps,
        )

    def _entropy(self, index: int, what: str) -> list[int]:
        return list(hashlib.sha256(f'{self.seed}/{index}/{what}'.encode()).digest())

    def _cached(self, index: int) -> dict[str, np.ndarray]:
        root = cache_root()
        path = (
            root
            / f'{cache_key(self.label, self.frames, self.fps, self.size, self.seed, index)}.npz'
        )
        try:
            with np.load(path, allow_pickle=False) as data:
                return dict(data)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # absent, or damaged on disk
            pass
        video = draw_video(
            np.random.default_rng(self._entropy(index, 'scene')),
            self.domain,
            self.frames,
            self.fps,
            self.size,
        )
        try:
            root.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f'.{os.getpid()}.tmp')
            with open(temporary, 'wb') as file:
                np.savez(file, **video)
            os.replace(temporary, path)
        except OSError:  # a read-only home costs time, not the run
            pass
        return video


def draw_video(
    rng: np.random.Generator, domain: Domain, frames: int, fps: float, size: int
) -> dict[str, np.ndarray]:
    """Draws one video.

    Every part has random numbers of its own, so that a shift changes its part alone: the same seed shows the same
    person in the same clothes before another background.

    Returns:
        frames (F, size, size, 3) uint8, masks (F, size, size) uint8, and float32 rotmat (F, 24, 3, 3), betas (F, 10),
        translation (F, 3) and intrinsics (F, 3).
    """
    of_scene, of_outfit, of_light, of_optics, of_backdrop, of_occluder, of_sensor = rng.spawn(7)
    scene = sample_scene(of_scene, domain, frames, fps)
    paint = painter()
    outfit = Outfit.sample(of_outfit, paint.marks, domain.patterns)
    light = Light.sample(of_light, domain.light, domain.ambient)
    optics = Optics.sample(of_optics, domain)
    background = _Background(of_backdrop, domain, scene, size, fps)
    occluder = (
        Occluder.sample(of_occluder, size) if of_occluder.random() < domain.occluders else None
    )
    path = of_occluder.uniform(0.1, 0.8, 2) + 0.25 * smooth_noise(
        of_occluder, frames, fps, 2, top=0.15
    ) * [1, 0.2]
    betas = np.repeat(scene.betas[None], frames, 0)
    vertices, pelvis = paint.pose(scene.rotmat, betas)
    translation = scene.offset - pelvis
    distance = float(np.median(scene.offset[:, 2]))
    focal = FILL * size * distance / 1.7
    camera = np.array([focal, (size - 1) / 2, (size - 1) / 2])
    pictures, masks = (
        np.empty((frames, size, size, 3), np.uint8),
        np.empty((frames, size, size), np.uint8),
    )
    for t in range(frames):
        image = background.at(t)
        masks[t] = paint.draw(image, vertices[t] + translation[t], camera, outfit, light)
        if occluder is not None:
            occluder.cover(
                image, masks[t], int(path[t, 0] * size), int((0.35 + 0.5 * path[t, 1]) * size)
            )
        pictures[t] = optics.apply(image, of_sensor)
    return dict(
        frames=pictures,
        masks=masks,
        rotmat=scene.rotmat.astype(np.float32),
        betas=betas.astype(np.float32),
        translation=translation.astype(np.float32),
        intrinsics=np.repeat(camera[None], frames, 0).astype(np.float32),
    )


class _Background:
    """A background that moves as the hand-held camera does."""

    def __init__(
        self, rng: np.random.Generator, domain: Domain, scene: Scene, size: int, fps: float
    ) -> None:
        self.size = size
        self.image = backdrop(rng, 2 * size, domain)
        pan = size * (
            0.5 + 0.04 * domain.sway * smooth_noise(rng, len(scene.rotmat), fps, 2, top=0.2)
        )
        self.corner = pan.clip(0, size).astype(int)

    def at(self, t: int) -> np.ndarray:
        y, x = self.corner[t]
        return self.image[y : y + self.size, x : x + self.size].copy()
