"""Bodies and keypoints drawn over images, and the row of panels input | before | after | side view."""

from __future__ import annotations

from typing import Optional, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import joint_names, limbs
from hrtk.errors import InputError
from hrtk.geometry.camera import crop_to_image_camera, distant_focal
from hrtk.structures import Prediction
from hrtk.visualization.render import BLUE, PINK, Color, Region, draw_mesh

PANELS = ('input', 'before', 'after', 'side')
MIN_HEIGHT = 320  # px of a panel
MAX_WIDTH = 1280
BACKGROUND = 246  # grey level of plain backgrounds
WHITE = (255, 255, 255)
LEFT_COLOR = (66, 133, 244)  # of the person's left
RIGHT_COLOR = (234, 94, 66)
MIDDLE_COLOR = (122, 186, 80)
FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPTION_MARGIN = 6  # px
FRACTION_BITS = 4  # of OpenCV's fixed-point coordinates: sixteenths of a pixel
FIXED = 1 << FRACTION_BITS


def overlay(
    image: np.ndarray,
    prediction: Prediction,
    boxes: Tensor,
    body: BodyModel,
    color: Color | np.ndarray = BLUE,
    alpha: float = 0.9,
) -> np.ndarray:
    """Draws all predicted bodies of one image, nearer ones over farther ones.

    Args:
        image: (H, W, 3) uint8 RGB.
        prediction: B people of this image.
        boxes: (B, 3) their crop boxes ``[cx, cy, side]``, px.
        body: the body model of the prediction.
        color: RGB in [0, 1], one for all or (B, 3).
        alpha: opacity in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.
    """
    return _View(image, _whole(image), 1.0).draw(prediction, boxes, body, color, alpha)


def draw_keypoints(
    image: np.ndarray, keypoints: np.ndarray, skeleton: str, threshold: float = 0.0
) -> np.ndarray:
    """Draws 2D keypoints as dots and limbs: the person's left in blue, the right in red, the rest in green.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        keypoints: (K, 3) x, y in pixels, confidence.
        skeleton: name of the joint list.
        threshold: only keypoints of a higher confidence are drawn.

    Raises:
        InputError: the skeleton is unknown or has another number of joints.
    """
    names = joint_names(skeleton)
    if np.shape(keypoints) != (len(names), 3):
        raise InputError(
            f'keypoints of skeleton {skeleton!r} must be ({len(names)}, 3), got {np.shape(keypoints)}'
        )
    result = image.copy()
    visible = np.isfinite(keypoints).all(1) & (keypoints[:, 2] > threshold)
    width = max(1, round(min(image.shape[:2]) / 180))
    # Clipped, because OpenCV's coordinates are 32-bit integers.
    xy = np.clip(np.nan_to_num(keypoints[:, :2]), -1e5, 1e5)
    points = np.rint(xy * FIXED).astype(int).tolist()
    colors = [_side_color(name) for name in names]
    for a, b in limbs(skeleton):
        if visible[a] and visible[b]:
            color = MIDDLE_COLOR
            if colors[a] == colors[b]:
                color = colors[a]
            cv2.line(result, points[a], points[b], color, width, cv2.LINE_AA, FRACTION_BITS)
    for index in np.flatnonzero(visible):
        centre = points[index]
        outer = (width + 1) * FIXED
        inner = width * FIXED + 6
        cv2.circle(result, centre, outer, WHITE, -1, cv2.LINE_AA, FRACTION_BITS)
        cv2.circle(result, centre, inner, colors[index], -1, cv2.LINE_AA, FRACTION_BITS)
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
    side: Optional[Prediction] = None,
) -> np.ndarray:
    """Draws a row of panels: input with its 2D keypoints | before | after | after, seen from the side.

    Args:
        image: (H, W, 3) uint8 RGB.
        before: prediction of the source model, one person.
        after: the adapted prediction, one person.
        box: (3,) crop box ``[cx, cy, side]``, px.
        body: the body model of both predictions.
        keypoints: (K, 3) x, y in pixels of ``image``, confidence; or None.
        skeleton: joint list of ``keypoints``.
        region: region of ``image`` to show; default the whole image.
        title: caption of the input, for example the frame and the source of the keypoints.
        panels: any of ``'input'``, ``'before'``, ``'after'`` and ``'side'``.
        max_height: largest height of the row, px. Small regions are enlarged to 320 px before the body is drawn.
        side: the body that is drawn from the side, for example turned into the camera frame; default ``after``.

    Returns:
        (h, len(panels) * w, 3) uint8 RGB; h is lower where w would otherwise exceed 1280.

    Raises:
        InputError: a panel is unknown, or the keypoints do not fit the skeleton.
    """
    if region is None:
        region = _whole(image)
    view = _View.fitting(image, region, max_height)
    boxes = box[None]
    row = []
    for panel in panels:
        caption = panel
        if panel == 'input':
            caption = title
            drawn = view.image
            if keypoints is not None:
                drawn = view.draw_keypoints(keypoints, skeleton)
        elif panel == 'before':
            drawn = view.draw(before, boxes, body, PINK, 0.9)
        elif panel == 'after':
            drawn = view.draw(after, boxes, body, BLUE, 0.9)
        elif panel == 'side':
            caption = 'after, from the side'
            shown = after if side is None else side
            drawn = view.draw_from_side(shown, boxes, body)
        else:
            raise InputError(f'before_after: there is no panel {panel!r}; use {", ".join(PANELS)}')
        row.append(with_caption(drawn, caption))
    return np.concatenate(row, axis=1)


def person_region(boxes: Tensor, image_size: tuple[int, int], margin: float = 1.25) -> Region:
    """The region of an image that contains all crop boxes, widened by a factor and cut at the border.

    Args:
        boxes: (N, 3) ``[cx, cy, side]``, px.
        image_size: (width, height), px.
        margin: factor on the sides of the boxes.
    """
    half = boxes[:, 2:] * (margin / 2)
    low = (boxes[:, :2] - half).amin(0).floor().clamp(min=0)
    high = torch.minimum((boxes[:, :2] + half).amax(0).ceil() + 1, torch.tensor(image_size))
    x0, y0 = map(int, low.tolist())
    x1, y1 = map(int, high.tolist())
    if x1 - x0 < 2 or y1 - y0 < 2:  # the box lies outside its image: show the whole image
        return Region(0, 0, *image_size)
    return Region(x0, y0, x1, y1)


def contact_sheet(images: Sequence[np.ndarray], columns: int = 1, width: int = 1280) -> np.ndarray:
    """Arranges images in rows on a plain background, each scaled to the width of its column.

    Args:
        images: uint8 RGB of any size, at least one.
        columns: images per row.
        width: of the sheet, px.
    """
    column_width = width // columns
    rows = []
    for start in range(0, len(images), columns):
        scaled = [_scaled_to_width(x, column_width) for x in images[start : start + columns]]
        height = max(image.shape[0] for image in scaled)
        row = np.full((height, column_width * columns, 3), BACKGROUND, np.uint8)
        for i, image in enumerate(scaled):
            row[: image.shape[0], i * column_width : (i + 1) * column_width] = image
        rows.append(row)
    return np.concatenate(rows)


class _View:
    """A region of an image, scaled, with the camera of the scaled region.

    Args:
        image: (H, W, 3) uint8 RGB, the source image.
        region: the region to show.
        scale: of the region.
    """

    def __init__(self, image: np.ndarray, region: Region, scale: float) -> None:
        self.region = region
        self.scale = scale
        self.image = _scaled(image[region.y0 : region.y1, region.x0 : region.x1], scale)
        self.source_size = (image.shape[1], image.shape[0])
        self.source_focal = distant_focal(self.source_size)
        self.focal = self.source_focal * scale
        source_centre = [(self.source_size[0] - 1) / 2, (self.source_size[1] - 1) / 2]
        self.centre = tuple(self.to_view(np.array([source_centre]))[0])

    @classmethod
    def fitting(cls, image: np.ndarray, region: Region, max_height: int) -> _View:
        """Scales the region to a height between 320 px and ``max_height``; a very wide region by its width."""
        height = region.y1 - region.y0
        width = region.x1 - region.x0
        fitting_height = np.clip(height, MIN_HEIGHT, max_height)
        return cls(image, region, min(fitting_height / height, MAX_WIDTH / width))

    def to_view(self, xy: np.ndarray) -> np.ndarray:
        """(N, 2) source pixels -> pixels of the view."""
        return (xy - (self.region.x0, self.region.y0) + 0.5) * self.scale - 0.5

    def draw_keypoints(self, keypoints: np.ndarray, skeleton: str) -> np.ndarray:
        """Draws keypoints given in source pixels."""
        view_keypoints = np.array(keypoints, np.float64)
        view_keypoints[:, :2] = self.to_view(view_keypoints[:, :2])
        return draw_keypoints(self.image, view_keypoints, skeleton)

    def draw(
        self,
        prediction: Prediction,
        boxes: Tensor,
        body: BodyModel,
        color: Color | np.ndarray,
        alpha: float,
    ) -> np.ndarray:
        """Draws B bodies in (B, 3) crop boxes as one mesh, so that they are sorted by depth."""
        vertices = _vertices(prediction, body)
        faces = body.faces.cpu().numpy()
        mesh = vertices + self._translation(prediction, boxes)[:, None]
        colors = np.broadcast_to(color, (len(vertices), 3)).repeat(vertices.shape[1], axis=0)
        first_vertices = np.arange(len(vertices))[:, None, None] * vertices.shape[1]
        return draw_mesh(
            self.image,
            mesh.reshape(-1, 3),
            (faces + first_vertices).reshape(-1, 3),
            self.focal,
            self.centre,
            colors,
            alpha,
        )

    def draw_from_side(self, prediction: Prediction, boxes: Tensor, body: BodyModel) -> np.ndarray:
        """Draws a body turned by 90 degrees about its vertical axis, at the same scale, in the middle of the view."""
        vertices = _vertices(prediction, body)[0]
        depth = self._translation(prediction, boxes)[0, 2]
        middle = (vertices.min(0) + vertices.max(0)) / 2
        turned = (vertices - middle) @ np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        background = np.full_like(self.image, BACKGROUND)
        # Seen from the side, a body may exceed the view; then it is moved away until it fits.
        extent = np.abs(turned[:, :2]).max(0) * self.focal / depth
        limit = np.array([background.shape[1], background.shape[0]]) * 0.48
        excess = max(1.0, float((extent / limit).max()))
        return draw_mesh(
            background, turned + (0, 0, depth * excess), body.faces.cpu().numpy(), self.focal
        )

    def _translation(self, prediction: Prediction, boxes: Tensor) -> np.ndarray:
        """(B, 3) translations into the camera of the source image, metres."""
        return crop_to_image_camera(
            prediction.camera.cpu(), boxes.cpu(), self.source_size, self.source_focal
        ).numpy()


@torch.no_grad()
def _vertices(prediction: Prediction, body: BodyModel) -> np.ndarray:
    """(B, V, 3) metres."""
    device = body.faces.device
    return body(prediction.rotmat.to(device), prediction.betas.to(device)).vertices.cpu().numpy()


def _whole(image: np.ndarray) -> Region:
    return Region(0, 0, image.shape[1], image.shape[0])


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=interpolation)


def _scaled_to_width(image: np.ndarray, width: int) -> np.ndarray:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _side_color(joint: str) -> tuple[int, int, int]:
    """The colour of a joint's side of the body."""
    if joint.startswith('left_'):
        return LEFT_COLOR
    if joint.startswith('right_'):
        return RIGHT_COLOR
    return MIDDLE_COLOR


def with_caption(image: np.ndarray, text: str) -> np.ndarray:
    """Writes white text on a dark strip in the upper left corner of a copy, shrunk to the width of the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        text: one line.
    """
    scale = max(0.4, min(0.7, image.shape[0] / 900))
    width = cv2.getTextSize(text, FONT, scale, 1)[0][0]
    scale *= min(1, (image.shape[1] - 2 * CAPTION_MARGIN) / max(width, 1))
    (width, height), baseline = cv2.getTextSize(text, FONT, scale, 1)
    result = np.ascontiguousarray(image).copy()
    strip = result[: height + baseline + CAPTION_MARGIN, : width + 2 * CAPTION_MARGIN]
    strip[...] = strip // 4 + 20
    origin = (CAPTION_MARGIN, height + CAPTION_MARGIN // 2)
    cv2.putText(result, text, origin, FONT, scale, WHITE, 1, cv2.LINE_AA)
    return result
