"""How well gravity and the floor are found on bundled motion: ``python benchmarks/floor.py [--seconds 3] [--seed 0]``.

Every piece of a test clip is seen by a camera at random: 1 to 2.5 m high, 3 to 7 m away, pitched by -5 to 35 degrees
and rolled by 6 degrees (standard deviation), 25 frames per second of 1920 x 1080 px. The motion is spoilt as networks
spoil it: a constant and a slowly changing turn of the whole body, slow errors of all joints, noise of single
frames, and a translation that is fitted to the true places of the joints in the image with 3 px of noise. Then it is
filtered and its floor is estimated as in exports. Printed are the error of the direction, the stated uncertainty and
confidence, the height of the camera, the steps of standing feet before and after the floor and with locked feet, at the
same points of the soles, and what that does to pelvis and pose.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.datasets.motion import MotionClip, load_motion
from hrtk.geometry.camera import default_focal, image_middle
from hrtk.geometry.floor import estimate_floor
from hrtk.geometry.perspective import fit_translation, perspective_pixels
from hrtk.geometry.rotation import axis_angle_to_rotmat
from hrtk.geometry.smoothing import smooth_rotations, time_filter
from hrtk.visualization.export.foot_lock import lock_feet, stances_of
from hrtk.visualization.export.ground import gait_of, on_floor, sliding
from hrtk.visualization.export.motion import Motion
from hrtk.visualization.export.placing import SMOOTH_SECONDS, smooth_path

SIZE = (1920, 1080)
FPS = 25.0
# Degrees, standard deviations: of a body's constant turn, its slow turn, slow turns of joints, and noise of frames.
# The constant turn is about the axes of the camera: a turn in the image is seen, one in depth is not.
CONSTANT = (6.0, 6.0, 2.0)
SLOW, JOINTS, NOISE = 4.0, 6.0, 2.0
SLOW_SECONDS = 0.5
PIXELS = 3.0


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of motion in a camera frame, and the true floor.

    Attributes:
        motion: the truth.
        up: (3,) unit vector.
        height: of the camera, metres.
        action: of the clip.
    """

    motion: Motion
    up: np.ndarray
    height: float
    action: str


def pieces(body: BodyModel, seconds: float, rng: np.random.Generator) -> list[Piece]:
    """All pieces of the test clips, each with its own camera."""
    found = []
    for clip in load_motion('test'):
        step = round(clip.fps / FPS)
        length = round(seconds * FPS) * step
        for start in range(0, len(clip) - length + 1, length):
            frames = slice(start, start + length, step)
            found.append(piece_of(clip, frames, clip.fps / step, body, rng))
    return found


def piece_of(
    clip: MotionClip, frames: slice, fps: float, body: BodyModel, rng: np.random.Generator
) -> Piece:
    """A piece of a clip before a camera at random."""
    rotmat = axis_angle_to_rotmat(torch.tensor(clip.poses[frames], dtype=torch.float64))
    betas = torch.tensor(rng.normal(0, 0.7, 10)).expand(len(rotmat), 10)
    height = rng.uniform(1.0, 2.5)
    pitch, yaw, roll = np.radians([rng.uniform(-5, 35), rng.uniform(-180, 180), rng.normal(0, 6)])
    # World (y up) to a level camera (y down), then pitch down and roll.
    level = np.diag([1.0, -1, -1]) @ Rotation.from_euler('y', yaw).as_matrix()
    turn = Rotation.from_euler('zx', [roll, pitch]).as_matrix() @ level
    rest = body.joints(torch.eye(3).double().expand(1, 24, 3, 3), betas[:1], 'smpl24')[0, 0].numpy()
    root = clip.transl[frames] - clip.transl[frames].mean(0) * [1, 0, 1]
    ahead = turn.T @ [0, 0, 1]
    ahead = ahead * [1, 0, 1] / np.linalg.norm(ahead * [1, 0, 1])
    eye = -ahead * rng.uniform(3, 7) + [0, height, 0]
    pelvis = (root - eye) @ turn.T
    rotmat = torch.cat([torch.from_numpy(turn) @ rotmat[:, :1], rotmat[:, 1:]], 1)
    labels = tuple(f'{t:06d}' for t in range(len(rotmat)))
    motion = Motion(
        clip.name,
        rotmat,
        betas,
        torch.from_numpy(pelvis - rest),
        labels,
        fps,
        SIZE,
        default_focal(SIZE),
    )
    # The soles of the bundled motion touch y = 0 with the average body; here they touch it with this body.
    soles = gait_of(motion, body).soles @ turn
    lift = float(np.quantile((soles + eye)[..., 1].min((1, 2)), 0.1))
    return Piece(motion, turn[:, 1], height - lift, clip.action)


def spoilt(piece: Piece, body: BodyModel, amount: float, rng: np.random.Generator) -> Motion:
    """The motion as a network would give it, filtered as in exports."""
    motion = piece.motion
    frames = len(motion)
    slow = rng.normal(size=(frames, 24, 3))
    slow = gaussian_filter1d(slow, SLOW_SECONDS * motion.fps, axis=0, mode='wrap')
    slow = slow / slow.std() * JOINTS
    slow[:, 0] *= SLOW / JOINTS
    slow[:, 0] += rng.normal(0, CONSTANT)
    errors = np.radians(slow + rng.normal(0, NOISE, (frames, 24, 3))) * amount
    turns = axis_angle_to_rotmat(torch.from_numpy(errors))
    rotmat = torch.cat(
        [turns[:, :1] @ motion.rotmat[:, :1], motion.rotmat[:, 1:] @ turns[:, 1:]], 1
    )
    middle = image_middle(SIZE)
    pixels = perspective_pixels(joints_of(motion, body), motion.focal, middle)
    pixels = pixels + amount * torch.from_numpy(rng.normal(0, PIXELS, pixels.shape))
    over_time = time_filter(motion.times, SMOOTH_SECONDS)
    moved = dataclasses.replace(motion, rotmat=smooth_rotations(rotmat, over_time))
    still = dataclasses.replace(moved, translation=torch.zeros(frames, 3).double())
    translation = fit_translation(joints_of(still, body), pixels, motion.focal, middle)
    return smooth_path(dataclasses.replace(moved, translation=translation), body, SMOOTH_SECONDS)


@torch.no_grad()
def joints_of(motion: Motion, body: BodyModel) -> Tensor:
    """(F, 24, 3) metres in the camera frame."""
    joints = body.joints(motion.rotmat, motion.betas, 'smpl24')
    return joints + motion.translation[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument(
        '--seconds', type=float, default=3.0, help='length of a piece (%(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--error', type=float, default=1.0, help='factor on all errors (%(default)s)'
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(args.seed)
    body = BodyModel().double()
    rows = []
    refused = []
    for piece in pieces(body, args.seconds, rng):
        motion = spoilt(piece, body, args.error, rng)
        estimate = estimate_floor([gait_of(motion, body)])
        image = np.degrees(np.arccos(-piece.up[1]))
        if estimate.floor is None:
            refused.append((piece.action, estimate.reason))
            continue
        error = np.degrees(np.arccos(np.clip(estimate.floor.up @ piece.up, -1, 1)))
        settled = on_floor(motion, body, estimate.floor)
        stances = stances_of(settled, body, estimate.floor.up)
        locked = lock_feet(settled, body, stances)
        stands = stances.stands
        rows.append(
            (
                piece.action,
                error,
                image,
                estimate.uncertainty,
                estimate.confidence,
                estimate.floor.height - piece.height,
                *[
                    1000 * sliding(one, body, piece.up, stands)
                    for one in (motion, settled, locked, piece.motion)
                ],
                *[1000 * pelvis_error(one, piece, body) for one in (motion, settled, locked)],
                *[1000 * rooted_error(one, piece, body) for one in (motion, locked)],
            )
        )
    print_rows(rows, refused)


def pelvis_error(motion: Motion, piece: Piece, body: BodyModel) -> float:
    """The mean distance of the pelvis from the true one, metres."""
    difference = joints_of(motion, body)[:, 0] - joints_of(piece.motion, body)[:, 0]
    return float(difference.norm(dim=-1).mean())


def rooted_error(motion: Motion, piece: Piece, body: BodyModel) -> float:
    """The mean distance of joints from the true ones, both relative to the pelvis, metres."""
    found = joints_of(motion, body)
    true = joints_of(piece.motion, body)
    difference = (found - found[:, :1]) - (true - true[:, :1])
    return float(difference.norm(dim=-1).mean())


def print_rows(rows: list[tuple], refused: list[tuple[str, str]]) -> None:
    """Prints a line per action, and the calibration of the confidence."""
    actions = sorted({row[0] for row in rows})
    for action in [*actions, 'all']:
        values = np.array([row[1:] for row in rows if action in (row[0], 'all')], float)
        error, image, uncertainty, confidence, height, *others = values.T
        others = [np.nanmean(value) for value in others]
        print(
            f'{action:16} {len(values):3d} direction: median {np.median(error):4.1f}, 90 % below '
            f'{np.quantile(error, 0.9):4.1f}, rms {np.sqrt((error**2).mean()):4.1f} (stated '
            f'{np.sqrt((uncertainty**2).mean()):4.1f}); below 10: {(error < 10).mean():.2f} (confidence '
            f'{confidence.mean():.2f}); image {np.median(image):4.1f}; height {np.median(np.abs(height)):.2f} m; '
            f'sliding {others[0]:.1f} -> {others[1]:.1f} -> locked {others[2]:.1f} mm (truth {others[3]:.1f}), pelvis '
            f'{others[4]:.0f} -> {others[5]:.0f} -> {others[6]:.0f} mm, MPJPE {others[7]:.1f} -> {others[8]:.1f} mm'
        )
    values = np.array([row[1:] for row in rows], float)
    for low, high in ((0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        some = values[(values[:, 3] >= low) & (values[:, 3] < high)]
        if len(some):
            print(
                f'confidence {low} to {high}: {len(some)}, below 10 degrees {(some[:, 0] < 10).mean():.2f}'
            )
    print(f'refused {len(refused)}:', sorted(set(refused)))


if __name__ == '__main__':
    main()
