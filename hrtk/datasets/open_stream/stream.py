"""OpenStream: videos of the free body with exact ground truth, drawn on first access."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.arrays import cached_arrays
from hrtk.datasets.base import SequenceDataset
from hrtk.datasets.frames import ArrayFrames
from hrtk.datasets.keypoint_noise import make_noise
from hrtk.datasets.open_stream.cache import cache_key, cache_root, generator_hash
from hrtk.datasets.open_stream.domain import make_domain
from hrtk.datasets.open_stream.render import body_renderer
from hrtk.datasets.open_stream.scene import smooth_noise
from hrtk.datasets.open_stream.video import Video, draw_video, project_pinhole
from hrtk.datasets.transforms.detect_keypoints import MATCHED_SCALE, DetectKeypoints
from hrtk.errors import InputError, OptionError
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence


@DATASETS.register_module()
class OpenStream(SequenceDataset):
    """A synthetic video domain; an item is one whole sequence of one person.

    Ground truth is exact: pose, betas, translation and intrinsics reproduce every vertex and joint. The same
    arguments yield the same bits on every machine with the same numpy; videos are cached on disk (``HRTK_CACHE``,
    default ``~/.cache/hrtk``) under a hash of the arguments and of the code and files that draw them.

    Args:
        domain: ``'studio'`` (training domain of the start model) or ``'wild'`` (every shift of
            :data:`~hrtk.datasets.open_stream.domain.SHIFTS` at once).
        shifts: the studio with only these shifts; overrides ``domain``.
        sequences: number of videos.
        frames: frames of each.
        fps: frames per second.
        size: side of the square frames, px.
        seed: another seed yields other people, clothes, scenes, motions and 2D errors.
        noise: name of the 2D noise model, see :mod:`hrtk.datasets.keypoint_noise`.
        detector: name or config of a detector that finds keypoints and boxes in the frames, in place of the exact ones
            with ``noise``; see :class:`~hrtk.datasets.transforms.DetectKeypoints`.
        repair_sides: whether left and right of detected keypoints are put right, likewise.
        skeleton: joint list of the keypoints that are not detected; detectors provide ``'coco17'``.
        box_scale: SPIN's enlargement of the keypoint box.

    Raises:
        InputError: an unknown domain, shift, noise model, detector or skeleton, a size that is not positive, or
            ``repair_sides`` without a detector.
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
        detector: str | dict[str, Any] | None = None,
        repair_sides: bool = False,
        skeleton: str = 'coco17',
        box_scale: float = 1.2,
    ) -> None:
        if min(sequences, frames, size) < 1:
            raise InputError(
                f'OpenStream: sequences, frames and size must be positive, not {sequences}, {frames}, '
                f'{size}'
            )
        joint_names(skeleton)  # raises on an unknown skeleton
        self.label = domain
        if shifts is not None:
            shifts = tuple(shifts)
            self.label = '+'.join(['studio', *shifts])
        self.domain = make_domain(domain, shifts)
        self.sequences = sequences
        self.frames = frames
        self.fps = fps
        self.size = size
        self.seed = seed
        if repair_sides and detector is None:
            raise OptionError(
                'OpenStream: repair_sides is for detected keypoints; give a detector too, e.g. '
                "detector='blazepose'"
            )
        self.detect: Optional[DetectKeypoints] = None
        self.noise = make_noise(noise)
        if detector is not None:
            self.detect = DetectKeypoints(detector, box_scale=box_scale, repair_sides=repair_sides)
            box_scale = MATCHED_SCALE
            noise = 'clean'
            self.noise = make_noise('clean')
        self.keypoints_source = f'noise:{noise}'
        if noise == 'clean':
            self.keypoints_source = 'gt'
        self.skeleton = skeleton
        self.box_scale = box_scale

    def __len__(self) -> int:
        return self.sequences

    def __getitem__(self, index: int) -> Sequence:
        if not 0 <= index < len(self):
            raise IndexError(index)
        key = cache_key(self.label, self.frames, self.fps, self.size, self.seed, index)
        arrays = cached_arrays(cache_root() / f'{key}.npz', lambda: vars(self.draw(index)))
        return self.make_sequence(index, Video(**arrays))

    def names(self) -> list[str]:
        """The names of all sequences."""
        return [self._name(index) for index in range(len(self))]

    def fingerprint(self) -> dict[str, str]:
        """A hash of the code and files that draw the stream, and those of the detector.

        So stored results never outlive a change.
        """
        hashes = {'open_stream': generator_hash()}
        if self.detect is not None:
            hashes.update(self.detect.fingerprint())
        return hashes

    def draw(self, index: int) -> Video:
        """Draws a video, without the cache."""
        return draw_video(
            self._generator(index, 'scene'), self.domain, self.frames, self.fps, self.size
        )

    def make_sequence(self, index: int, video: Video) -> Sequence:
        """The item of a video: adds noisy or detected keypoints and boxes."""
        rotmat = torch.as_tensor(video.rotmat)
        betas = torch.as_tensor(video.betas)
        translation = torch.as_tensor(video.translation)
        intrinsics = torch.as_tensor(video.intrinsics)

        def project_joints(skeleton: str) -> Tensor:
            joints = body_renderer().body.joints(rotmat, betas, skeleton) + translation[:, None]
            return project_pinhole(joints, intrinsics)

        with torch.no_grad():
            exact = project_joints(self.skeleton)
            extent = project_joints('coco17')
        rng = self._generator(index, 'keypoints')
        boxes = boxes_from_keypoints(extent, torch.ones(extent.shape[:2]), self.box_scale)
        jitter = self.noise.box_jitter * smooth_noise(rng, self.frames, self.fps, 3)
        boxes = boxes + torch.as_tensor(jitter, dtype=torch.float32) * boxes[:, 2:]
        sides = boxes[:, 2].double().numpy()
        noisy, confidence = self.noise.apply(rng, exact.double().numpy(), sides)
        outside = ((noisy < -0.5) | (noisy > self.size - 0.5)).any(-1)
        confidence[outside] = 0
        sequence = Sequence(
            name=self._name(index),
            frames=ArrayFrames(video.frames),
            boxes=boxes,
            keypoints2d=Keypoints2D(
                torch.as_tensor(noisy, dtype=torch.float32),
                torch.as_tensor(confidence, dtype=torch.float32),
                self.skeleton,
                self.keypoints_source,
            ),
            truth=GroundTruth(rotmat, betas, translation, intrinsics),
            masks=video.masks,
            fps=self.fps,
        )
        if self.detect is None:
            return sequence
        return self.detect(sequence)

    def _name(self, index: int) -> str:
        return f'{self.label}_s{self.seed}_{index:03d}'

    def _generator(self, index: int, purpose: str) -> np.random.Generator:
        digest = hashlib.sha256(f'{self.seed}/{index}/{purpose}'.encode()).digest()
        return np.random.default_rng(list(digest))
