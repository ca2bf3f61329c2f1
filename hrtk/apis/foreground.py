"""Pseudo ground truth for segmenters: what two detectors agree on, and the limbs between keypoints."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Iterable, Optional

import cv2
import numpy as np

from hrtk.body_models.skeletons import index_map, joint_names, limbs
from hrtk.datasets.mask_sources import MaskFiles
from hrtk.errors import InputError
from hrtk.geometry.capsules import capsule_mask
from hrtk.structures import Keypoints2D, Sequence

TORSO = [
    joint_names('coco17').index(name)
    for name in ('left_shoulder', 'right_shoulder', 'right_hip_lsp', 'left_hip_lsp')
]
RADIUS, THRESHOLD = 0.12, 0.2


@dataclasses.dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        frames: number of masks.
        empty: how many of them show nobody.
        agreed: share of the foreground's pixels that both detectors saw.
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
) -> Made:
    """Writes ``(A and B) or limbs`` for every frame of a data set (few-shot adaptation thesis, Eq. 3).

    A and B are masks, or probabilities of which the smaller one counts; what is below the threshold is no foreground.

    Args:
        dataset: sequences with 2D keypoints.
        first: folder of detector A's pictures, of one channel and as large as the frames: masks of 0 and 255 (or 0
            and 1), or probabilities times 255 (65535 for 16 bits).
        second: that of detector B.
        output: folder to write, for :class:`~hrtk.datasets.mask_sources.MaskFiles` with the same pattern.
        pattern: of files in all three folders, see :class:`~hrtk.datasets.mask_sources.MaskFiles`.
        radius: of the limbs, as a share of the torso's length between the middles of shoulders and hips. The thesis
            gives none.
        threshold: 0.2 in the thesis.

    Raises:
        InputError: a folder or picture is missing, broken or of another size, two frames share a file, a sequence shows
            no torso, or a number is out of range.
    """
    if not 0 < threshold <= 1 or not radius > 0:
        raise InputError(
            f'make_foreground: threshold is a probability and radius positive, not {threshold}, {radius}'
        )
    detectors = [MaskFiles(folder, pattern) for folder in (first, second)]
    if Path(output).resolve() in [source.folder.resolve() for source in detectors]:
        raise InputError(
            f'{output}: masks are not written into the folder of a detector; name another one'
        )
    Path(output).mkdir(parents=True, exist_ok=True)
    target, written, empty, areas = MaskFiles(output, pattern), set(), 0, np.zeros(2)
    for sequence in dataset:
        for source in detectors:
            source.masks(sequence)  # complains now about files that are missing
        points, reach = sequence.keypoints2d, limb_radius(sequence, radius)
        for t in range(len(sequence)):
            path, size = target.path(sequence, t), sequence.frames[t].shape[:2]
            if path in written:
                raise InputError(
                    f'{path}: two frames would be written there, the second one by {sequence.name!r}; use '
                    f"{{name}} in the pattern, e.g. '{{name}}/{{id}}.png'"
                )
            written.add(path)
            both = (
                np.minimum(
                    *(read_probability(source.path(sequence, t), size) for source in detectors)
                )
                >= threshold
            )
            mask = both | limb_mask(points, t, reach[t], size)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode('.png', mask.astype(np.uint8) * 255)[1].tobytes())
            empty += not mask.any()
            areas += both.sum(), mask.sum()
    if not written:
        raise InputError('make_foreground: the data set holds no sequence; check its paths')
    return Made(len(written), empty, float(areas[0] / max(areas[1], 1)))


def read_probability(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A detector's picture as (H, W) float32 in [0, 1]; one of 0 and 1 alone is a mask.

    Raises:
        InputError: it cannot be decoded, or has another size than (H, W) or several channels.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if picture is None:
        raise InputError(
            f'{path}: OpenCV cannot decode this mask ({len(data)} bytes); write it as PNG again'
        )
    if picture.shape != tuple(size) or picture.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f'{path}: a mask of {"x".join(map(str, picture.shape))} ({picture.dtype}), its frame is '
            f'{size[0]}x{size[1]} (height x width); write one channel of 8 or 16 bits, without resizing'
        )
    return picture.astype(np.float32) / (1 if picture.max() <= 1 else np.iinfo(picture.dtype).max)


def limb_radius(sequence: Sequence, share: float) -> np.ndarray:
    """(F,) px: a share of the torso's length, that of the middle frame of all where it cannot be seen.

    Raises:
        InputError: no frame shows a shoulder and a hip.
    """
    points = sequence.keypoints2d
    corners, seen = _torso(points)
    middles = [np.where(seen[:, pair, None], corners[:, pair], np.nan) for pair in ([0, 1], [2, 3])]
    # The mean of those that are seen; numpy's own would warn about frames without any.
    counts = [seen[:, pair].sum(1, keepdims=True) for pair in ([0, 1], [2, 3])]
    shoulders, hips = (np.nansum(m, 1) / np.where(n, n, np.nan) for m, n in zip(middles, counts))
    length = np.linalg.norm(shoulders - hips, axis=1)
    if not (length > 0).any():
        raise InputError(
            f'{sequence.name}: no frame shows a shoulder and a hip ({points.skeleton}, {points.source}), '
            f'so limbs have no size; use keypoints that have them'
        )
    return share * np.where(length > 0, length, np.median(length[length > 0]))


def limb_mask(points: Keypoints2D, t: int, radius: float, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: capsules along the limbs of frame t whose ends are both there, and the torso between its corners."""
    xy, there = points.xy[t].double().numpy(), points.confidence[t].numpy() > 0
    pairs = [pair for pair in limbs(points.skeleton) if there[list(pair)].all()]
    starts, ends = (xy[[pair[k] for pair in pairs]].reshape(-1, 2) for k in (0, 1))
    mask = capsule_mask(starts, ends, radius, size)
    corners, seen = _torso(points, t)
    if seen.all():
        hull = cv2.convexHull(corners[0].astype(np.float32)).round().astype(np.int32)
        mask |= cv2.fillConvexPoly(np.zeros(size, np.uint8), hull, 1) > 0
    return mask


def _torso(points: Keypoints2D, t: Optional[int] = None) -> tuple[np.ndarray, np.ndarray]:
    """(F, 4, 2) corners of the torso and (F, 4) whether they are there, or of one frame."""
    part: Any = slice(None) if t is None else slice(t, t + 1)
    index = [index_map(points.skeleton, 'coco17', nearest=True)[i] for i in TORSO]
    there = (points.confidence[part][:, index].numpy() > 0) & (np.array(index) >= 0)
    return points.xy[part][:, index].double().numpy(), there
