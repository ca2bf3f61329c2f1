"""From captured clips to clips of body poses, with a report of the remaining errors."""

from __future__ import annotations

from typing import Callable

import numpy as np
import torch
from motion_fit import skeleton as sk
from motion_fit.clips import JOINTS, SourceClip
from motion_fit.solve import bone_errors, solve
from motion_fit.targets import BONES, Targets, make_targets
from torch import Tensor

from hrtk.datasets.motion import MotionClip
from hrtk.geometry.rotation import rotmat_to_axis_angle

LICENCE = (
    'The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding '
    'from NSF EIA-0196217. It is free for all uses and may be part of products that are sold; the data itself '
    'may not be resold, even in converted form. These are converted data: rotations fitted to joint positions.'
)


def fit_clips(
    body: sk.Skeleton,
    sole: float,
    clips: list[SourceClip],
    iterations: int,
    report: Callable[[str], None],
) -> list[MotionClip]:
    """Fits all clips, one rig after the other.

    Args:
        body: the skeleton that is posed.
        sole: lowest y of the body in its rest pose.
        clips: the captured clips.
        iterations: of the solver.
        report: takes lines of text.
    """
    fitted = {}
    for rig in sorted({clip.rig for clip in clips}):
        rig_clips = [clip for clip in clips if clip.rig == rig]
        targets = make_targets(body, rig_clips)
        rotmat = solve(
            body,
            targets,
            iterations,
            lambda step, loss: report(f'{rig} step {step} loss {loss:.3f}'),
        )
        _report_errors(body, targets, rotmat, report)
        for clip, part in zip(rig_clips, rotmat.split([len(clip.positions) for clip in rig_clips])):
            fitted[clip.name] = _to_motion(body, sole, clip, part)
    return [fitted[clip.name] for clip in clips]


def _to_motion(body: sk.Skeleton, sole: float, clip: SourceClip, rotmat: Tensor) -> MotionClip:
    poses = rotmat_to_axis_angle(rotmat.double())
    poses[:, list(sk.FIXED)] = 0
    positions = sk.to_tensor(clip.positions)
    middle = (positions[:, JOINTS.index('l_hip')] + positions[:, JOINTS.index('r_hip')]) / 2
    _, joints = body.globals(rotmat)
    root = middle * _leg_length_ratio(body, positions) - joints[:, list(sk.HIPS)].mean(1)
    # On the floor and over the origin: soles on y = 0 in the lowest frames, the first frame at x = z = 0.
    lowest = (root[:, None, 1] + joints[:, list(sk.ANKLES), 1]).amin(1).quantile(0.03)
    height = body.rest[list(sk.ANKLES), 1].mean() - sole
    root = root - torch.stack([root[0, 0], lowest - height, root[0, 2]])
    return MotionClip(
        clip.name, clip.action, clip.split, clip.fps, poses.numpy().astype(np.float32), root.numpy()
    )


def _leg_length_ratio(body: sk.Skeleton, positions: Tensor) -> float:
    captured = sum(
        (positions[:, JOINTS.index(b)] - positions[:, JOINTS.index(a)]).norm(dim=-1).median()
        for a, b in (('l_hip', 'l_knee'), ('l_knee', 'l_ankle'))
    )
    ours = sum((body.rest[b] - body.rest[a]).norm() for a, b in ((1, 4), (4, 7)))
    return float(ours / captured)


def _report_errors(
    body: sk.Skeleton, targets: Targets, rotmat: Tensor, report: Callable[[str], None]
) -> None:
    errors = 1000 * bone_errors(body, targets, *body.globals(rotmat))
    for index, (start, end, *_) in enumerate(BONES):
        valid = errors[targets.weights[:, index] > 0, index]
        report(
            f'{targets.rig} {start:>10} -> {end:10} mean {valid.mean():5.2f} mm  95 % {valid.quantile(0.95):5.2f} mm'
            f'  worst {valid.max():6.1f} mm'
        )
