"""Signs of the gradients of silhouette alignment: ``python benchmarks/topology_signs.py``.

The derivatives of L_S and L_T by random directions of pose, betas and camera, and by single parameters, are compared
with slopes of Eq. 5 (Rakesh et al., 2021) that scipy computes from hard masks. The values are piecewise constant below
a pixel, so a slope is a least-squares line through the values at -1, -0.5, 0.5 and 1 px (root mean square over the
vertices that move), and its mean is taken over shifts of both bodies, sub-pixel and whole-pixel. A direction counts if
this mean is farther from 0 than so many standard errors. ``--specks`` repeats the measurement with skeletons without
components of fewer pixels, in the loss and in the finite differences alike.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.geometry.camera import project
from hrtk.losses import alignment_losses, silhouette_target
from hrtk.silhouettes.raster import rasterize

SIZE = 160  # px, side of the images
BODY = BodyModel('open')
STEPS = np.array([-1, -0.5, 0.5, 1])  # px
LOSSES = ('silhouette', 'topology')
DEVELOPED = range(6)  # seeds of the poses with which grad='material' was developed
HELD_OUT = range(6, 14)
SCALES = np.concatenate(
    [np.full(72, 0.15), np.full(10, 0.7), [0.05, 0.03, 0.03]]
)  # usual offsets of the 85 parameters
LEFT = slice(0, 82)  # parameters of the body: pose and betas


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Derivatives of D directions of one pose.

    Attributes:
        estimate: (D, 2) of L_S and L_T by the gradient.
        mean: (D, 2) mean of the slopes over the shifts.
        error: (D, 2) standard error of this mean.
    """

    estimate: np.ndarray
    mean: np.ndarray
    error: np.ndarray

    def clear(self, errors: float) -> np.ndarray:
        """(D, 2) bool: directions whose slope is known to differ from 0."""
        return np.abs(self.mean) > errors * self.error

    @property
    def right(self) -> np.ndarray:
        """(D, 2) bool: directions whose signs agree."""
        return np.sign(self.estimate) == np.sign(self.mean)


def posed(parameters: np.ndarray, size: int = SIZE) -> Tensor:
    """(N, 85) axis-angle, betas and crop camera -> (N, V, 3) pixels and depth."""
    rotvec = parameters[:, :72].reshape(-1, 3)
    rotmat = torch.from_numpy(Rotation.from_rotvec(rotvec).as_matrix()).view(-1, 24, 3, 3).float()
    tail = torch.from_numpy(parameters[:, 72:]).float()
    vertices = BODY(rotmat, tail[:, :10]).vertices
    xy = (project(vertices, tail[:, 10:]) + 1) * size / 2 - 0.5
    return torch.cat([xy, vertices[..., 2:] + 20], 2)


def scene(seed: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """A body in a random pose that fills the image, a target near it, and the generator to go on with."""
    rng = np.random.default_rng(seed)
    start = np.zeros(85)
    start[3:72] = 0.3 * rng.normal(size=69)
    turn = Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec(
        [0, rng.uniform(-np.pi, np.pi), 0]
    )
    start[:3] = turn.as_rotvec()
    start[72:82] = 0.7 * rng.normal(size=10)
    start[82] = 1
    xy = posed(start[None], size)[0, :, :2].numpy()
    low = xy.min(0)
    high = xy.max(0)
    start[82] = 0.85 * size / (high - low).max()
    start[83:] = -((low + high + 1) / size - 1) / 2
    return start, start + SCALES * rng.normal(size=85), rng


def hard(points: Tensor, size: int = SIZE) -> np.ndarray:
    """(V, 3) pixels and depth -> the mask (size, size) of the body."""
    return rasterize(points.numpy(), BODY.faces.numpy(), size, size).mask


def ridge(mask: np.ndarray, specks: int = 0) -> np.ndarray:
    """Eq. 3 of a mask, by scipy, without components of fewer than ``specks`` pixels."""
    distance = ndimage.distance_transform_cdt(mask, 'chessboard')
    thin = mask & (distance == ndimage.maximum_filter(distance, 3, mode='nearest'))
    if specks < 2:
        return thin
    components, _ = ndimage.label(thin, np.ones((3, 3)))
    pixels = np.bincount(components.ravel())
    large = pixels >= specks
    large[0] = False  # the background
    return large[components]


def outside(mask: np.ndarray) -> np.ndarray:
    """The outwards distance map of Eq. 1, by scipy."""
    return ndimage.distance_transform_cdt(~mask, 'chessboard')


def equation_5(body_mask: np.ndarray, target_mask: np.ndarray) -> tuple[float, float]:
    """Both terms of Eq. 5."""
    to_target = outside(body_mask)[target_mask].sum()
    to_body = outside(target_mask)[body_mask].sum()
    return float(to_target), float(to_body)


def slopes(
    start: np.ndarray,
    directions: np.ndarray,
    goal: Tensor,
    shifts: np.ndarray,
    specks: tuple[int, ...] = (0,),
    size: int = SIZE,
) -> np.ndarray:
    """(D, shifts, 1 + S) slopes of L_S and, for each of S ``specks``, of L_T; both images are moved by each shift."""
    result = np.zeros((len(directions), len(shifts), 1 + len(specks)))
    for k, shift in enumerate(torch.from_numpy(shifts).float()):
        target_mask = hard(goal + shift, size)
        thin_targets = [ridge(target_mask, count) for count in specks]
        for d, direction in enumerate(directions):
            moved = posed(start + STEPS[:, None] * direction, size)
            for step, points in zip(STEPS, moved):
                body_mask = hard(points + shift, size)
                values = [sum(equation_5(body_mask, target_mask))]
                for count, thin in zip(specks, thin_targets):
                    values.append(sum(equation_5(ridge(body_mask, count), thin)))
                result[d, k] += step * np.array(values) / (STEPS**2).sum()
    return result


def random_directions(rng: np.random.Generator, count: int) -> np.ndarray:
    """(D, 85): one quarter each of pose, betas, camera, and of all of them."""
    directions = SCALES * rng.normal(size=(count, 85))
    quarter = count // 4
    directions[:quarter, 72:] = 0
    directions[quarter : 2 * quarter, :72] = 0
    directions[quarter : 2 * quarter, 82:] = 0
    directions[2 * quarter : 3 * quarter, LEFT] = 0
    return directions


def single_parameters(rng: np.random.Generator, count: int) -> np.ndarray:
    """(D, 85): as many of the parameters, one in each direction."""
    directions = np.zeros((count, 85))
    chosen = rng.permutation(85)[:count]
    directions[np.arange(count), chosen] = SCALES[chosen]
    return directions


def normalised(
    start: np.ndarray, directions: np.ndarray, size: int = SIZE
) -> tuple[np.ndarray, Tensor]:
    """Directions (D, 85) of which one unit moves the vertices that move by 1 px, and these motions (D, V, 2)."""
    forth = posed(start + 1e-3 * directions, size)
    back = posed(start - 1e-3 * directions, size)
    moved = (forth - back)[..., :2] / 2e-3
    speed = moved.norm(dim=2)
    counted = speed > 0.1 * speed.amax(1, keepdim=True)
    unit = ((speed.square() * counted).sum(1) / counted.sum(1)).sqrt()
    return directions / unit[:, None].numpy(), moved / unit[:, None, None]


def draw_shifts(rng: np.random.Generator, count: int) -> np.ndarray:
    """(N, 3) shifts in px: the first half by less than a pixel, the others by up to three whole ones more."""
    shifts = rng.uniform(-0.5, 0.5, (count, 2))
    shifts[count // 2 :] += rng.integers(-3, 4, (count - count // 2, 2))
    return np.append(shifts, np.zeros((count, 1)), 1)


def compare(
    start: np.ndarray,
    target: np.ndarray,
    directions: np.ndarray,
    shifts: np.ndarray,
    specks: tuple[int, ...] = (0,),
    size: int = SIZE,
) -> dict[int, Comparison]:
    """Compares gradients and slopes of one pose, for each of ``specks``."""
    directions, moved = normalised(start, directions, size)
    goal = posed(target[None], size)[0]
    expected = slopes(start, directions, goal, shifts, specks, size)
    mean = expected.mean(1)
    error = expected.std(1, ddof=1) / np.sqrt(len(shifts))
    mask = torch.from_numpy(hard(goal, size))[None]
    comparisons = {}
    for index, count in enumerate(specks, 1):
        points = posed(start[None], size).requires_grad_()
        losses = alignment_losses(points, BODY.faces, silhouette_target(mask, count))
        estimates = []
        for loss in losses:
            (gradient,) = torch.autograd.grad(loss.sum(), points, retain_graph=True)
            estimates.append((moved * gradient[0, :, :2]).sum((1, 2)).numpy())
        columns = [0, index]
        comparisons[count] = Comparison(np.stack(estimates, 1), mean[:, columns], error[:, columns])
    return comparisons


def report(name: str, poses: list[Comparison], errors: float) -> str:
    """One line: directions that count, share with the right sign, and the same weighted by slope, of both losses."""
    cells = [f'{name:<34}']
    for part in range(2):
        clear = np.concatenate([pose.clear(errors)[:, part] for pose in poses])
        right = np.concatenate([pose.right[:, part] for pose in poses])[clear]
        size = np.abs(np.concatenate([pose.mean[:, part] for pose in poses]))[clear]
        weighted = 100 * (right * size).sum() / size.sum()
        cells.append(f'{clear.sum():5d} {100 * right.mean():6.1f} {weighted:9.1f}   ')
    return ' '.join(cells)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, default=224, help='side of the images, px')
    parser.add_argument('--shifts', type=int, default=24)
    parser.add_argument('--errors', type=float, nargs='+', default=[2, 4], help='standard errors')
    parser.add_argument('--directions', type=int, default=12, help='random ones of each pose')
    parser.add_argument('--parameters', type=int, default=0, help='single ones of each pose')
    parser.add_argument(
        '--specks',
        type=int,
        nargs='+',
        default=[0],
        help='components below this many px are left out',
    )
    parser.add_argument('--poses', type=int, nargs='+', default=[*DEVELOPED, *HELD_OUT])
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[tuple[str, int, int], list[Comparison]] = {}
    for seed in args.poses:
        start, target, rng = scene(seed, args.size)
        kinds = {
            'random directions': random_directions(rng, args.directions),
            'single parameters': single_parameters(rng, args.parameters),
        }
        shifts = draw_shifts(rng, args.shifts)
        for kind, directions in kinds.items():
            if not len(directions):
                continue
            compared = compare(start, target, directions, shifts, tuple(args.specks), args.size)
            for specks, comparison in compared.items():
                found.setdefault((kind, specks, seed in HELD_OUT), []).append(comparison)
        print(f'pose {seed} measured', flush=True)
    print(f'{"":<34} L_S: count, right %, by slope %   L_T: count, right %, by slope %')
    for errors in args.errors:
        print(f'{args.shifts} shifts, {errors:g} standard errors, {args.size} px')
        for (kind, specks, held_out), poses in sorted(found.items()):
            group = 'held out' if held_out else 'developed'
            print(report(f'{kind}, {group}, specks {specks}', poses, errors))


if __name__ == '__main__':
    main()
