"""Figures of silhouettes, their distance maps and skeletons, and of how a prediction approaches a mask while fitting.

The row shows for any image, target and prediction what Fig. 2 of "Aligning Silhouette Topology for Self-Adaptive 3D
Human Pose Recovery" (NeurIPS 2021) shows; the progress figure follows its Fig. 4D.
"""

from __future__ import annotations

from typing import Optional, Sequence

import cv2
import numpy as np
import torch

from hrtk.errors import InputError
from hrtk.silhouettes.distance import chessboard_distance, topological_skeleton
from hrtk.silhouettes.masks import binary
from hrtk.visualization.overlays import BACKGROUND, FONT

TARGET = (66, 133, 244)
PREDICTION = (234, 94, 66)
BOTH = (250, 205, 70)
TEXT = (30, 30, 30)
GAP = 4  # px between panels
CAPTION_MARGIN = 4  # px
DIM = 80  # grey level of a silhouette behind its skeleton


def topology_row(
    image: np.ndarray, target: np.ndarray, prediction: np.ndarray, height: int = 224
) -> np.ndarray:
    """Draws one row of ten labelled panels: the maps that topology alignment compares.

    The panels are the image; the target's silhouette, its inward distance map, its topological skeleton, and the
    outward distance map of the skeleton; the same four of the prediction; and both silhouettes over the image. Distance
    maps of one kind share a colour scale from 0 (dark) to the largest distance in either of them (bright).

    Args:
        image: (H, W, 3) uint8 RGB, usually a crop.
        target: (H, W) mask, bool, 0 and 1, or 0 and 255.
        prediction: (H, W) mask, bool, 0 and 1, or 0 and 255.
        height: of the panels without their captions, px.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        InputError: an array has another size or other values.
    """
    target_mask = _checked_mask(image, target, 'target')
    predicted_mask = _checked_mask(image, prediction, 'prediction')
    silhouettes = torch.from_numpy(np.stack([target_mask, predicted_mask]))
    skeletons = topological_skeleton(silhouettes)
    inward = _color_maps(chessboard_distance(silhouettes).numpy())
    outward = _color_maps(chessboard_distance(~skeletons).numpy())
    captions = ['picture']
    panels = [image]
    for i, name in enumerate(('target', 'prediction')):
        mask = silhouettes[i].numpy()
        skeleton = skeletons[i].numpy()
        captions += [
            name,
            f'{name}: inward distance',
            f'{name}: skeleton',
            f'{name}: distance to skeleton',
        ]
        panels += [
            _grey_image(mask * 255),
            inward[i],
            _grey_image(np.where(skeleton, 255, mask * DIM)),
            outward[i],
        ]
    captions.append(f'overlap, IoU {_iou_text(target_mask, predicted_mask)}')
    panels.append(draw_overlap(image, target, prediction))
    return image_row(panels, captions, height)


def draw_overlap(
    image: np.ndarray, target: np.ndarray, prediction: np.ndarray, alpha: float = 0.65
) -> np.ndarray:
    """Draws both silhouettes over the grey image: target only in blue, prediction only in red, both in yellow.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        target: (H, W) mask, bool, 0 and 1, or 0 and 255.
        prediction: (H, W) mask, bool, 0 and 1, or 0 and 255.
        alpha: opacity of the colours in [0, 1].

    Raises:
        InputError: an array has another size or other values.
    """
    target = _checked_mask(image, target, 'target')
    prediction = _checked_mask(image, prediction, 'prediction')
    result = _grey_image(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    for area, color in (
        (target & ~prediction, TARGET),
        (prediction & ~target, PREDICTION),
        (target & prediction, BOTH),
    ):
        result[area] += alpha * (np.array(color, np.float32) - result[area])
    return np.rint(result).astype(np.uint8)


def progress_row(
    image: np.ndarray,
    target: np.ndarray,
    predictions: Sequence[np.ndarray],
    captions: Optional[Sequence[str]] = None,
    height: int = 224,
    columns: int = 8,
) -> np.ndarray:
    """Draws how the prediction approaches the target: one overlap panel for each of several iterations.

    Args:
        image: (H, W, 3) uint8 RGB.
        target: (H, W) mask, bool, 0 and 1, or 0 and 255.
        predictions: (H, W) masks in temporal order, at least one.
        captions: one for each prediction, default ``'0'``, ``'1'``, ...; the IoU is appended.
        height: of the panels without their captions, px.
        columns: largest number of panels per row.

    Raises:
        InputError: an array has another size or other values, or the number of captions differs.
    """
    if captions is None:
        captions = [str(i) for i in range(len(predictions))]
    if len(captions) != len(predictions):
        raise InputError(
            f'progress_row: {len(predictions)} predictions have {len(captions)} captions; give one for '
            'each, or none at all'
        )
    target = _checked_mask(image, target, 'target')
    panels = []
    titles = []
    for prediction, caption in zip(predictions, captions):
        mask = _checked_mask(image, prediction, f'prediction {caption!r}')
        panels.append(draw_overlap(image, target, mask))
        titles.append(f'{caption}, IoU {_iou_text(target, mask)}')
    return image_row(panels, titles, height, columns)


def image_row(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    height: int = 224,
    columns: Optional[int] = None,
) -> np.ndarray:
    """Arranges images side by side, each below its caption, scaled to one height.

    Args:
        images: uint8 RGB, all of one shape in (H, W), at least one.
        captions: one for each image.
        height: of the images, px.
        columns: largest number of images per row; default all.

    Raises:
        InputError: there is no image.
    """
    if not images:
        raise InputError('image_row: there is no image to show')
    columns = min(columns or len(images), len(images))
    cells = [_captioned(image, caption, height) for image, caption in zip(images, captions)]
    empty_cells = -len(cells) % columns
    cells += [np.full_like(cells[0], BACKGROUND)] * empty_cells
    border = ((0, GAP), (0, GAP), (0, 0))
    cells = [np.pad(cell, border, constant_values=BACKGROUND) for cell in cells]
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows)[:-GAP, :-GAP]


def _captioned(image: np.ndarray, caption: str, height: int) -> np.ndarray:
    """Scales an image and writes dark text on a strip above it, shrunk to the width of the image."""
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    # Enlarged maps must show their pixels.
    interpolation = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_NEAREST
    scaled = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=interpolation)
    font_scale = max(0.4, height / 500)
    (_, line_height), baseline = cv2.getTextSize('Ag', FONT, font_scale, 1)
    strip_height = line_height + baseline + 2 * CAPTION_MARGIN
    strip = np.full((strip_height, width, 3), BACKGROUND, np.uint8)
    text_width = cv2.getTextSize(caption, FONT, font_scale, 1)[0][0]
    font_scale *= min(1, (width - 2 * CAPTION_MARGIN) / max(text_width, 1))
    origin = (CAPTION_MARGIN, CAPTION_MARGIN + line_height)
    cv2.putText(strip, caption, origin, FONT, font_scale, TEXT, 1, cv2.LINE_AA)
    return np.concatenate([strip, scaled])


def _color_maps(distances: np.ndarray) -> list[np.ndarray]:
    """(N, H, W) px -> N RGB images with one colour scale."""
    levels = np.rint(distances * (255 / max(float(distances.max()), 1))).astype(np.uint8)
    images = []
    for level in levels:
        bgr = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)
        images.append(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    return images


def _grey_image(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)


def _iou_text(a: np.ndarray, b: np.ndarray) -> str:
    union = int((a | b).sum())
    if union == 0:
        return 'undefined'
    return f'{int((a & b).sum()) / union:.2f}'


def _checked_mask(image: np.ndarray, mask: np.ndarray, name: str) -> np.ndarray:
    """The mask as (H, W) bool, after checking it and the image."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f'the image must be (H, W, 3) uint8 RGB, got {image.shape} of {image.dtype}'
        )
    if np.shape(mask) != image.shape[:2]:
        raise InputError(
            f'mask {name}: expected the size {image.shape[:2]} of the image, got {np.shape(mask)}; '
            'cut both from the same crop'
        )
    return binary(np.asarray(mask), f'mask {name}')
