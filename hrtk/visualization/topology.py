"""Pictures of silhouettes, their distance maps and their skeletons, and of how they come together while fitting.

The row shows, for any picture, target and prediction, what Fig. 2 of "Aligning Silhouette Topology for Self-Adaptive 3D
Human Pose Recovery" (NeurIPS 2021) does; the progress picture is that of its Fig. 4D.
"""

from __future__ import annotations

from typing import Optional, Sequence

import cv2
import numpy as np
import torch

from hrtk.errors import InputError
from hrtk.geometry.distance import chessboard_distance, topological_skeleton
from hrtk.geometry.masks import binary
from hrtk.visualization.overlay import PAPER

TARGET, PREDICTION, BOTH = (66, 133, 244), (234, 94, 66), (250, 205, 70)
GAP = 4  # px between panels
DIM = 80  # grey level of a silhouette behind its skeleton


def topology_row(
    image: np.ndarray, target: np.ndarray, prediction: np.ndarray, height: int = 224
) -> np.ndarray:
    """One row of ten labelled panels: what topology alignment compares.

    They are the picture; the target's silhouette, its inward distance map, its topological skeleton, and the outward
    distance map of the skeleton; the same four of the prediction; and both silhouettes over the picture. Distance maps
    of one kind share their colours, dark being 0 and bright the largest distance in either of them.

    Args:
        image: (H, W, 3) uint8 RGB, usually a crop.
        target: (H, W) mask, bool, 0 and 1, or 0 and 255.
        prediction: (H, W), the same.
        height: of the panels without their captions, px.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        InputError: an array has another size or other values.
    """
    masks = [_mask(image, target, 'target'), _mask(image, prediction, 'prediction')]
    silhouettes = torch.from_numpy(np.stack(masks))
    skeletons = topological_skeleton(silhouettes)
    inward = _coloured(chessboard_distance(silhouettes).numpy())
    outward = _coloured(chessboard_distance(~skeletons).numpy())
    panels = [('picture', image)]
    for name, mask, skeleton, d_in, d_out in zip(
        ('target', 'prediction'), masks, skeletons.numpy(), inward, outward
    ):
        panels += [
            (name, _grey(mask * 255)),
            (f'{name}: inward distance', d_in),
            (f'{name}: skeleton', _grey(np.where(skeleton, 255, mask * DIM))),
            (f'{name}: distance to skeleton', d_out),
        ]
    panels.append((f'overlap, IoU {_iou(*masks)}', draw_overlap(image, target, prediction)))
    return picture_row([panel for _, panel in panels], [name for name, _ in panels], height)


def draw_overlap(
    image: np.ndarray, target: np.ndarray, prediction: np.ndarray, alpha: float = 0.65
) -> np.ndarray:
    """Both silhouettes over the grey picture: the target's own part blue, the prediction's red, the common one yellow.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        target: (H, W) mask, bool, 0 and 1, or 0 and 255.
        prediction: (H, W), the same.
        alpha: opacity of the colours in [0, 1].

    Raises:
        InputError: an array has another size or other values.
    """
    target, prediction = _mask(image, target, 'target'), _mask(image, prediction, 'prediction')
    result = _grey(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    for part, color in (
        (target & ~prediction, TARGET),
        (prediction & ~target, PREDICTION),
        (target & prediction, BOTH),
    ):
        result[part] += alpha * (np.array(color, np.float32) - result[part])
    return np.rint(result).astype(np.uint8)


def progress_row(
    image: np.ndarray,
    target: np.ndarray,
    predictions: Sequence[np.ndarray],
    captions: Optional[Sequence[str]] = None,
    height: int = 224,
    columns: int = 8,
) -> np.ndarray:
    """How the prediction comes to cover the target: one overlap panel for each of several iterations.

    Args:
        image: (H, W, 3) uint8 RGB.
        target: (H, W) mask, bool, 0 and 1, or 0 and 255.
        predictions: (H, W) masks in order of time, at least one.
        captions: one text for each, default ``'0'``, ``'1'``, ...; the IoU is added to them.
        height: of the panels without their captions, px.
        columns: most panels in a row; more go into further rows.

    Raises:
        InputError: an array has another size or other values, or there are not as many captions.
    """
    captions = [str(i) for i in range(len(predictions))] if captions is None else list(captions)
    if len(captions) != len(predictions):
        raise InputError(
            f'progress_row: {len(predictions)} predictions have {len(captions)} captions; give one for '
            'each, or none at all'
        )
    target = _mask(image, target, 'target')
    titles = [
        f'{caption}, IoU {_iou(target, _mask(image, mask, f"prediction {caption!r}"))}'
        for caption, mask in zip(captions, predictions)
    ]
    return picture_row(
        [draw_overlap(image, target, mask) for mask in predictions], titles, height, columns
    )


def picture_row(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    height: int = 224,
    columns: Optional[int] = None,
) -> np.ndarray:
    """Pictures side by side, each under its caption, scaled to one height.

    Args:
        pictures: uint8 RGB, all of one shape in (H, W), at least one.
        captions: one for each.
        height: of the pictures, px.
        columns: most pictures in a row; more go into further rows. Default all.

    Raises:
        InputError: there is no picture.
    """
    if not pictures:
        raise InputError('picture_row: there is no picture to show')
    columns = min(columns or len(pictures), len(pictures))
    cells = [_titled(picture, caption, height) for picture, caption in zip(pictures, captions)]
    cells += [np.full_like(cells[0], PAPER)] * (-len(cells) % columns)
    cells = [np.pad(cell, ((0, GAP), (0, GAP), (0, 0)), constant_values=PAPER) for cell in cells]
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows)[:-GAP, :-GAP]


def _titled(picture: np.ndarray, caption: str, height: int) -> np.ndarray:
    """Dark text on a strip above the picture, where it hides nothing; shrunk to the width of the picture."""
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    how = (
        cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_NEAREST
    )  # pixels of maps stay visible
    picture = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=how)
    font, scale, margin = cv2.FONT_HERSHEY_SIMPLEX, max(0.4, height / 500), 4
    full, below = cv2.getTextSize('Ag', font, scale, 1)
    needed = cv2.getTextSize(caption, font, scale, 1)[0][0]
    strip = np.full((full[1] + below + 2 * margin, width, 3), PAPER, np.uint8)
    cv2.putText(
        strip,
        caption,
        (margin, margin + full[1]),
        font,
        scale * min(1, (width - 2 * margin) / max(needed, 1)),
        (30, 30, 30),
        1,
        cv2.LINE_AA,
    )
    return np.concatenate([strip, picture])


def _coloured(distances: np.ndarray) -> list[np.ndarray]:
    """(N, H, W) px -> N RGB pictures with one scale."""
    levels = np.rint(distances * (255 / max(float(distances.max()), 1))).astype(np.uint8)
    return [
        cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
        for level in levels
    ]


def _grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)


def _iou(a: np.ndarray, b: np.ndarray) -> str:
    union = int((a | b).sum())
    return f'{int((a & b).sum()) / union:.2f}' if union else 'undefined'


def _mask(image: np.ndarray, mask: np.ndarray, name: str) -> np.ndarray:
    """(H, W) bool."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f'the picture must be (H, W, 3) uint8 RGB, got {image.shape} of {image.dtype}'
        )
    if np.shape(mask) != image.shape[:2]:
        raise InputError(
            f'mask {name}: expected the size {image.shape[:2]} of the picture, got {np.shape(mask)}; '
            'cut both from the same crop'
        )
    return binary(np.asarray(mask), f'mask {name}')
