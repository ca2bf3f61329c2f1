"""Bodies and keypoints over the pictures they were estimated from, and the panel before | after | side view."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names, limbs
from hrtk.errors import InputError
from hrtk.geometry.camera import crop_to_image_camera, default_focal
from hrtk.structures import Prediction
from hrtk.visualization.render import BLUE, PINK, Color, draw_mesh

PANELS = ('input', 'before', 'after', 'side')
MIN_HEIGHT, MAX_WIDTH = 320, 1280
PAPER = 246  # grey level of plain backgrounds
LEFT, RIGHT, MIDDLE = (66, 133, 244), (234, 94, 66), (122, 186, 80)  # of the body's own sides


class Region(NamedTuple):
    """A rectangle of whole pixels of the source image, ``x0 <= x < x1``, ``y0 <= y < y1``."""

    x0: int
    y0: int
    x1: int
    y1: int


def overlay(
    image: np.ndarray,
    prediction: Prediction,
    boxes: Tensor,
    body: BodyModel,
    color: Color = BLUE,
    alpha: float = 0.9,
) -> np.ndarray:
    """Draws all predicted bodies of one picture, nearer ones over farther ones.

    Args:
        image: (H, W, 3) uint8 RGB.
        prediction: B people of this picture.
        boxes: (B, 3) their crop boxes ``[cx, cy, side]``, px.
        body: the body model that the prediction is for.
        color: RGB in [0, 1].
        alpha: opacity in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.
    """
    view = _View(image, Region(0, 0, image.shape[1], image.shape[0]), 1.0)
    return view.draw(
        _vertices(prediction, body), _translation(prediction, boxes, image), body, color, alpha
    )


def draw_keypoints(
    image: np.ndarray, keypoints: np.ndarray, skeleton: str, threshold: float = 0.0
) -> np.ndarray:
    """Draws 2D keypoints as dots and limbs: the body's left blue, its right red, the rest green.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        keypoints: (K, 3) x, y in pixels, confidence.
        skeleton: name of the joint list.
        threshold: points whose confidence is not above it are left out.

    Raises:
        InputError: the skeleton is unknown or has another number of joints.
    """
    names = joint_names(skeleton)
    if np.shape(keypoints) != (len(names), 3):
        raise InputError(
            f'keypoints of skeleton {skeleton!r} must be ({len(names)}, 3), got {np.shape(keypoints)}'
        )
    result = image.copy()
    seen = np.isfinite(keypoints).all(1) & (keypoints[:, 2] > threshold)
    size = max(1, round(min(image.shape[:2]) / 180))
    # Sixteenths of a pixel, OpenCV's fixed point; far points are cut short of its integer range.
    places = [
        tuple(int(v) for v in np.rint(np.clip(np.nan_to_num(p[:2]), -1e5, 1e5) * 16))
        for p in keypoints
    ]
    for a, b in limbs(skeleton):
        if seen[a] and seen[b]:
            color = _side(names[a]) if _side(names[a]) == _side(names[b]) else MIDDLE
            cv2.line(result, places[a], places[b], color, size, cv2.LINE_AA, 4)
    for index in np.flatnonzero(seen):
        cv2.circle(result, places[index], (size + 1) * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
        cv2.circle(result, places[index], size * 16 + 6, _side(names[index]), -1, cv2.LINE_AA, 4)
    return result


def before_after(
    image: np.ndarray,
    before: Prediction,
    after: Prediction,
    box: Tensor,
    body: BodyModel,
    keypoints: Optional[np.ndarray] = None,
    skeleton: str = 'coco17',
    region: Optional[Region] = None,
    title: str = 'input',
    panels: Sequence[str] = PANELS,
    max_height: int = 720,
) -> np.ndarray:
    """One row of pictures: input with its 2D keypoints | before | after | after, seen from the side.

    Args:
        image: (H, W, 3) uint8 RGB.
        before: the start model's prediction, one person.
        after: the adapted prediction, one person.
        box: (3,) crop box ``[cx, cy, side]``, px.
        body: the body model of both.
        keypoints: (K, 3) x, y in pixels of ``image``, confidence; or None.
        skeleton: joint list of ``keypoints``.
        region: the part of ``image`` to show; default all of it.
        title: caption of the input, for example the frame and the source of the keypoints.
        panels: which pictures, of ``'input'``, ``'before'``, ``'after'`` and ``'side'``.
        max_height: largest height of the row, px. Small regions are enlarged to 320 px before the body is drawn.

    Returns:
        (h, len(panels) * w, 3) uint8 RGB; h is lower where w would otherwise pass 1280.

    Raises:
        InputError: there is no such panel, or the keypoints do not fit the skeleton.
    """
    view = _View.fitting(image, region or Region(0, 0, image.shape[1], image.shape[0]), max_height)

    def draw(panel: str) -> np.ndarray:
        if panel == 'input':
            return _caption(
                view.image if keypoints is None else view.draw_keypoints(keypoints, skeleton), title
            )
        if panel == 'side':
            return _caption(_side_view(view, after, box, image, body), 'after, from the side')
        if panel not in PANELS:
            raise InputError(f'before_after: there is no panel {panel!r}; use {", ".join(PANELS)}')
        prediction, color = (before, PINK) if panel == 'before' else (after, BLUE)
        translation = _translation(prediction, box[None], image)
        return _caption(
            view.draw(_vertices(prediction, body), translation, body, color, 0.9), panel
        )

    return np.concatenate([draw(panel) for panel in panels], axis=1)


def person_region(boxes: Tensor, image_size: tuple[int, int], margin: float = 1.25) -> Region:
    """The part of an image that holds all the given crop boxes, widened by a factor and cut at the border.

    Args:
        boxes: (N, 3) ``[cx, cy, side]``, px.
        image_size: (width, height), px.
        margin: factor on the sides of the boxes.
    """
    half = boxes[:, 2:] * (margin / 2)
    low = (boxes[:, :2] - half).amin(0).floor().clamp(min=0)
    high = torch.minimum((boxes[:, :2] + half).amax(0).ceil() + 1, torch.tensor(image_size))
    x0, y0, x1, y1 = (int(v) for v in (*low, *high))
    if x1 - x0 < 2 or y1 - y0 < 2:  # a box outside of its picture: show the picture
        return Region(0, 0, *image_size)
    return Region(x0, y0, x1, y1)


class _View:
    """A region of an image, scaled, and the camera that belongs to it."""

    def __init__(self, image: np.ndarray, region: Region, scale: float) -> None:
        cut = image[region.y0 : region.y1, region.x0 : region.x1]
        size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        self.image = (
            cut if scale == 1 else cv2.resize(np.ascontiguousarray(cut), size, interpolation=how)
        )
        self.region, self.scale = region, scale
        source = image.shape[1], image.shape[0]
        self.focal = default_focal(source) * scale
        self.centre = tuple(self.place(np.array([[(source[0] - 1) / 2, (source[1] - 1) / 2]]))[0])

    @classmethod
    def fitting(cls, image: np.ndarray, region: Region, max_height: int) -> _View:
        """Scales the region so that its height is sane; a very wide one by its width."""
        height, width = region.y1 - region.y0, region.x1 - region.x0
        return cls(
            image, region, min(np.clip(height, MIN_HEIGHT, max_height) / height, MAX_WIDTH / width)
        )

    def place(self, xy: np.ndarray) -> np.ndarray:
        """(N, 2) source pixels -> pixels of the view."""
        return (xy - (self.region.x0, self.region.y0) + 0.5) * self.scale - 0.5

    def draw_keypoints(self, keypoints: np.ndarray, skeleton: str) -> np.ndarray:
        """Draws keypoints given in source pixels."""
        placed = np.array(keypoints, np.float64)
        placed[:, :2] = self.place(placed[:, :2])
        return draw_keypoints(self.image, placed, skeleton)

    def draw(
        self,
        vertices: np.ndarray,
        translation: np.ndarray,
        body: BodyModel,
        color: Color,
        alpha: float,
    ) -> np.ndarray:
        """Draws (B, V, 3) bodies at (B, 3) translations as one mesh, so that depth sorts them."""
        faces = body.faces.cpu().numpy()
        offsets = np.arange(len(vertices))[:, None, None] * vertices.shape[1]
        mesh = (vertices + translation[:, None]).reshape(-1, 3)
        return draw_mesh(
            self.image,
            mesh,
            (faces + offsets).reshape(-1, 3),
            self.focal,
            self.centre,
            color,
            alpha,
        )


@torch.no_grad()
def _vertices(prediction: Prediction, body: BodyModel) -> np.ndarray:
    device = body.faces.device
    return body(prediction.rotmat.to(device), prediction.betas.to(device)).vertices.cpu().numpy()


def _translation(prediction: Prediction, boxes: Tensor, image: np.ndarray) -> np.ndarray:
    size = image.shape[1], image.shape[0]
    return crop_to_image_camera(
        prediction.camera.cpu(), boxes.cpu(), size, default_focal(size)
    ).numpy()


def _side_view(
    view: _View, prediction: Prediction, box: Tensor, image: np.ndarray, body: BodyModel
) -> np.ndarray:
    """The body turned by 90 degrees about the vertical through its middle, at its own size, in the middle."""
    vertices = _vertices(prediction, body)[0]
    depth = _translation(prediction, box[None], image)[0, 2]
    middle = (vertices.min(0) + vertices.max(0)) / 2
    turned = (vertices - middle) @ np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    paper = np.full_like(view.image, PAPER)
    # A body may stretch over more than the view once it is seen from the side; then it is drawn smaller.
    reach = (
        np.abs(turned[:, :2]).max(0)
        * view.focal
        / depth
        / (np.array([paper.shape[1], paper.shape[0]]) * 0.48)
    )
    drawn = turned + (0, 0, depth * max(1.0, float(reach.max())))
    return draw_mesh(paper, drawn, body.faces.cpu().numpy(), view.focal)


def _side(name: str) -> tuple[int, int, int]:
    return LEFT if name.startswith('left_') else RIGHT if name.startswith('right_') else MIDDLE


def _caption(image: np.ndarray, text: str) -> np.ndarray:
    """White text on a dark strip in the upper left corner, shrunk to the width of the picture."""
    font, scale, margin = cv2.FONT_HERSHEY_SIMPLEX, max(0.4, min(0.7, image.shape[0] / 900)), 6
    width = cv2.getTextSize(text, font, scale, 1)[0][0]
    scale *= min(1, (image.shape[1] - 2 * margin) / max(width, 1))
    (width, height), below = cv2.getTextSize(text, font, scale, 1)
    result = np.ascontiguousarray(image).copy()
    strip = result[: height + below + margin, : width + 2 * margin]
    strip[...] = strip // 4 + 20
    cv2.putText(
        result, text, (margin, height + margin // 2), font, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
    return result


def contact_sheet(
    pictures: Sequence[np.ndarray], columns: int = 1, width: int = 1280
) -> np.ndarray:
    """Lays pictures out in rows on plain paper, each scaled to the same width.

    Args:
        pictures: uint8 RGB of any size, at least one.
        columns: pictures in a row.
        width: of the sheet, px.
    """
    cell = width // columns
    scaled = [
        cv2.resize(
            p, (cell, max(1, round(p.shape[0] * cell / p.shape[1]))), interpolation=cv2.INTER_AREA
        )
        for p in pictures
    ]
    rows = []
    for start in range(0, len(scaled), columns):
        row = scaled[start : start + columns]
        height = max(p.shape[0] for p in row)
        sheet = np.full((height, cell * columns, 3), PAPER, np.uint8)
        for i, picture in enumerate(row):
            sheet[: picture.shape[0], i * cell : (i + 1) * cell] = picture
        rows.append(sheet)
    return np.concatenate(rows)
