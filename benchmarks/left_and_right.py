"""How well exchanged sides are found: ``python benchmarks/left_and_right.py``.

The bundled motion is seen by random cameras and disturbed like the output of a detector: errors of 1 % of the body's
height (a slow and a fast part, one in fifty six times as large), missing joints, missing frames, and stretches of one
frame to 1.2 seconds in which left and right of the whole body, or of one half, are exchanged. Methods:

* ``none``: the keypoints as they are;
* ``previous frame``: per frame the sides that are nearer to those of the frame before, the fewer frames exchanged;
* ``2D``: :class:`hrtk.datasets.own.sides.SideRepair` with keypoints only;
* ``+ mirrored``, ``+ 3D``: with a simulated second run on the mirrored image, with simulated 3D landmarks.

Printed are the share of exchanged frames that were found, the share of other frames that were exchanged by mistake
(frames in which left and right are less than 4 % of the body's height apart do not count), the mean error of the
visible joints in % of the body's height, and milliseconds per frame.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from hrtk.body_models import BodyModel
from hrtk.body_models.pairs import LOWER_JOINTS, UPPER_JOINTS, joint_pairs
from hrtk.datasets.motion import load_motion
from hrtk.datasets.own.sides import SideRepair, exchange_sides
from hrtk.geometry.rotation import axis_angle_to_rotmat

SKELETON = 'coco17'
BODY = slice(5, 17)  # without the face
STATURE = 1.7  # m, of the bundled body with betas 0, about
FOCAL = 1000.0
VIEWS = ('any view', 'turning', 'profile', 'sideways')
RATES = (15, 25, 60)
NEAR = 0.04  # left and right so near to each other, in body heights, that their exchange does not matter


@dataclasses.dataclass(frozen=True)
class Case:
    """A simulated track of F frames.

    Attributes:
        fps: frames per second.
        height: px of an upright body.
        exact: (F, 17, 2) px.
        exchanged: (F, 2) bool, upper and lower body.
        keypoints2d: (F, 17, 3) as detected.
        mirrored: (F, 17, 3) as detected in the mirrored image.
        landmarks3d: (F, 17, 3) m, as detected.
    """

    fps: int
    height: float
    exact: np.ndarray
    exchanged: np.ndarray
    keypoints2d: np.ndarray
    mirrored: np.ndarray
    landmarks3d: np.ndarray


@dataclasses.dataclass(frozen=True)
class RealTrack:
    """A detected track of F frames at 60 per second.

    Attributes:
        name: camera and mode of the detector.
        names: of the 33 joints.
        keypoints2d: (F, 33, 3) px and confidence.
        landmarks3d: (F, 33, 3) m.
        states: (F, 2) of upper and lower body: 1 exchanged, 0 right, -1 not clear.
    """

    name: str
    names: tuple[str, ...]
    keypoints2d: np.ndarray
    landmarks3d: np.ndarray
    states: np.ndarray


Method = Callable[[Case], np.ndarray]


@functools.cache
def motion_joints(split: str) -> list[tuple[str, np.ndarray]]:
    """Action and (F, 17, 3) joints in metres, y up, of every clip of a split."""
    body = BodyModel()
    clips = []
    for clip in load_motion(split):
        with torch.no_grad():
            rotmat = axis_angle_to_rotmat(torch.from_numpy(clip.poses))
            joints = body.joints(rotmat, torch.zeros(len(clip), 10), SKELETON).numpy()
        clips.append((clip.action, joints + clip.transl[:, None]))
    return clips


def make_cases(
    split: str, view: str, fps: int, share: float, count: int, seed: int, seconds: float = 4.0
) -> Iterator[Case]:
    """Simulated tracks.

    Args:
        split: of the bundled motion.
        view: of :data:`VIEWS`: a random camera; a body that also turns by 90 to 360 degrees per second; walking and
            running seen from the side; walking and running carried along the image at 1.5 to 4 m/s.
        fps: frames per second.
        share: of the frames that are exchanged, at least.
        count: number of tracks.
        seed: of the random numbers.
        seconds: length of a track.
    """
    rng = np.random.default_rng([seed, fps, VIEWS.index(view), int(share * 100)])
    pool = motion_joints(split)
    if view in ('profile', 'sideways'):
        pool = [clip for clip in pool if clip[0] in ('walking', 'running')]
    frames = int(seconds * 30) + 4
    pool = [clip for clip in pool if len(clip[1]) >= frames]
    for _ in range(count):
        joints = pool[rng.integers(len(pool))][1]
        start = rng.integers(len(joints) - frames + 1)
        times = np.arange(int(seconds * fps)) / fps
        motion = CubicSpline(np.arange(frames) / 30, joints[start : start + frames])(times)
        yield _detect(rng, _film(rng, motion, times, view), fps, share)


def evaluate(cases: list[Case], method: Method) -> dict[str, float]:
    """Counts and errors of a method over some cases."""
    totals = np.zeros(6)
    seconds = 0.0
    frames = 0
    for case in cases:
        begin = time.perf_counter()
        found = method(case)
        seconds += time.perf_counter() - begin
        frames += len(found)
        counts = _matters(case)
        wrong = case.exchanged & counts
        right = ~case.exchanged & counts
        repaired = exchange_sides(case.keypoints2d, SKELETON, found)
        visible = repaired[:, BODY, 2] > 0
        distance = np.linalg.norm((repaired[..., :2] - case.exact)[:, BODY], axis=-1) / case.height
        totals += [
            (wrong & found).sum(),
            wrong.sum(),
            (right & found).sum(),
            right.sum(),
            distance[visible].sum(),
            visible.sum(),
        ]
    return dict(
        found=totals[0] / max(totals[1], 1),
        false=totals[2] / max(totals[3], 1),
        error=totals[4] / totals[5],
        ms=1000 * seconds / frames,
    )


def previous_frame(keypoints2d: np.ndarray, skeleton: str | Sequence[str]) -> np.ndarray:
    """(F, 2) by the simple rule that every frame has the sides that are nearer to those of the frame before.

    Movements count up to 0.3 of the person's size; fewer than half of the frames are exchanged.

    Args:
        keypoints2d: (F, K, 3).
        skeleton: name of the joint list, or the names of the joints.
    """
    pairs = joint_pairs(skeleton).of((*UPPER_JOINTS, *LOWER_JOINTS))
    joints = [*pairs.left, *pairs.right]
    other_joints = [*pairs.right, *pairs.left]
    size = np.median(np.ptp(keypoints2d[:, joints, :2], axis=1).max(-1))
    xy = keypoints2d[:, joints, :2] / size
    turned = keypoints2d[:, other_joints, :2] / size
    weight = keypoints2d[1:, joints, 2]
    kept = np.minimum(np.linalg.norm(xy[1:] - xy[:-1], axis=-1), 0.3) * weight
    changed = np.minimum(np.linalg.norm(turned[1:] - xy[:-1], axis=-1), 0.3) * weight
    changes = changed.sum(1) < kept.sum(1)
    found = np.concatenate([[False], np.cumsum(changes) % 2 == 1])
    if found.mean() > 0.5:
        found = ~found
    return np.stack([found, found], axis=1)


def repair(*evidence: str) -> Method:
    """SideRepair with keypoints and the named arrays of a case."""

    def method(case: Case) -> np.ndarray:
        arrays = {name: getattr(case, name) for name in evidence}
        return SideRepair().find(case.keypoints2d, SKELETON, case.fps, **arrays).exchanged

    return method


METHODS: dict[str, Method] = {
    'none': lambda case: np.zeros_like(case.exchanged),
    'previous frame': lambda case: previous_frame(case.keypoints2d, SKELETON),
    '2D': repair(),
    '+ mirrored': repair('mirrored'),
    '+ 3D': repair('landmarks3d'),
    '+ both': repair('mirrored', 'landmarks3d'),
}


def real_tracks(folder: Path) -> Iterator[RealTrack]:
    """The four clips of one man in calibrated cameras, as MediaPipe sees them in its two modes.

    Args:
        folder: with ``gt3d.npz`` (3D truth and cameras) and ``detections/cam0N_mediapipe.npz``.
    """
    truth = np.load(folder / 'gt3d.npz')
    names = tuple(str(name) for name in truth['names'])
    for camera in range(4):
        exact = _project(truth, camera)
        height = 1.1 * float(np.median(np.ptp(exact[..., 1], axis=1)))
        detections = np.load(folder / f'detections/cam0{camera + 1}_mediapipe.npz')
        for mode in ('video', 'static'):
            confidence = detections[f'{mode}_visibility'].astype(float)
            points = np.concatenate([detections[f'{mode}_xy'], confidence[..., None]], axis=-1)
            yield RealTrack(
                f'cam0{camera + 1} {mode}',
                names,
                points,
                detections[f'{mode}_world'],
                _true_states(points, exact, height, names),
            )


def _project(truth: Mapping[str, np.ndarray], camera: int) -> np.ndarray:
    """(F, 33, 2) px of the true joints, by Brown's lens."""
    xyz = truth['xyz'] @ truth['R'][camera].T + truth['T'][camera]
    k1, k2, p1, p2 = truth['D'][camera]
    x, y = np.moveaxis(xyz[..., :2] / xyz[..., 2:], -1, 0)
    squared = x**2 + y**2
    radial = 1 + k1 * squared + k2 * squared**2
    u = x * radial + 2 * p1 * x * y + p2 * (squared + 2 * x**2)
    v = y * radial + p1 * (squared + 2 * y**2) + 2 * p2 * x * y
    intrinsics = truth['K'][camera]
    focal = intrinsics[[0, 1], [0, 1]]
    return np.stack([u, v], axis=-1) * focal + intrinsics[:2, 2]


def _true_states(
    points: np.ndarray, exact: np.ndarray, height: float, names: tuple[str, ...]
) -> np.ndarray:
    """(F, 2) 1 where the other sides are nearer to the truth, 0 where they are not, -1 where it is not clear."""
    turned = exchange_sides(points, names, np.ones((len(points), 2), bool))
    states = np.full((len(points), 2), -1)
    for part, joints in enumerate((UPPER_JOINTS, LOWER_JOINTS)):
        pairs = joint_pairs(names).of(joints)
        of_part = [*pairs.left, *pairs.right]
        kept, swapped = (
            np.linalg.norm((shown[..., :2] - exact)[:, of_part], axis=-1).mean(1) / height
            for shown in (points, turned)
        )
        clear = (np.abs(kept - swapped) > 0.02) & (np.minimum(kept, swapped) < 0.12)
        states[clear, part] = (swapped < kept)[clear]
    return states


def _film(rng: np.random.Generator, joints: np.ndarray, times: np.ndarray, view: str) -> np.ndarray:
    """(F, 17, 3) joints in front of a random camera, m; x right, y down, z away."""
    middle = len(times) // 2
    centred = joints - joints.mean((0, 1)) * [1, 0, 1]
    angle = np.full(len(times), rng.uniform(0, 2 * np.pi))
    if view == 'profile':
        to_left = centred[middle, 11] - centred[middle, 12]
        angle[:] = np.arctan2(to_left[0], to_left[2]) + rng.choice([0, np.pi]) + rng.normal() * 0.15
    if view == 'turning':
        axis = centred.mean(1, keepdims=True) * [1, 0, 1]
        centred = centred - axis
        angle = angle + rng.choice([-1, 1]) * np.radians(rng.uniform(90, 360)) * times
    seen = _turn_y(centred, angle)
    if view == 'sideways':
        speed = rng.choice([-1, 1]) * rng.uniform(1.5, 4)
        seen[..., 0] += (speed * (times - times[middle]))[:, None]
    elevation = np.radians(rng.uniform(-5, 25))
    up = seen[..., 1] - 0.9
    y = np.cos(elevation) * up - np.sin(elevation) * seen[..., 2]
    towards = np.sin(elevation) * up + np.cos(elevation) * seen[..., 2]
    return np.stack([seen[..., 0], -y, rng.uniform(3.5, 7) - towards], axis=-1)


def _turn_y(points: np.ndarray, angle: np.ndarray) -> np.ndarray:
    cos = np.cos(angle)[:, None]
    sin = np.sin(angle)[:, None]
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], axis=-1)


def _detect(rng: np.random.Generator, joints: np.ndarray, fps: int, share: float) -> Case:
    """A track of joints in front of the camera."""
    height = FOCAL * STATURE / joints[..., 2].mean()
    exact = FOCAL * joints[..., :2] / joints[..., 2:] + [960, 540]
    exchanged = _draw_exchanges(rng, len(joints), fps, share)
    # The mirrored image yields the same exchange in two of three cases, and now and then another one.
    of_mirrored = exchanged & (rng.random(len(joints)) < 0.65)[:, None]
    of_mirrored |= (rng.random(len(joints)) < 0.03)[:, None]
    confidence = _draw_confidence(rng, len(joints), fps)
    runs = []
    for turned in (exchanged, of_mirrored):
        shown = exchange_sides(exact, SKELETON, turned) + _draw_errors(
            rng, exact.shape, fps, height
        )
        shown[confidence == 0] = 0
        runs.append(np.concatenate([shown, confidence[..., None]], axis=-1))
    # An exchanged body is taken to face the other way: a network may reverse its depth (-1), or see it as it is (1).
    depth = exchange_sides(joints, SKELETON, exchanged) - joints.mean(1, keepdims=True)
    depth[..., 2] *= np.where(exchanged.any(1), rng.uniform(-1, 1), 1)[:, None]
    landmarks3d = depth + rng.normal(size=joints.shape) * [0.03, 0.03, 0.08]
    return Case(fps, height, exact, exchanged, runs[0], runs[1], landmarks3d)


def _draw_exchanges(rng: np.random.Generator, count: int, fps: int, share: float) -> np.ndarray:
    """(F, 2) bool with at least the share exchanged, less than half of the frames, 15 % of the stretches partial."""
    exchanged = np.zeros((count, 2), bool)
    for _ in range(100):
        if exchanged.any(1).mean() >= share:
            break
        length = int(np.ceil(rng.choice([rng.integers(1, 4), rng.uniform(0.1, 1.2) * fps])))
        start = rng.integers(count)
        parts = [True, True]
        if rng.random() < 0.15:
            parts[rng.integers(2)] = False
        stretch = exchanged[start : start + length]
        if not stretch.any() and exchanged.any(1).sum() + len(stretch) < 0.49 * count:
            stretch[:] = parts
    return exchanged


def _draw_errors(
    rng: np.random.Generator, shape: tuple[int, ...], fps: int, height: float
) -> np.ndarray:
    """(F, 17, 2) px."""
    count = shape[0]
    step = max(int(0.2 * fps), 1)
    knots = rng.normal(size=(count // step + 2, *shape[1:]))
    position = np.arange(count) / step
    lower = position.astype(int)
    weight = (position - lower)[:, None, None]
    slow = (1 - weight) * knots[lower] + weight * knots[lower + 1]
    errors = rng.normal(size=shape) + slow
    errors[rng.random(shape[:2]) < 0.02] *= 6
    return 0.007 * height * errors


def _draw_confidence(rng: np.random.Generator, count: int, fps: int) -> np.ndarray:
    """(F, 17): joints and whole frames are missing for a while."""
    confidence = rng.uniform(0.5, 1, (count, 17))
    for _ in range(rng.integers(0, 6)):
        start = rng.integers(count)
        confidence[start : start + int(rng.uniform(0.05, 1) * fps) + 1, rng.integers(17)] = 0
    for _ in range(rng.integers(0, 3)):
        start = rng.integers(count)
        confidence[start : start + int(rng.uniform(0.02, 0.3) * fps) + 1] = 0
    if rng.random() < 0.3:
        confidence[rng.random(confidence.shape) < 0.1] = 0
    return confidence


def _matters(case: Case) -> np.ndarray:
    """(F, 2) bool: a pair of the part is visible, and left and right are apart."""
    pairs = joint_pairs(SKELETON).of((*UPPER_JOINTS, *LOWER_JOINTS))
    left = list(pairs.left)
    right = list(pairs.right)
    lower = np.array(pairs.lower)
    apart = np.linalg.norm(case.exact[:, left] - case.exact[:, right], axis=-1) / case.height
    confidence = case.keypoints2d[..., 2]
    visible = (confidence[:, left] > 0) & (confidence[:, right] > 0)
    matters = [
        (apart[:, lower == part].mean(1) > NEAR) & visible[:, lower == part].any(1)
        for part in (False, True)
    ]
    return np.stack(matters, axis=1)


def main(arguments: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--split', default='test', help='of the bundled motion')
    parser.add_argument('--count', type=int, default=25, help='tracks per view and frame rate')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--real', type=Path, help='folder of real clips instead, see real_tracks')
    options = parser.parse_args(arguments)
    if options.real is not None:
        _print_real(options.real)
        return
    print('view, fps, share exchanged | method | found | by mistake | error % | ms per frame')
    everything: dict[float, list[Case]] = {0.0: [], 0.25: []}
    for share, collected in everything.items():
        for view in VIEWS:
            for fps in RATES:
                cases = list(
                    make_cases(options.split, view, fps, share, options.count, options.seed)
                )
                collected.extend(cases)
                _print(f'{view}, {fps}, {share:.0%}', cases, ('none', 'previous frame', '2D'))
    for share, collected in everything.items():
        _print(f'all, all, {share:.0%}', collected, tuple(METHODS))


def _print_real(folder: Path) -> None:
    """Prints counts of halves of the body per clip."""
    print('clip | frames per second | method | found | by mistake | margin')
    for track in real_tracks(folder):
        for step in (1, 2, 4):
            points = track.keypoints2d[::step]
            states = track.states[::step]
            results = {'previous frame': (previous_frame(points, track.names), np.nan)}
            for label, extra in (('2D', {}), ('+ 3D', dict(landmarks3d=track.landmarks3d[::step]))):
                sides = SideRepair().find(points, track.names, 60 / step, **extra)
                results[label] = (sides.exchanged, sides.margin)
            for label, (found, margin) in results.items():
                print(
                    f'{track.name} | {60 // step} | {label} | {(found & (states == 1)).sum()} of '
                    f'{(states == 1).sum()} | {(found & (states == 0)).sum()} of '
                    f'{(states == 0).sum()} | {margin:.1f}'
                )


def _print(label: str, cases: list[Case], methods: tuple[str, ...]) -> None:
    for name in methods:
        row = evaluate(cases, METHODS[name])
        print(
            f'{label} | {name} | {row["found"]:.1%} | {row["false"]:.2%} | {row["error"]:.2%} | '
            f'{row["ms"]:.2f}',
            flush=True,
        )


if __name__ == '__main__':
    main()
