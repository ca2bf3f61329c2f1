"""Keypoints of any skeleton as the joints of a lifting network, and back."""

from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor

from hrtk.body_models.skeletons import joint_names

Recipe = Mapping[str, float]

SHOULDERS = ('left_shoulder', 'right_shoulder')
EARS = ('left_ear', 'right_ear')
HIPS = ('left_hip', 'right_hip')
HIPS_LSP = ('left_hip_lsp', 'right_hip_lsp')


def _centres(*pairs: tuple[tuple[str, str], float]) -> Recipe:
    """Converts weights of the centres of left and right points to weights of the points."""
    weights = {}
    for (left, right), weight in pairs:
        weights[left] = weight / 2
        weights[right] = weight / 2
    return weights


# Weights of points whose sum is the joint, best first. They are least squares fits over the bundled body in captured
# poses, to two digits, with errors of 2 to 18 mm; the centre of the shoulders alone would miss the neck by 53 mm, and
# the nose the jaw by 98 mm.
RECIPES: dict[str, tuple[Recipe, ...]] = {
    'pelvis_mocap': ({'pelvis_mpii': 1.0}, _centres((HIPS, 1.0)), _centres((HIPS_LSP, 1.0))),
    'spine_mocap': (
        {'spine_h36m': 1.0},
        _centres((SHOULDERS, 0.52), (HIPS_LSP, 0.48)),
        _centres((SHOULDERS, 0.52), (HIPS, 0.48)),
    ),
    'neck_mocap': (
        {'neck_lsp': 1.0},
        _centres((SHOULDERS, 1.11), (HIPS_LSP, -0.11)),
        _centres((SHOULDERS, 1.11), (HIPS, -0.11)),
        {'neck': 1.0},
    ),
    'jaw_mocap': ({'jaw_h36m': 1.0}, {'nose': 0.31, **_centres((SHOULDERS, 0.27), (EARS, 0.42))}),
    'head_mocap': (
        {'head_h36m': 1.0},
        {'neck_lsp': 0.26, 'headtop_lsp': 0.74},
        _centres((SHOULDERS, -0.23), (EARS, 1.23)),
    ),
}
for _side in ('left', 'right'):
    RECIPES[f'{_side}_hip_mocap'] = ({f'{_side}_hip': 1.0}, {f'{_side}_hip_lsp': 1.0})
    for _joint in ('knee', 'ankle', 'shoulder', 'elbow', 'wrist'):
        RECIPES[f'{_side}_{_joint}_mocap'] = ({f'{_side}_{_joint}': 1.0},)


class JointMapping:
    """Maps the keypoints of one skeleton to the joints of another, by name.

    A joint is the keypoint of its name, the closest other keypoint, or a weighted sum of keypoints (:data:`RECIPES`);
    of these the first whose points are all visible in a frame. COCO's 17 points yield all 17 joints: twelve directly,
    and pelvis, spine, neck, jaw and head from hips, shoulders, ears and nose.

    Args:
        source: skeleton of the keypoints.
        target: skeleton of the network, e.g. ``'human36m17'``.

    Attributes:
        points: (P,) indices of the keypoints that are a joint by themselves.
        joints: (P,) indices of these joints.

    Raises:
        InputError: an unknown skeleton.
    """

    def __init__(self, source: str, target: str) -> None:
        names = joint_names(source)
        rows: list[list[float]] = []
        row_joints: list[int] = []
        joint_rows: list[list[int]] = []
        for joint, name in enumerate(joint_names(target)):
            start = len(rows)
            for recipe in ({name: 1.0}, *RECIPES.get(name, ())):
                rows += _rows(recipe, names)
            added = range(start, len(rows))
            joint_rows.append(list(added))
            row_joints += [joint] * len(added)
        #: (R, K) weights of all recipes.
        self.weights = torch.tensor(rows).reshape(-1, len(names))
        # (J, C) rows of every joint, best first. They are padded with a row after the last, which is never visible.
        width = max(map(len, joint_rows), default=0) + 1
        padded = [indices + [len(rows)] * (width - len(indices)) for indices in joint_rows]
        self.choices = torch.tensor(padded)
        single = ((self.weights != 0).sum(1) == 1).nonzero()[:, 0]
        self.points = self.weights[single].argmax(1)
        self.joints = torch.tensor(row_joints, dtype=torch.int64)[single]

    def __call__(self, xy: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the joints of every frame.

        Args:
            xy: (F, K, 2) px; the values of points that are not visible do not matter.
            visible: (F, K) bool.

        Returns:
            (F, J, 2) px, zero for unknown joints, and (F, J) bool, whether a joint is known.
        """
        points = torch.where(visible[..., None], xy, xy.new_zeros(()))
        sums = torch.einsum('rk,fkd->frd', self.weights.to(xy), points)
        missing = torch.einsum('rk,fk->fr', (self.weights != 0).to(xy), (~visible).to(xy))
        sums = _padded(sums)
        complete = _padded(missing == 0)
        choices = self.choices.to(xy.device)
        candidates = complete[:, choices]
        best = candidates.int().argmax(2, keepdim=True)
        rows = choices.expand(len(xy), -1, -1).gather(2, best)
        pose = sums.gather(1, rows.expand(-1, -1, 2))
        known = candidates.any(2)
        return torch.where(known[..., None], pose, pose.new_zeros(())), known


def _padded(values: Tensor) -> Tensor:
    """(F, R, ...) -> (F, R + 1, ...) with zeros, or False, in the last row."""
    return torch.cat([values, values.new_zeros(values[:, :1].shape)], 1)


def _rows(recipe: Recipe, names: tuple[str, ...]) -> list[list[float]]:
    """Returns the weights over all keypoints; two rows where the skeleton holds a name twice, none where it lacks one.

    The first row uses the first keypoint of every name, the second row the last.
    """
    if not set(recipe) <= set(names):
        return []
    first = [0.0] * len(names)
    last = [0.0] * len(names)
    for name, weight in recipe.items():
        first[names.index(name)] = weight
        last[len(names) - 1 - names[::-1].index(name)] = weight
    if first == last:
        return [first]
    return [first, last]
