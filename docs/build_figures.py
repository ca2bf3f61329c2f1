"""Draws the figures of docs/en/conventions.md: ``python docs/build_figures.py``.

matplotlib is installed with mmengine.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hrtk.body_models import BodyModel
from hrtk.datasets import OpenStream
from hrtk.geometry.boxes import boxes_from_keypoints, crop_image, to_crop
from hrtk.geometry.camera import crop_to_image_camera, fit_weak_perspective
from hrtk.structures import Sequence
from hrtk.visualization.render import draw_mesh, project_points

FOLDER = Path(__file__).parent / 'en/images'
RED = '#c8102e'
GREEN = '#1a8a3a'
BLUE = '#1f5fbf'
GREY = '#666666'
ORANGE = '#d97706'
AXES = (('x', RED), ('y', GREEN), ('z', BLUE))
# The global orientation of an upright person who faces the camera.
FLIP = torch.diag(torch.tensor([1.0, -1, -1]))


class View(NamedTuple):
    """A camera that looks at a scene of the figure: world to camera, and the size of its image."""

    rotation: np.ndarray
    translation: np.ndarray
    focal: float
    size: tuple[int, int]

    @classmethod
    def towards(
        cls, target: tuple, eye: tuple, up: tuple, focal: float, size: tuple[int, int]
    ) -> View:
        """Looks from ``eye`` to ``target``; lengths in the scene's metres, focal length and size in px."""
        forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
        right = np.cross(forward, up) / np.linalg.norm(np.cross(forward, up))
        rotation = np.stack([right, np.cross(forward, right), forward])
        return cls(rotation, -rotation @ np.asarray(eye), focal, size)

    def project(self, points: np.ndarray | tuple) -> np.ndarray:
        """World points (N, 3) -> (N, 2) px."""
        centre = ((self.size[0] - 1) / 2, (self.size[1] - 1) / 2)
        return project_points(
            np.atleast_2d(points) @ self.rotation.T + self.translation, self.focal, centre
        )[:, :2]

    def draw(self, axes: Axes, vertices: np.ndarray, faces: np.ndarray) -> None:
        """Draws a mesh into a panel whose coordinates are the view's px."""
        blank = np.full((*self.size[::-1], 3), 255, np.uint8)
        axes.imshow(
            draw_mesh(blank, vertices @ self.rotation.T + self.translation, faces, self.focal)
        )
        axes.set_axis_off()

    def line(self, axes: Axes, *points: tuple, **style) -> None:
        """Draws a line through world points."""
        axes.plot(*self.project(np.array(points, float)).T, **style)

    def frame(self, axes: Axes, origin: tuple, length: float) -> None:
        """Draws the three axes of the world at a point, with their names."""
        for (name, colour), step in zip(AXES, np.eye(3)):
            start, end, beyond = self.project(
                np.asarray(origin) + np.outer([0, length, 1.16 * length], step)
            )
            axes.annotate(
                '',
                end,
                start,
                arrowprops=dict(arrowstyle='-|>', color=colour, lw=2.2, shrinkA=0, shrinkB=0),
            )
            axes.text(
                *beyond,
                name,
                color=colour,
                fontsize=14,
                fontweight='bold',
                ha='center',
                va='center',
            )


def frames_of_reference(body: BodyModel) -> Figure:
    """The rest frame of the body beside the camera frame, with an image plane between camera and body."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4.4), width_ratios=(1, 1.3))
    rest = body(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10)).vertices[0].double().numpy()
    view = View.towards((0, -0.12, 0), (1.7, 1.0, 4.2), (0, 1, 0), 1250, (700, 640))
    view.draw(left, rest, body.faces.numpy())
    view.frame(left, (0, 0, 0), 0.75)
    left.set_title('Body at rest: y up, faces +z, x to its own left', fontsize=11)

    rotmat = torch.eye(3).repeat(1, 24, 1, 1)
    rotmat[0, 0] = FLIP
    posed = body(rotmat, torch.zeros(1, 10)).vertices[0].double().numpy() + (0, 0.1, 3.2)
    view = View.towards((0.05, 0.12, 1.75), (-3.2, -1.6, -2.7), (0, -1, 0), 1200, (910, 640))
    view.draw(right, posed, body.faces.numpy())
    view.frame(right, (0, 0, 0), 0.8)
    corners = [(x, y, 1.1) for x, y in ((-0.45, -0.45), (0.45, -0.45), (0.45, 0.45), (-0.45, 0.45))]
    view.line(right, *corners, corners[0], color=GREY, lw=1.4)
    for corner in corners:
        view.line(right, (0, 0, 0), corner, color=GREY, lw=0.7, ls='--')
    right.text(*(view.project(corners[3])[0] + (0, 24)), 'image', color=GREY, fontsize=11)
    right.text(*(view.project((0, 0, 0))[0] + (18, 30)), 'camera', fontsize=11)
    right.plot(*view.project((0, 0, 0))[0], 'ks', ms=8)
    right.set_title('Camera: x right, y down, z away from it, metres', fontsize=11)
    figure.tight_layout()
    return figure


def crop_box(sequence: Sequence, box: torch.Tensor, points: np.ndarray) -> Figure:
    """Pixels with their centres, a box in the image, and the crop with its normalised coordinates."""
    figure, (pixels, panel, crop) = plt.subplots(
        1, 3, figsize=(10.6, 3.9), width_ratios=(0.8, 1, 1)
    )
    pixels.imshow(np.indices((4, 4)).sum(0) % 2, cmap='Greys', vmin=-1.5, vmax=6)
    pixels.plot(*np.indices((4, 4)).reshape(2, -1), '.', color=BLUE)
    pixels.plot(0, 0, 'o', color=RED)
    pixels.annotate('(0, 0)', (0, 0), (0.12, -0.14), color=RED, fontsize=10)
    pixels.set(xticks=range(4), yticks=range(4), xlabel='u, px', ylabel='v, px')
    pixels.set_title('Pixel centres are whole numbers', fontsize=11)

    cx, cy, side = box.tolist()
    panel.imshow(sequence.frames[0], interpolation='nearest')
    panel.add_patch(
        Rectangle((cx - side / 2, cy - side / 2), side, side, fill=False, color=ORANGE, lw=2)
    )
    panel.plot(cx, cy, '+', color=ORANGE, ms=11, mew=2)
    panel.annotate(
        '[cx, cy]', (cx, cy), (cx - 66, cy + 4), color=ORANGE, fontsize=11, fontweight='bold'
    )
    edge = cy + side / 2 + 7
    panel.annotate(
        '',
        (cx - side / 2, edge),
        (cx + side / 2, edge),
        annotation_clip=False,
        arrowprops=dict(arrowstyle='<|-|>', color=ORANGE, shrinkA=0, shrinkB=0),
    )
    panel.text(
        cx + side / 2 + 5, edge, 'side', color=ORANGE, fontsize=11, fontweight='bold', va='center'
    )
    panel.plot(*points.T, 'o', color=BLUE, ms=4, mec='white', mew=0.6)
    panel.set(xlabel='u, px', ylabel='v, px', xlim=(-0.5, 255.5), ylim=(255.5, -0.5))
    panel.set_title('A box in the image', fontsize=11)

    shown = crop_image(sequence.frames[0], box, 112).permute(1, 2, 0).numpy().astype(np.uint8)
    crop.imshow(shown, extent=(-1, 1, 1, -1), interpolation='nearest')
    crop.plot(
        *to_crop(torch.as_tensor(points)[None], box[None])[0].T,
        'o',
        color=BLUE,
        ms=5,
        mec='white',
        mew=0.7,
    )
    crop.plot(0, 0, '+', color=ORANGE, ms=11, mew=2)
    crop.set(
        xticks=[-1, -0.5, 0, 0.5, 1],
        yticks=[-1, -0.5, 0, 0.5, 1],
        xlabel='(u − cx) / (side / 2)',
        ylabel='(v − cy) / (side / 2)',
    )
    crop.set_title('The crop, −1 to 1', fontsize=11)
    for spine in crop.spines.values():
        spine.set(color=ORANGE, lw=2)
    figure.tight_layout()
    return figure


def full_image(body: BodyModel, rotmat: torch.Tensor) -> Figure:
    """A crop camera, the position of the crop, and both as a translation in front of the image's camera."""
    focal = 520.0
    size = (480, 340)
    translation = torch.tensor([-1.0, 0.32, 5.2])
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    joints = body.joints(rotmat, torch.zeros(1, 10), 'spin24')
    vertices = body(rotmat, torch.zeros(1, 10)).vertices[0].double().numpy()
    points = torch.tensor(
        project_points((joints[0] + translation).numpy(), focal, middle)[None, :, :2],
        dtype=torch.float32,
    )
    box = boxes_from_keypoints(points, torch.ones(1, 24))
    camera = fit_weak_perspective(joints, to_crop(points, box))
    tx, _, tz = crop_to_image_camera(camera, box, size, focal)[0].tolist()
    s, cam_x, cam_y = camera[0].tolist()
    cx, cy, side = box[0].tolist()
    blank = np.full((*size[::-1], 3), 236, np.uint8)
    image = draw_mesh(blank, vertices + translation.numpy(), body.faces.numpy(), focal)

    figure, (crop, panel, above) = plt.subplots(
        1, 3, figsize=(10.8, 3.8), width_ratios=(1, 1.25, 1.15)
    )
    crop.imshow(
        crop_image(image, box[0], 300).permute(1, 2, 0).numpy().astype(np.uint8),
        extent=(-1, 1, 1, -1),
    )
    crop.plot(0, 0, '+', color=ORANGE, ms=12, mew=2)
    crop.plot(s * cam_x, s * cam_y, 'o', color=BLUE)
    crop.annotate(
        'origin of\nthe mesh\nat s·(tx, ty)',
        (s * cam_x, s * cam_y),
        (-0.95, -0.28),
        color=BLUE,
        fontsize=10,
        arrowprops=dict(arrowstyle='-', color=BLUE, lw=0.8),
    )
    crop.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], title='Camera [s, tx, ty] of the crop')
    crop.spines[:].set(color=ORANGE, lw=2)

    panel.imshow(image)
    panel.add_patch(
        Rectangle((cx - side / 2, cy - side / 2), side, side, fill=False, color=ORANGE, lw=2)
    )
    panel.plot(*middle, 'k+', ms=12, mew=2)
    panel.annotate(
        'principal point:\nmiddle of the image',
        middle,
        (middle[0] + 6, middle[1] - 26),
        fontsize=10,
    )
    panel.annotate(
        '',
        (cx, cy),
        middle,
        arrowprops=dict(arrowstyle='-|>', color=RED, lw=1.6, shrinkA=0, shrinkB=0),
    )
    panel.text(middle[0] - 14, middle[1] + 26, '(dx, dy), px', color=RED, fontsize=10)
    panel.set(xlabel='u, px', ylabel='v, px', title='Its position [cx, cy, side] in the image')

    hull = cv2.convexHull(vertices[:, [0, 2]].astype(np.float32))[:, 0]
    above.fill(hull[:, 0] + tx, hull[:, 1] + tz, color='#b3c9e6', lw=0)
    left, right = ((cx + sign * side / 2 - middle[0]) / focal for sign in (-1, 1))
    for slope in (left, right):
        above.plot([0, 1.2 * slope * tz], [0, 1.2 * tz], color=ORANGE, lw=1.2)
    edge = middle[0] / focal
    plane = 1.9
    above.plot([-edge * plane, edge * plane], [plane, plane], color=GREY, lw=1.5)
    above.plot([left * plane, right * plane], [plane, plane], color=ORANGE, lw=4)
    above.text(edge * plane + 0.06, plane, 'image', color=GREY, fontsize=10, va='center')
    above.plot([0, 0], [0, 1.2 * tz], color=GREY, lw=0.8, ls='--')
    above.plot(0, 0, 'ks', ms=8)
    above.text(0.2, -0.1, 'camera', fontsize=10)
    above.plot(tx, tz, 'o', color=BLUE)
    above.annotate(
        '',
        (tx, tz),
        (0, tz),
        arrowprops=dict(arrowstyle='-|>', color=RED, lw=1.6, shrinkA=0, shrinkB=0),
    )
    above.annotate(
        '',
        (0, tz),
        (0, 0),
        arrowprops=dict(arrowstyle='-|>', color=GREEN, lw=1.6, shrinkA=0, shrinkB=0),
    )
    above.text(0.08, tz, 'tx + 2 dx / (s side)', color=RED, fontsize=10, va='center')
    above.text(0.08, 0.68 * tz, '2 focal / (s side)', color=GREEN, fontsize=10, va='center')
    above.set(
        xlabel='x, m', ylabel='z, m', xlim=(-2.3, 2.1), title='From above: translation, metres'
    )
    figure.tight_layout()
    return figure


def save(figure: Figure, name: str) -> None:
    """Writes a figure and prints the size of the file."""
    path = FOLDER / f'conventions_{name}.png'
    figure.savefig(path, dpi=100, pil_kwargs=dict(optimize=True))
    plt.close(figure)
    print(f'{path}: {path.stat().st_size / 1000:.0f} kB')


def main() -> None:
    """Draws all figures."""
    matplotlib.use('Agg')
    body = BodyModel()
    sequence = OpenStream('studio', sequences=1, frames=1, noise='clean')[0]
    box = sequence.boxes[0]
    points = sequence.keypoints2d.xy[0]
    save(frames_of_reference(body), 'axes')
    save(crop_box(sequence, box, points.numpy()), 'crop')
    save(full_image(body, sequence.truth.rotmat[:1]), 'camera')


if __name__ == '__main__':
    main()
