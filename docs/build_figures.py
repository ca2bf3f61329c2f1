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
            arrow(axes, start, end, colour, 2.2)
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


def arrow(axes: Axes, start: tuple, end: tuple, colour: str, width: float = 1.6) -> None:
    """Draws an arrow between two points of a panel."""
    style = dict(arrowstyle='-|>', color=colour, lw=width, shrinkA=0, shrinkB=0)
    axes.annotate('', end, start, arrowprops=style)


def outline(axes: Axes, box: torch.Tensor) -> None:
    """Draws the outline of a box ``[cx, cy, side]`` into an image."""
    cx, cy, side = box.tolist()
    corner = (cx - side / 2, cy - side / 2)
    axes.add_patch(Rectangle(corner, side, side, fill=False, color=ORANGE, lw=2))


def crop_panel(axes: Axes, image: np.ndarray, box: torch.Tensor, resolution: int) -> None:
    """Shows a crop in normalised coordinates, with its centre and an orange frame."""
    crop = crop_image(image, box, resolution).permute(1, 2, 0).numpy().astype(np.uint8)
    axes.imshow(crop, extent=(-1, 1, 1, -1), interpolation='nearest')
    axes.plot(0, 0, '+', color=ORANGE, ms=11, mew=2)
    for spine in axes.spines.values():
        spine.set(color=ORANGE, lw=2)


def pixel_panel(axes: Axes) -> None:
    """Shows the centres of pixels."""
    axes.imshow(np.indices((4, 4)).sum(0) % 2, cmap='Greys', vmin=-1.5, vmax=6)
    axes.plot(*np.indices((4, 4)).reshape(2, -1), '.', color=BLUE)
    axes.plot(0, 0, 'o', color=RED)
    axes.annotate('(0, 0)', (0, 0), (0.12, -0.14), color=RED, fontsize=10)
    axes.set(xticks=range(4), yticks=range(4), xlabel='u, px', ylabel='v, px')
    axes.set_title('Pixel centres are whole numbers', fontsize=11)


def box_panel(axes: Axes, image: np.ndarray, box: torch.Tensor, points: np.ndarray) -> None:
    """Shows a box in an image, with its centre and side."""
    text = dict(color=ORANGE, fontsize=11, fontweight='bold')
    cx, cy, side = box.tolist()
    left = cx - side / 2
    right = cx + side / 2
    below = cy + side / 2 + 7
    axes.imshow(image, interpolation='nearest')
    outline(axes, box)
    axes.plot(cx, cy, '+', color=ORANGE, ms=11, mew=2)
    axes.annotate('[cx, cy]', (cx, cy), (cx - 66, cy + 4), **text)
    style = dict(arrowstyle='<|-|>', color=ORANGE, shrinkA=0, shrinkB=0)
    axes.annotate('', (left, below), (right, below), annotation_clip=False, arrowprops=style)
    axes.text(right + 5, below, 'side', va='center', **text)
    axes.plot(*points.T, 'o', color=BLUE, ms=4, mec='white', mew=0.6)
    axes.set(xlabel='u, px', ylabel='v, px', xlim=(-0.5, 255.5), ylim=(255.5, -0.5))
    axes.set_title('A box in the image', fontsize=11)


def crop_box(sequence: Sequence, box: torch.Tensor, points: np.ndarray) -> Figure:
    """Pixels with their centres, a box in the image, and the crop with its normalised coordinates."""
    figure, (pixels, panel, crop) = plt.subplots(
        1, 3, figsize=(10.6, 3.9), width_ratios=(0.8, 1, 1)
    )
    image = sequence.frames[0]
    pixel_panel(pixels)
    box_panel(panel, image, box, points)
    crop_panel(crop, image, box, 112)
    normalised = to_crop(torch.as_tensor(points)[None], box[None])[0]
    crop.plot(*normalised.T, 'o', color=BLUE, ms=5, mec='white', mew=0.7)
    ticks = [-1, -0.5, 0, 0.5, 1]
    crop.set(xticks=ticks, yticks=ticks)
    crop.set(xlabel='(u − cx) / (side / 2)', ylabel='(v − cy) / (side / 2)')
    crop.set_title('The crop, −1 to 1', fontsize=11)
    figure.tight_layout()
    return figure


class Scene(NamedTuple):
    """A body in front of the camera of a full image, and the camera of its crop."""

    focal: float
    middle: tuple[float, float]
    image: np.ndarray
    vertices: np.ndarray
    box: torch.Tensor
    camera: torch.Tensor
    translation: torch.Tensor

    @classmethod
    def of(cls, body: BodyModel, rotmat: torch.Tensor) -> Scene:
        """Draws the body at a fixed translation and fits the camera of its crop."""
        focal = 520.0
        size = (480, 340)
        translation = torch.tensor([-1.0, 0.32, 5.2])
        middle = ((size[0] - 1) / 2, (size[1] - 1) / 2)
        joints = body.joints(rotmat, torch.zeros(1, 10), 'spin24')
        vertices = body(rotmat, torch.zeros(1, 10)).vertices[0].double().numpy()
        projected = project_points((joints[0] + translation).numpy(), focal, middle)
        points = torch.tensor(projected[None, :, :2], dtype=torch.float32)
        box = boxes_from_keypoints(points, torch.ones(1, 24))
        camera = fit_weak_perspective(joints, to_crop(points, box))
        blank = np.full((*size[::-1], 3), 236, np.uint8)
        image = draw_mesh(blank, vertices + translation.numpy(), body.faces.numpy(), focal)
        translation = crop_to_image_camera(camera, box, size, focal)[0]
        return cls(focal, middle, image, vertices, box[0], camera[0], translation)


def camera_panel(axes: Axes, scene: Scene) -> None:
    """Shows the crop and the origin of the mesh under the crop camera."""
    s, tx, ty = scene.camera.tolist()
    origin = (s * tx, s * ty)
    crop_panel(axes, scene.image, scene.box, 300)
    axes.plot(*origin, 'o', color=BLUE)
    axes.annotate(
        'origin of\nthe mesh\nat s·(tx, ty)',
        origin,
        (-0.95, -0.28),
        color=BLUE,
        fontsize=10,
        arrowprops=dict(arrowstyle='-', color=BLUE, lw=0.8),
    )
    axes.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], title='Camera [s, tx, ty] of the crop')


def position_panel(axes: Axes, scene: Scene) -> None:
    """Shows the box in the image and its position relative to the principal point."""
    u, v = scene.middle
    cx, cy, _ = scene.box.tolist()
    axes.imshow(scene.image)
    outline(axes, scene.box)
    axes.plot(u, v, 'k+', ms=12, mew=2)
    label = 'principal point:\nmiddle of the image'
    axes.annotate(label, (u, v), (u + 6, v - 26), fontsize=10)
    arrow(axes, (u, v), (cx, cy), RED)
    axes.text(u - 14, v + 26, '(dx, dy), px', color=RED, fontsize=10)
    axes.set(xlabel='u, px', ylabel='v, px', title='Its position [cx, cy, side] in the image')


def translation_panel(axes: Axes, scene: Scene) -> None:
    """Shows camera, image plane and body from above."""
    plane = 1.9
    tx, _, tz = scene.translation.tolist()
    cx, _, side = scene.box.tolist()
    left = (cx - side / 2 - scene.middle[0]) / scene.focal
    right = (cx + side / 2 - scene.middle[0]) / scene.focal
    edge = scene.middle[0] / scene.focal
    hull = cv2.convexHull(scene.vertices[:, [0, 2]].astype(np.float32))[:, 0]
    axes.fill(hull[:, 0] + tx, hull[:, 1] + tz, color='#b3c9e6', lw=0)
    for slope in (left, right):
        axes.plot([0, 1.2 * slope * tz], [0, 1.2 * tz], color=ORANGE, lw=1.2)
    axes.plot([-edge * plane, edge * plane], [plane, plane], color=GREY, lw=1.5)
    axes.plot([left * plane, right * plane], [plane, plane], color=ORANGE, lw=4)
    axes.text(edge * plane + 0.06, plane, 'image', color=GREY, fontsize=10, va='center')
    axes.plot([0, 0], [0, 1.2 * tz], color=GREY, lw=0.8, ls='--')
    axes.plot(0, 0, 'ks', ms=8)
    axes.text(0.2, -0.1, 'camera', fontsize=10)
    axes.plot(tx, tz, 'o', color=BLUE)
    arrow(axes, (0, tz), (tx, tz), RED)
    arrow(axes, (0, 0), (0, tz), GREEN)
    axes.text(0.08, tz, 'tx + 2 dx / (s side)', color=RED, fontsize=10, va='center')
    axes.text(0.08, 0.68 * tz, '2 focal / (s side)', color=GREEN, fontsize=10, va='center')
    axes.set(xlabel='x, m', ylabel='z, m', xlim=(-2.3, 2.1))
    axes.set_title('From above: translation, metres')


def full_image(body: BodyModel, rotmat: torch.Tensor) -> Figure:
    """A crop camera, the position of the crop, and both as a translation in front of the camera."""
    figure, (crop, panel, above) = plt.subplots(
        1, 3, figsize=(10.8, 3.8), width_ratios=(1, 1.25, 1.15)
    )
    scene = Scene.of(body, rotmat)
    camera_panel(crop, scene)
    position_panel(panel, scene)
    translation_panel(above, scene)
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
