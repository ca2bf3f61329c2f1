"""Keypoints of any skeleton as the joints of a network from 2D to 3D, and back."""

from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor

from hrtk.body_models.skeletons import joint_names

_SHOULDERS, _EARS = ('left_shoulder', 'right_shoulder'), ('left_ear', 'right_ear')
_HIPS, _HIPS_LSP = ('left_hip', 'right_hip'), ('left_hip_lsp', 'right_hip_lsp')


def _middles(*parts: tuple[tuple[str, str], float]) -> dict[str, float]:
    """Weights of points from those of the middles between left and right."""
    return {name: weight / 2 for pair, weight in parts for name in pair}


# Weights of points whose sum is the joint, best first. They are least squares fits over the bundled body in captured
# poses, to two digits, and 2 to 18 mm off; the middle of the shoulders alone would miss the neck by 53 mm, and the nose
# the jaw by 98 mm.
RECIPES: dict[str, tuple[Mapping[str, float], ...]] = {
    'pelvis_mocap': ({'pelvis_mpii': 1.0}, *(_middles((hips, 1.0)) for hips in (_HIPS, _HIPS_LSP))),
    'spine_mocap': (
        {'spine_h36m': 1.0},
        *(_middles((_SHOULDERS, 0.52), (hips, 0.48)) for hips in (_HIPS_LSP, _HIPS)),
    ),
    'neck_mocap': (
        {'neck_lsp': 1.0},
        *(_middles((_SHOULDERS, 1.11), (hips, -0.11)) for hips in (_HIPS_LSP, _HIPS)),
        {'neck': 1.0},
    ),
    'jaw_mocap': ({'jaw_h36m': 1.0}, {'nose': 0.31, **_middles((_SHOULDERS, 0.27), (_EARS, 0.42))}),
    'head_mocap': (
        {'head_h36m': 1.0},
        {'neck_lsp': 0.26, 'headtop_lsp': 0.74},
        _middles((_SHOULDERS, -0.23), (_EARS, 1.23)),
    ),
    **{
        f'{side}_hip_mocap': ({f'{side}_hip': 1.0}, {f'{side}_hip_lsp': 1.0})
        for side in ('left', 'right')
    },
    **{
        f'{side}_{part}_mocap': ({f'{side}_{part}': 1.0},)
        for side in ('left', 'right')
        for part in ('knee', 'ankle', 'shoulder', 'elbow', 'wrist')
    },
}


class JointMapping:
    """From the keypoints of one skeleton to the joints of another, by name.

    A joint is its namesake, the point that comes nearest, or a weighted sum of points (:data:`RECIPES`); of these the
    first whose points are all visible in a frame. COCO's 17 points give all 17 joints: twelve directly, and pelvis,
    spine, neck, jaw and head from hips, shoulders, ears and nose.

    Args:
        source: skeleton of the keypoints.
        target: skeleton of the network, e.g. ``'human36m17'``.

    Raises:
        InputError: there is no such skeleton.
    """

    def __init__(self, source: str, target: str) -> None:
        names, rows, places = joint_names(source), [], []
        for joint, name in enumerate(joint_names(target)):
            for recipe in ({name: 1.0}, *RECIPES.get(name, ())):
                rows += _rows(recipe, names)
                places += [joint] * (len(rows) - len(places))
        self.weights = torch.tensor(rows).reshape(-1, len(names))
        # (J, C) recipes of every joint in order; the last of all rows, which is never complete, fills up.
        own = [
            [row for row, place in enumerate(places) if place == joint]
            for joint in range(len(joint_names(target)))
        ]
        width = max(map(len, own), default=0) + 1
        self.choices = torch.tensor(
            [recipes + [len(rows)] * (width - len(recipes)) for recipes in own]
        )
        alone = ((self.weights != 0).sum(1) == 1).nonzero()[:, 0]
        #: (P,) keypoints that are a joint by themselves, and (P,) which joint.
        self.points = self.weights[alone].argmax(1)
        self.joints = torch.tensor(places, dtype=torch.int64)[alone]

    def __call__(self, xy: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Joints of every frame.

        Args:
            xy: (F, K, 2) px; what stands at hidden points does not matter.
            visible: (F, K) bool.

        Returns:
            (F, J, 2) px, zero where nothing is known, and (F, J) bool, whether it is.
        """
        points = torch.where(visible[..., None], xy, xy.new_zeros(()))
        sums = torch.einsum('rk,fkd->frd', self.weights.to(xy), points)
        lacking = torch.einsum('rk,fk->fr', (self.weights != 0).to(xy), (~visible).to(xy))
        sums, ready = (
            torch.cat([values, values.new_zeros(values[:, :1].shape)], 1)
            for values in (sums, lacking == 0)
        )
        choices = self.choices.to(xy.device)
        offered = ready[:, choices]
        first = choices.expand(len(xy), -1, -1).gather(2, offered.int().argmax(2, keepdim=True))[
            ..., 0
        ]
        pose, seen = sums.gather(1, first[..., None].expand(-1, -1, 2)), offered.any(2)
        return torch.where(seen[..., None], pose, pose.new_zeros(())), seen


def _rows(recipe: Mapping[str, float], names: tuple[str, ...]) -> list[list[float]]:
    """Weights over all keypoints, once for the first and, where a list has names twice, once for the last of a name."""
    if not set(recipe) <= set(names):
        return []
    found: list[list[float]] = []
    for backwards in (False, True):
        row = [0.0] * len(names)
        for name, weight in recipe.items():
            row[_place(name, names, backwards)] = weight
        if row not in found:
            found.append(row)
    return found


def _place(name: str, names: tuple[str, ...], backwards: bool) -> int:
    return len(names) - 1 - names[::-1].index(name) if backwards else names.index(name)
