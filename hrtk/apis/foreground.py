"""Pseudo ground truth for segmenters: the foreground of two detectors, and the limbs between keypoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from hrtk.body_models.skeletons import index_map, joint_names, limbs
from hrtk.datasets.mask_sources import MaskFiles
from hrtk.errors import InputError
from hrtk.files import write_atomically
from hrtk.reading.pictures import decode_picture
from hrtk.silhouettes.capsules import capsule_mask
from hrtk.structures import Keypoints2D, Sequence

CORNERS = ('left_shoulder', 'right_shoulder', 'right_hip_lsp', 'left_hip_lsp')
TORSO = [joint_names('coco17').index(name) for name in CORNERS]
SHOULDERS = slice(0, 2)  # of the torso's corners
HIPS = slice(2, 4)
RADIUS = 0.12
THRESHOLD = 0.2
DEPTHS = {
    'uint8': 255,
    'uint16': 65535,
}  # dtype of a probability image -> the value of probability 1


@dataclasses.dataclass(frozen=True)
class ForegroundSummary:
    """Statistics of the written masks.

    Attributes:
        frames: number of masks.
        empty: number of masks without foreground.
        agreed: share of the foreground's pixels that both detectors marked.
    """

    frames: int
    empty: int
    agreed: float


def make_foreground(
    dataset: Iterable[Sequence],
    first: str | Path,
    second: str | Path,
    output: str | Path,
    pattern: str = '{id}.png',
    radius: float = RADIUS,
    threshold: float = THRESHOLD,
) -> ForegroundSummary:
    """Writes ``(A and B) or limbs`` for every frame of a data set (few-shot adaptation thesis, Eq. 3).

    A and B are masks, or probabilities of which the smaller one counts; values below the threshold are background.

    Args:
        dataset: sequences with 2D keypoints.
        first: folder of detector A's images, of one channel and the size of the frames: masks of 0 and 255 (or 0
            and 1), or probabilities times 255 (65535 for 16 bits).
        second: that of detector B.
        output: folder to write, for :class:`~hrtk.datasets.mask_sources.MaskFiles` with the same pattern.
        pattern: of files in all three folders, see :class:`~hrtk.datasets.mask_sources.MaskFiles`.
        radius: of the limbs, as a share of the torso's length between the middles of shoulders and hips. The thesis
            states none.
        threshold: probability in (0, 1]; 0.2 in the thesis.

    Raises:
        InputError: a folder or image is missing, broken or of another size, two frames share a file, a sequence shows
            no torso, or a number is out of range.
    """
    if not 0 < threshold <= 1 or not radius > 0:
        raise InputError(
            f'make_foreground: threshold is a probability and radius positive, not {threshold}, {radius}'
        )
    detectors = [MaskFiles(first, pattern), MaskFiles(second, pattern)]
    if Path(output).resolve() in [detector.folder.resolve() for detector in detectors]:
        raise InputError(
            f'{output}: masks are not written into the folder of a detector; name another one'
        )
    Path(output).mkdir(parents=True, exist_ok=True)
    target = MaskFiles(output, pattern)
    written: set[Path] = set()
    empty = 0
    agreed_pixels = 0
    foreground_pixels = 0
    for sequence in dataset:
        for detector in detectors:
            detector.masks(sequence)  # raises for all missing files before any mask is written
        radii = limb_radius(sequence, radius)
        for t in range(len(sequence)):
            path = _unused(target.path(sequence, t), written, sequence.name)
            size = sequence.frames[t].shape[:2]
            agreed = _agreement(detectors, sequence, t, size) >= threshold
            mask = agreed | limb_mask(sequence.keypoints2d, t, radii[t], size)
            _write_mask(path, mask)
            written.add(path)
            empty += not mask.any()
            agreed_pixels += int(agreed.sum())
            foreground_pixels += int(mask.sum())
    if not written:
        raise InputError('make_foreground: the data set holds no sequence; check its paths')
    return ForegroundSummary(len(written), empty, agreed_pixels / max(foreground_pixels, 1))


def _agreement(
    detectors: Iterable[MaskFiles], sequence: Sequence, t: int, size: tuple[int, int]
) -> np.ndarray:
    """(H, W) the smallest probability of all detectors in frame t."""
    probabilities = [read_probability(detector.path(sequence, t), size) for detector in detectors]
    return np.minimum.reduce(probabilities)


def _unused(path: Path, written: set[Path], sequence: str) -> Path:
    if path in written:
        raise InputError(
            f'{path}: two frames would be written there, the second one by {sequence!r}; use '
            f"{{name}} in the pattern, e.g. '{{name}}/{{id}}.png'"
        )
    return path


def _write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, png = cv2.imencode('.png', mask.astype(np.uint8) * 255)
    write_atomically(path, lambda file: file.write(png.tobytes()))


def read_probability(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Reads a detector's image as (H, W) float32 in [0, 1]; an image of 0 and 1 only is a mask.

    Raises:
        InputError: the image cannot be decoded, or has another size than (H, W) or several channels.
    """
    image = decode_picture(path, cv2.IMREAD_UNCHANGED, 'mask')
    if image.shape != tuple(size) or image.dtype.name not in DEPTHS:
        raise InputError(
            f'{path}: a mask of {"x".join(map(str, image.shape))} ({image.dtype}), its frame is '
            f'{size[0]}x{size[1]} (height x width); write one channel of 8 or 16 bits, without resizing'
        )
    highest = 1 if image.max() <= 1 else DEPTHS[image.dtype.name]
    return image.astype(np.float32) / highest


def limb_radius(sequence: Sequence, share: float) -> np.ndarray:
    """(F,) radius of limbs, px.

    Args:
        sequence: with 2D keypoints.
        share: of the torso's length; frames without a visible torso take the median length of the others.

    Raises:
        InputError: no frame shows a shoulder and a hip.
    """
    points = sequence.keypoints2d
    corners, visible = _torso(points)
    shoulders = _visible_mean(corners[:, SHOULDERS], visible[:, SHOULDERS])
    hips = _visible_mean(corners[:, HIPS], visible[:, HIPS])
    length = np.linalg.norm(shoulders - hips, axis=1)
    valid = length > 0  # False for NaN, too
    if not valid.any():
        raise InputError(
            f'{sequence.name}: no frame shows a shoulder and a hip ({points.skeleton}, {points.source}), '
            f'so limbs have no size; use keypoints that have them'
        )
    return share * np.where(valid, length, np.median(length[valid]))


def _visible_mean(points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(F, 2) mean of the visible ones of (F, N, 2) points; NaN where none is visible."""
    # Not np.nanmean, which warns about frames without any.
    total = np.nansum(np.where(visible[..., None], points, np.nan), 1)
    count = visible.sum(1, keepdims=True)
    return total / np.where(count, count, np.nan)


def limb_mask(points: Keypoints2D, t: int, radius: float, size: tuple[int, int]) -> np.ndarray:
    """Draws capsules along the limbs of frame t whose ends are both visible, and the torso between its corners.

    Args:
        points: 2D keypoints of a sequence.
        t: index of the frame.
        radius: of the capsules, px.
        size: (H, W).

    Returns:
        (H, W) bool.
    """
    xy = points.xy[t].double().numpy()
    visible = points.confidence[t].numpy() > 0
    pairs = [pair for pair in limbs(points.skeleton) if visible[list(pair)].all()]
    ends = xy[np.array(pairs, int).reshape(-1, 2)]
    mask = capsule_mask(ends[:, 0], ends[:, 1], radius, size)
    corners, corners_visible = _torso(points, slice(t, t + 1))
    if corners_visible.all():
        hull = cv2.convexHull(corners[0].astype(np.float32)).round().astype(np.int32)
        mask |= cv2.fillConvexPoly(np.zeros(size, np.uint8), hull, 1) > 0
    return mask


def _torso(points: Keypoints2D, frames: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """(F, 4, 2) corners of the torso, in the order of :data:`CORNERS`, and (F, 4) whether they are visible."""
    joints = index_map(points.skeleton, 'coco17', nearest=True)
    index = [joints[i] for i in TORSO]
    corners = points.xy[frames][:, index].double().numpy()
    visible = points.confidence[frames][:, index].numpy() > 0
    return corners, visible & (np.array(index) >= 0)
